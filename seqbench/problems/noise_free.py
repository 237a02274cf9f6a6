"""Noise-free long lag: the first symbol of a fixed sequence comes again at its end."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from seqbench.problems.batch import Baseline, Batch
from seqbench.problems.checks import check_length
from seqbench.problems.kinds import Classification, one_hot, share_learned


class NoiseFree(Classification):
    """The sequence (y, 1, ..., p-1, y) or (x, 1, ..., p-1, x), as likely; predict the next symbol.

    p + 1 symbols, one-hot; p are shown, each asks for the next one: cross-entropy averaged over the
    p steps. Score: the share of last symbols right, the one that must be remembered; solved at
    99 %. Fresh sequences (there are only two).

    Baseline: all is known but x or y at the end, ln 2 / p.

    Args:
        length: p, at least 2: the first symbol is needed p - 1 steps later.

    Raises:
        InputError: a length too short.

    Source: Hochreiter & Schmidhuber 1997, section 5.2, experiment 2a, after Mozer 1992.
    """

    def __init__(self, length: int) -> None:
        self.steps = check_length(length, 2, "noise_free")
        self.input_size = self.output_size = length + 1
        self.symbols = ("x", "y", *map(str, range(1, length)))
        self.classes = self.symbols
        self.baselines = {"the order, not the first": Baseline(math.log(2) / length, 0.5)}

    def sample(self, batch_size: int, generator: Generator) -> Batch:
        """Draw `batch_size` sequences, every step scored."""
        first_B = torch.randint(0, 2, (batch_size,), generator=generator)
        whole = torch.arange(1, self.steps + 2)[:, None].repeat(1, batch_size)
        whole[0] = whole[-1] = first_B
        inputs_TBI = one_hot(whole[:-1], self.input_size)
        return Batch(inputs_TBI, whole[1:], torch.ones(self.steps, batch_size))

    def score(self, answers: Tensor, targets: Tensor, weights: Tensor) -> dict[str, float]:
        """Share of last symbols right, share learned."""
        score = (answers[-1] == targets[-1]).double().mean().item()
        return {"score": score, "share_learned": share_learned(0.5, score, 1.0)}

    def needed_lags(self, batch: Batch) -> list[Tensor]:
        """Back to the first step."""
        return [batch.last_scored_step()[:, None] - 1]
