"""Selective copying: data tokens scattered in noise are recalled in order."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from seqbench.problems.batch import Baseline, Batch
from seqbench.problems.checks import check_count, check_length
from seqbench.problems.kinds import Classification

NOISE, DATA, MARKER, VOCABULARY = 0, 14, 15, 16  # tokens: 0 noise, 1..14 data, 15 "recall now"


class SelectiveCopying(Classification):
    """T steps of which n, at different random steps, show a data token (1..14) and all others the
    noise token (0); then n markers (15), at which the n data tokens are asked for in order.

    Inputs are tokens of a vocabulary of 16, which the model embeds. Only the n recall steps are
    scored, with cross-entropy over the 14 data tokens; solved at 99 % right. Fresh sequences.

    Baseline: ln 14.

    This generator is our own: the paper has n = 16, a vocabulary of 16 and T = 4096, and no code.

    Args:
        length: T, at least n.
        tokens: n.

    Raises:
        InputError: a length too short, another number of tokens.

    Source: Gu & Dao 2023, Mamba, section 4.1.1, arXiv:2312.00752; Jing et al. 2019.
    """

    vocabulary = VOCABULARY
    input_size, output_size = 1, DATA
    symbols = ("_", *"abcdefghijklmn", ">")
    classes = tuple("abcdefghijklmn")

    def __init__(self, length: int, tokens: int = 16) -> None:
        self.n = check_count("tokens", tokens, 1)
        self.length = check_length(length, tokens, f"selective_copying (tokens = {tokens})")
        self.steps = length + tokens
        self.baselines = {"knowing nothing": Baseline(math.log(DATA), 1 / DATA)}

    def sample(self, batch_size: int, generator: Generator) -> Batch:
        """Draw `batch_size` sequences."""
        T, n, B = self.length, self.n, batch_size
        data_nB = torch.randint(1, DATA + 1, (n, B), generator=generator)
        where_nB = torch.rand(T, B, generator=generator).topk(n, 0).indices.sort(0).values
        tokens_SB = torch.full((self.steps, B), NOISE).scatter_(0, where_nB, data_nB)
        tokens_SB[T:] = MARKER
        targets_SB = torch.zeros_like(tokens_SB)
        targets_SB[T:] = data_nB - 1
        weights_SB = torch.zeros(self.steps, B)
        weights_SB[T:] = 1.0
        return Batch(tokens_SB, targets_SB, weights_SB)

    def anchors(self, batch: Batch) -> list[Tensor]:
        """The first and the last recall step."""
        last_B = batch.last_scored_step()
        return [last_B - self.n + 1, last_B]

    def needed_lags(self, batch: Batch) -> list[Tensor]:
        """Back to where the first and the last data token were shown."""
        data_BT = ((batch.inputs != NOISE) & (batch.inputs != MARKER)).T
        steps_Bn = data_BT.nonzero()[:, 1].reshape(-1, self.n) + 1
        first_B, last_B = self.anchors(batch)
        return [(first_B - steps_Bn[:, 0])[:, None], (last_B - steps_Bn[:, -1])[:, None]]
