"""The adding problem: two of many values are marked; answer with their sum."""

from __future__ import annotations

import torch
from torch import Tensor

from seqbench.errors import InputError
from seqbench.problems.batch import Baseline, Batch, check_train_set

PROTOCOLS = ("seqbench", "arjovsky2016", "hochreiter1997")


class Adding:
    """Two input channels, a value and a mark; a squared error at each sequence's last step.

    protocol "seqbench": values U[0, 1], one mark (1) in each half of T steps, target the sum; fresh
    sequences. "arjovsky2016": the same from a fixed training set of 100,000. "hochreiter1997":
    values U[-1, 1], first and last mark -1, length U[T, 1.1 T], the first marked step among the
    first 10, the second among the first T/2 - 1 still unmarked, target 0.5 + (X1 + X2)/4; a marked
    first step keeps its -1 and counts as 0.

    Right means |error| < 0.08 on a sum in [0, 2], the same bound as Hochreiter & Schmidhuber's 0.04
    on their target in [0, 1]; solved at 95 % right.

    Args:
        length: T, at least 2 (hochreiter1997: 12).
        protocol: one of the three.
        train_set: sequences in the training set, 0 for fresh ones; None: the protocol's own.

    Raises:
        InputError: another protocol, a length too short, a negative train_set.

    Source: Hochreiter & Schmidhuber 1997, section 5.4; Arjovsky et al. 2016, section 5.2.
    """

    input_size = 2
    output_size = 1

    def __init__(
        self, length: int, protocol: str = "seqbench", train_set: int | None = None
    ) -> None:
        if protocol not in PROTOCOLS:
            raise InputError(
                f"problem.protocol = {protocol!r}: adding has no such protocol\n"
                f"allowed: {', '.join(PROTOCOLS)}"
            )
        self.original = protocol == "hochreiter1997"
        shortest = 12 if self.original else 2
        if length < shortest:
            raise InputError(
                f"lengths: {length} is too short for adding ({protocol})\n"
                f"allowed: {shortest} or more"
            )
        if train_set is None:
            train_set = 100_000 if protocol == "arjovsky2016" else 0
        self.length = length
        self.train_set = check_train_set(train_set)
        self.steps = length * 11 // 10 if self.original else length
        self.tolerance = 0.04 if self.original else 0.08
        self.baselines = self._original_baselines() if self.original else _common_baselines()

    def sample(self, batch_size: int, generator: torch.Generator) -> Batch:
        """Draw `batch_size` sequences; see the class for the distribution."""
        draw = self._sample_original if self.original else self._sample_common
        return draw(batch_size, generator)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Squared error, [S, B, 1] -> [S, B]."""
        return (outputs - targets).square().squeeze(-1)

    def score(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> dict[str, float]:
        """Share within the tolerance, and the memory that such an error is worth.

        memory_steps = T (1 - 6 MSE): who remembers the last M of T steps exactly has
        MSE = (1 - M/T)/6. Only for the common form.
        """
        error = (outputs - targets).squeeze(-1)[weights > 0]
        numbers = {"score": (error.abs() < self.tolerance).double().mean().item()}
        if not self.original:
            mse = error.double().square().mean().item()
            numbers["memory_steps"] = self.length * (1 - 6 * mse)
        return numbers

    def solved(self, numbers: dict[str, float]) -> bool:
        """At least 95 % right."""
        return numbers["score"] >= 0.95

    def anchors(self, batch: Batch) -> list[Tensor]:
        """The last step of each sequence."""
        return [batch.last_scored_step()]

    def needed_lags(self, batch: Batch) -> list[Tensor]:
        """tau - t1 and tau - t2, the two marked steps, [B, 2]."""
        marks_BT = batch.inputs[:, :, 1].T > 0
        if self.original:  # a marked first step shows -1; it is where the other addend would be
            first = batch.inputs[0, :, 1] < 0
            marks_BT = marks_BT.clone()
            marks_BT[:, 0] |= first & (marks_BT.sum(1) < 2)
        steps_B2 = marks_BT.nonzero()[:, 1].reshape(-1, 2) + 1
        return [batch.last_scored_step()[:, None] - steps_B2]

    def value_gradient(self, batch: Batch) -> Tensor:
        """d target / d value, [T, B]: 1 at marked steps, 0 elsewhere.

        hochreiter1997: 1/4 at marked steps but the first, whose value counts as 0.
        """
        marked_TB = (batch.inputs[:, :, 1] > 0).to(batch.inputs.dtype)
        return marked_TB / 4 if self.original else marked_TB

    def _sample_common(self, batch_size: int, generator: torch.Generator) -> Batch:
        T, B, half = self.length, batch_size, self.length // 2
        values_TB = torch.rand(T, B, generator=generator)
        t1 = torch.randint(0, half, (1, B), generator=generator)
        t2 = torch.randint(half, T, (1, B), generator=generator)
        marks_TB = torch.zeros(T, B).scatter_(0, torch.cat([t1, t2]), 1.0)
        targets_TB = torch.zeros(T, B)
        targets_TB[-1] = (values_TB * marks_TB).sum(0)
        weights_TB = torch.zeros(T, B)
        weights_TB[-1] = 1.0
        return Batch(torch.stack([values_TB, marks_TB], 2), targets_TB[:, :, None], weights_TB)

    def _sample_original(self, batch_size: int, generator: torch.Generator) -> Batch:
        T, B = self.steps, batch_size
        lengths = torch.randint(self.length, T + 1, (B,), generator=generator)
        inside_TB = torch.arange(T)[:, None] < lengths
        values_TB = (torch.rand(T, B, generator=generator) * 2 - 1) * inside_TB
        t1 = torch.randint(0, 10, (B,), generator=generator)
        t2 = torch.randint(0, self.length // 2 - 1, (B,), generator=generator)
        t2 += (t2 >= t1).long()  # step over the one already marked
        chosen = torch.stack([t1, t2])
        x1, x2 = values_TB.gather(0, chosen) * (chosen > 0)
        marks_TB = torch.zeros(T, B).scatter_(0, chosen, 1.0)
        marks_TB[0] = -1.0
        last = (lengths - 1)[None]
        marks_TB.scatter_(0, last, -1.0)
        targets_TB = torch.zeros(T, B).scatter_(0, last, (0.5 + (x1 + x2) / 4)[None])
        weights_TB = torch.zeros(T, B).scatter_(0, last, 1.0)
        return Batch(torch.stack([values_TB, marks_TB], 2), targets_TB[:, :, None], weights_TB)

    def _original_baselines(self) -> dict[str, Baseline]:
        # X is U[-1, 1]: variance 1/3. An addend is lost when its mark falls on the first step.
        lost_first = 0.1
        lost_second = 0.9 / (self.length // 2 - 1)
        lost = lost_first + lost_second  # never both: the marked steps differ
        both_right, one_right = 0.16 - 0.16**2 / 4, 0.16
        return {
            "knowing nothing": Baseline(
                (2 - lost) / 48, (1 - lost) * both_right + lost * one_right
            ),
            "first addend only": Baseline(
                (1 - lost_second) / 48, (1 - lost_second) * one_right + lost_second
            ),
        }


def _common_baselines() -> dict[str, Baseline]:
    # The sum of two U[0, 1] about its mean: variance 1/6, P(|error| < a) = 2a - a^2; one addend
    # known leaves a uniform one: variance 1/12, P = 2a. Here a = 0.08.
    return {
        "knowing nothing": Baseline(1 / 6, 0.16 - 0.0064),
        "one addend": Baseline(1 / 12, 0.16),
    }
