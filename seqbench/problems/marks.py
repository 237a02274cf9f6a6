"""Two of many values are marked: adding, multiplication and XOR.

Shapes: T the card's length, S the steps of the longest sequence, B sequences.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from seqbench.problems.batch import Batch
from seqbench.problems.checks import check_choice, check_length
from seqbench.problems.kinds import asked_at_end


def _between(low: int | Tensor, high: int | Tensor, generator: Generator, B: int) -> Tensor:
    """Whole numbers, low <= x < high, [B]; the bounds may be a sequence's own."""
    if isinstance(high, int) and isinstance(low, int):
        return torch.randint(low, high, (B,), generator=generator)
    draws = torch.rand(B, generator=generator, dtype=torch.float64)
    return low + (draws * (high - low)).long()


def _two_different(first: int, both: int, generator: Generator, B: int) -> Tensor:
    """The first below `first`, the second among the first `both` that are left, [2, B]."""
    t1 = torch.randint(0, first, (B,), generator=generator)
    t2 = torch.randint(0, both, (B,), generator=generator)
    return torch.stack([t1, t2 + (t2 >= t1).long()])  # step over the one already marked


def _one_in_each_half(T: int, ends_B: Tensor, generator: Generator) -> Tensor:
    B = len(ends_B)
    t1 = _between(0, T // 2, generator, B)
    return torch.stack([t1, _between(T // 2, T, generator, B)])


def _both_early(T: int, ends_B: Tensor, generator: Generator) -> Tensor:
    return _two_different(T // 6, T // 6 - 1, generator, len(ends_B))


def _anywhere(T: int, ends_B: Tensor, generator: Generator) -> Tensor:
    return _two_different(T, T - 1, generator, len(ends_B))


def _original(T: int, ends_B: Tensor, generator: Generator) -> Tensor:
    return _two_different(10, T // 2 - 1, generator, len(ends_B))


def _pascanu(T: int, ends_B: Tensor, generator: Generator) -> Tensor:
    tenth, half, B = ends_B // 10, ends_B // 2, len(ends_B)
    t1 = _between(torch.zeros_like(tenth), tenth, generator, B)
    return torch.stack([t1, _between(tenth, half, generator, B)])


@dataclass(frozen=True)
class Placement:
    """Where the two marks fall.

    Attributes:
        draw: (T, last steps [B], generator) -> 0-based steps of the two marks, [2, B].
        shortest: the smallest T.
        longest: T -> the largest length of a sequence; lengths are uniform from T to that.
    """

    draw: Callable[[int, Tensor, Generator], Tensor]
    shortest: int
    longest: Callable[[int], int] = lambda T: T


HALVES = Placement(_one_in_each_half, 2)
EARLY = Placement(_both_early, 12)
ANYWHERE = Placement(_anywhere, 2)
ORIGINAL = Placement(_original, 12, lambda T: T * 11 // 10)
PASCANU = Placement(_pascanu, 10, lambda T: (T * 11 - 1) // 10)


class Marked:
    """Two channels, a value and a mark; asked at the last step.

    Where marks fall, by placement: HALVES, one in each half. EARLY, both in the first sixth.
    ANYWHERE, two different steps. ORIGINAL (Hochreiter & Schmidhuber 1997): length U[T, 1.1 T], the
    first among the first 10 steps, the second among the first T/2 - 1 still unmarked; the first and
    the last step carry -1, also where the first is marked, whose value is then not counted. PASCANU
    (Pascanu et al. 2013): length L in [T, 1.1 T), the first in [0, L/10), the second in [L/10,
    L/2).
    """

    input_size = 2
    channels = ("value", "mark")
    placements: dict[str, Placement]  # by protocol

    def __init__(self, length: int, protocol: str) -> None:
        name = type(self).__name__.lower()
        check_choice("protocol", protocol, self.placements, name)
        self.length, self.protocol = length, protocol
        self.placement = self.placements[protocol]
        check_length(length, self.placement.shortest, f"{name} ({protocol})")
        self.original = self.placement is ORIGINAL
        self.steps = self.placement.longest(length)

    def draw_values(self, T: int, B: int, generator: Generator) -> Tensor:
        """Values U[0, 1], [T, B]."""
        return torch.rand(T, B, generator=generator)

    def answer(self, x_2B: Tensor, counted_2B: Tensor) -> Tensor:
        """The target from the two marked values, [B].

        Args:
            counted_2B: False where a marked value does not count (ORIGINAL's first step).
        """
        raise NotImplementedError

    def sample(self, batch_size: int, generator: Generator) -> Batch:
        """Draw `batch_size` sequences; see the class for the distribution."""
        S, B = self.steps, batch_size
        ends_B = torch.full((B,), S)
        if self.steps > self.length:
            ends_B = torch.randint(self.length, S + 1, (B,), generator=generator)
        values_SB = self.draw_values(S, B, generator)
        if self.steps > self.length:
            values_SB = values_SB * (torch.arange(S)[:, None] < ends_B)
        chosen_2B = self.placement.draw(self.length, ends_B, generator)
        marks_SB = torch.zeros(S, B).scatter_(0, chosen_2B, 1.0)
        counted_2B = torch.ones_like(chosen_2B, dtype=torch.bool)
        if self.original:
            counted_2B = chosen_2B > 0
            marks_SB[0] = -1.0
            marks_SB.scatter_(0, ends_B[None] - 1, -1.0)
        answers_B = self.answer(values_SB.gather(0, chosen_2B), counted_2B)
        return asked_at_end(torch.stack([values_SB, marks_SB], 2), answers_B, ends_B)

    def needed_lags(self, batch: Batch) -> list[Tensor]:
        """tau - t1 and tau - t2, the two marked steps, [B, 2]."""
        marks_BS = batch.inputs[:, :, 1].T > 0
        if self.original:  # a marked first step shows -1; it is where the other value would be
            first = batch.inputs[0, :, 1] < 0
            marks_BS = marks_BS.clone()
            marks_BS[:, 0] |= first & (marks_BS.sum(1) < 2)
        steps_B2 = marks_BS.nonzero()[:, 1].reshape(-1, 2) + 1
        return [batch.last_scored_step()[:, None] - steps_B2]
