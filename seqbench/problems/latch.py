"""The two-sequence (latch) problem. Random weight guessing solves it: no evidence of learning."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from seqbench.problems.batch import Baseline, Batch
from seqbench.problems.checks import check_choice, check_length
from seqbench.problems.kinds import Regression, asked_at_end

VARIANCE = 0.2


class Latch(Regression):
    """One channel: N elements that are all 1 or all -1, then noise N(0, 0.2) to the end; target 1
    or 0 at the last step, squared error. Length U[T, 1.1 T].

    **Whoever solves this has shown nothing**: guessing random weights until they fit finds a
    solution faster than any gradient (Hochreiter & Schmidhuber 1997, section 5.3). It is here for
    completeness.

    protocol "hochreiter1997-3a": as above, Bengio's own. "hochreiter1997-3b": noise N(0, 0.2) is
    added to the N elements too. Right means |error| < 0.2, as there; solved at 95 % right. Fresh
    sequences.

    Baseline: answer 1/2, squared error 1/4.

    Args:
        length: T, at least elements + 1.
        protocol: one of the two.
        elements: N, 1 or 3.

    Raises:
        InputError: another protocol or N, a length too short.

    Source: Bengio, Simard & Frasconi 1994; Hochreiter & Schmidhuber 1997, section 5.3.
    """

    input_size = output_size = 1
    channels = ("input",)
    tolerance = 0.2

    def __init__(self, length: int, protocol: str = "hochreiter1997-3a", elements: int = 3) -> None:
        protocols = ("hochreiter1997-3a", "hochreiter1997-3b")
        self.noisy = check_choice("protocol", protocol, protocols, "latch") == protocols[1]
        self.elements = check_choice("elements", elements, (1, 3), "latch")
        self.length = check_length(length, elements + 1, "latch")
        self.steps = length * 11 // 10
        self.baselines = {"knowing nothing": Baseline(0.25, 0.0)}

    def sample(self, batch_size: int, generator: Generator) -> Batch:
        """Draw `batch_size` sequences."""
        S, B = self.steps, batch_size
        ends_B = torch.randint(self.length, S + 1, (B,), generator=generator)
        class_B = torch.randint(0, 2, (B,), generator=generator).float()
        inputs_SB = torch.randn(S, B, generator=generator) * VARIANCE**0.5
        if not self.noisy:
            inputs_SB[: self.elements] = 0.0
        inputs_SB[: self.elements] += class_B * 2 - 1
        inputs_SB *= torch.arange(S)[:, None] < ends_B
        return asked_at_end(inputs_SB[:, :, None], class_B, ends_B)

    def needed_lags(self, batch: Batch) -> list[Tensor]:
        """Back to the N elements, [B, N]."""
        return [batch.last_scored_step()[:, None] - torch.arange(1, self.elements + 1)]
