"""State tracking: the product of all that was shown so far, in a small group; parity is one."""

from __future__ import annotations

import math
from itertools import permutations

import torch
from torch import Generator, Tensor

from seqbench.problems.batch import Baseline, Batch
from seqbench.problems.checks import check_choice, check_length
from seqbench.problems.kinds import Classification


def _cyclic(n: int) -> Tensor:
    return (torch.arange(n)[:, None] + torch.arange(n)) % n


def _symmetric(n: int) -> Tensor:
    elements = list(permutations(range(n)))
    index = {element: i for i, element in enumerate(elements)}
    return torch.tensor([[index[tuple(b[k] for k in a)] for b in elements] for a in elements])


GROUPS = {
    "parity": lambda: _cyclic(2),
    "z5": lambda: _cyclic(5),
    "s3": lambda: _symmetric(3),
    "s5": lambda: _symmetric(5),
}


class StateTracking(Classification):
    """T elements of a group, each as likely; after each, answer with the product of all so far.

    group "parity": bits, and whether the number of ones is odd; "z5": sums modulo 5; "s3", "s5":
    permutations of 3 or 5 things, first to last. Tokens, which the model embeds; every step is
    scored by cross-entropy; solved at 99 % right. Fresh sequences. A bounded state solves it at any
    length: evaluate beyond the one trained at.

    Baselines, with n elements: knowing nothing ln n. Who sees the present element x alone: at the
    first of T steps the answer is x, at all others any is as likely, so x has probability
    1/T + (1 - 1/T)/n and the others share the rest.

    Args:
        length: T, at least 2.
        group: "parity", "z5", "s3" or "s5".

    Raises:
        InputError: another group, a length too short.

    Source: parity: Hochreiter & Schmidhuber 1997, section 5.1; groups: Liu et al. 2023b,
    Transformers learn shortcuts to automata, ICLR; Merrill, Petty & Sabharwal 2024, The illusion of
    state in state-space models, ICML, arXiv:2404.08819.
    """

    input_size = 1

    def __init__(self, length: int, group: str = "parity") -> None:
        self.table = GROUPS[check_choice("group", group, GROUPS, "state_tracking")]()
        self.steps = check_length(length, 2, "state_tracking")
        n = self.vocabulary = self.output_size = len(self.table)
        self.symbols = self.classes = tuple(map(str, range(n)))
        same = 1 / length + (1 - 1 / length) / n
        other = (1 - same) / (n - 1)
        self.baselines = {
            "knowing nothing": Baseline(math.log(n), 1 / n),
            "the present one": Baseline(
                -same * math.log(same) - (n - 1) * other * math.log(other), same
            ),
        }

    def sample(self, batch_size: int, generator: Generator) -> Batch:
        """Draw `batch_size` sequences."""
        size = (self.steps, batch_size)
        tokens_TB = torch.randint(0, self.vocabulary, size, generator=generator)
        products_TB, reach = tokens_TB, 1  # each is the product of the last `reach` elements
        while reach < self.steps:
            longer = self.table[products_TB[:-reach], products_TB[reach:]]
            products_TB = torch.cat([products_TB[:reach], longer])
            reach *= 2
        return Batch(tokens_TB, products_TB, torch.ones(size))

    def needed_lags(self, batch: Batch) -> list[Tensor]:
        """All: 0 to T - 1."""
        return [torch.arange(self.steps).repeat(batch.inputs.shape[1], 1)]
