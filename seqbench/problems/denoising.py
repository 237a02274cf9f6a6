"""Denoising: ten symbols scattered in noise, recalled in order after a marker."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from seqbench.problems.batch import Batch
from seqbench.problems.checks import check_length
from seqbench.problems.recall import BLANK, Recall


class Denoising(Recall):
    """10 symbols of 9 classes at different random steps among T+9, noise (one symbol, 0) at the
    others, a marker, 10 steps of noise; target: T+10 noise, then the symbols in order.

    Inputs one-hot over 11 classes, outputs over 10, cross-entropy averaged over all T+20 steps.
    Score: the share of symbols right; solved at 99 %. Fresh sequences.

    Baselines: as for copy (`seqbench.problems.recall`): 10 ln 9/(T+20) for one who knows when.

    Deviations: the authors' code draws the steps with replacement, so that symbols get lost, and
    shows its marker as a column that the one-hot code does not have, all zeros; both are mended.

    Args:
        length: T, at least 1.

    Raises:
        InputError: a length below 1.

    Source: Jing et al. 2019, Gated orthogonal recurrent units, Neural Computation 31(4),
    arXiv:1706.02761.
    """

    def __init__(self, length: int) -> None:
        super().__init__(check_length(length, 1, "denoising"), symbols=10, classes=9)

    def show(self, shown_SB: Tensor, symbols_nB: Tensor, generator: Generator) -> None:
        """At n different steps before the marker, in order."""
        before = torch.rand(self.steps - self.n - 1, shown_SB.shape[1], generator=generator)
        shown_SB.scatter_(0, before.topk(self.n, 0).indices.sort(0).values, symbols_nB)

    def needed_lags(self, batch: Batch) -> list[Tensor]:
        """From the first and the last recall step back to where its symbol was shown."""
        shown_BS = batch.inputs[:, :, BLANK].T == 0
        steps_Bn = shown_BS.nonzero()[:, 1].reshape(-1, self.n + 1)[:, :-1] + 1  # the marker last
        first_B, last_B = self.anchors(batch)
        return [(first_B - steps_Bn[:, 0])[:, None], (last_B - steps_Bn[:, -1])[:, None]]
