"""Multi-query associative recall: pairs of keys and values, then keys alone; which value?"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from seqbench.problems.batch import Baseline, Batch
from seqbench.problems.checks import check_count, check_length
from seqbench.problems.kinds import Classification

POWER = 0.01  # of the law that gaps are drawn by


class MQAR(Classification):
    """n pairs key, value, key, value, ...; then each key once more, at a gap of its own; where a
    key is asked its value is the answer. All other steps show random tokens.

    Tokens of a vocabulary V, which the model embeds: keys are n different of 1..V/2-1, values n
    different of V/2..V-1. Query slots are every second step after the pairs; each key gets a slot
    of its own, slot g with probability proportional to (g + 1)^(POWER - 1) among those still free,
    in the order of the keys. Only queries are scored, by cross-entropy over all V; solved at 99 %
    right. Fresh sequences. The source's settings (T, n): (64, 4), (128, 8), (256, 16), (512, 64).

    Baselines: that it is a value, ln(V/2); that it is one of the n that were shown, ln n.

    Args:
        length: T, at least 4 n.
        pairs: n.
        vocabulary: V, at least 2 n + 2.

    Raises:
        InputError: a length too short, a vocabulary too small.

    Source: Arora et al. 2023, Zoology, arXiv:2312.04927, and their code.
    """

    input_size = 1

    def __init__(self, length: int, pairs: int = 4, vocabulary: int = 8192) -> None:
        self.n = check_count("pairs", pairs, 1)
        self.vocabulary = check_count("vocabulary", vocabulary, 2 * pairs + 2)
        self.steps = check_length(length, 4 * pairs, f"mqar (pairs = {pairs})")
        self.output_size, self.values = vocabulary, vocabulary - vocabulary // 2
        slots = (length - 2 * pairs) // 2
        self.log_odds = (POWER - 1) * torch.arange(1, slots + 1).log()
        self.baselines = {
            "a value, not which": Baseline(math.log(self.values), 1 / self.values),
            "one of those shown": Baseline(math.log(pairs), 1 / pairs),
        }

    def sample(self, batch_size: int, generator: Generator) -> Batch:
        """Draw `batch_size` sequences."""
        T, n, B, half = self.steps, self.n, batch_size, self.vocabulary // 2
        keys_nB = 1 + _different(n, half - 1, B, generator)
        values_nB = half + _different(n, self.values, B, generator)
        slots_nB = _weighted_different(self.log_odds, n, B, generator)
        asked_nB = 2 * n + 2 * slots_nB
        tokens_TB = torch.randint(0, self.vocabulary, (T, B), generator=generator)
        tokens_TB[: 2 * n : 2], tokens_TB[1 : 2 * n : 2] = keys_nB, values_nB
        tokens_TB.scatter_(0, asked_nB, keys_nB)
        targets_TB = torch.zeros_like(tokens_TB).scatter_(0, asked_nB, values_nB)
        weights_TB = torch.zeros(T, B).scatter_(0, asked_nB, 1.0)
        return Batch(tokens_TB, targets_TB, weights_TB)

    def anchors(self, batch: Batch) -> list[Tensor]:
        """Of each sequence the query with the shortest and the one with the longest way back."""
        steps_nB, lags_nB = self._queries(batch)
        return [
            steps_nB.gather(0, lags_nB.argmin(0)[None])[0],
            steps_nB.gather(0, lags_nB.argmax(0)[None])[0],
        ]

    def needed_lags(self, batch: Batch) -> list[Tensor]:
        """From each of the two queries back to its value."""
        _, lags_nB = self._queries(batch)
        return [lags_nB.amin(0)[:, None], lags_nB.amax(0)[:, None]]

    def _queries(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """For each pair the 1-based step of its query, and the lag back to its value, [n, B]."""
        keys_nB = batch.inputs[: 2 * self.n : 2]
        asked_nTB = (batch.inputs == keys_nB[:, None]) & (batch.weights > 0)
        steps_nB = asked_nTB.to(torch.int8).argmax(1) + 1
        shown_n1 = torch.arange(2, 2 * self.n + 1, 2, device=steps_nB.device)[:, None]
        return steps_nB, steps_nB - shown_n1


def _different(n: int, choices: int, B: int, generator: Generator) -> Tensor:
    """n different ones of 0..choices-1 in random order, [n, B]."""
    return torch.rand(B, choices, generator=generator).topk(n, 1).indices.T


def _weighted_different(log_odds: Tensor, n: int, B: int, generator: Generator) -> Tensor:
    """n different ones, drawn one after another by these odds, [n, B]: the n largest of log odds
    with Gumbel noise, in their order (Yellott 1977)."""
    uniform = torch.rand(B, len(log_odds), generator=generator).clamp_min(1e-30)
    return (log_odds - (-uniform.log()).log()).topk(n, 1).indices.T
