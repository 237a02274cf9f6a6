"""The XOR problem: two of many bits are marked; do they differ?"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from seqbench.problems import marks
from seqbench.problems.batch import Baseline
from seqbench.problems.kinds import Classification


class XOR(Classification, marks.Marked):
    """Two input channels, a bit (0 or 1) and a mark; two classes at the last step, 1: they differ.

    Marks as in `seqbench.problems.adding`: protocol "seqbench" (one in each half), "early",
    "anywhere", "pascanu2013". Solved at 99 % right. Fresh sequences.

    Baselines: ln 2, whether one knows nothing or one of the two bits.

    Args:
        length: T, at least 2 (early: 12; pascanu2013: 10).
        protocol: one of the above.

    Raises:
        InputError: another protocol, a length too short.

    Source: Martens & Sutskever 2011, section 4.1, after Hochreiter & Schmidhuber 1997.
    """

    output_size = 2
    placements = {  # noqa: RUF012
        "seqbench": marks.HALVES,
        "anywhere": marks.ANYWHERE,
        "pascanu2013": marks.PASCANU,
        "early": marks.EARLY,
    }

    def __init__(self, length: int, protocol: str = "seqbench") -> None:
        super().__init__(length, protocol)
        self.baselines = {"knowing nothing": Baseline(math.log(2), 0.5)}

    def draw_values(self, T: int, B: int, generator: Generator) -> Tensor:
        """Fair bits, [T, B]."""
        return torch.randint(0, 2, (T, B), generator=generator).float()

    def answer(self, x_2B: Tensor, counted_2B: Tensor) -> Tensor:
        """Whether the two bits differ."""
        return (x_2B[0] != x_2B[1]).long()
