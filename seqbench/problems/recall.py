"""Symbols are shown, and recalled in order at the end: copy, memorisation, denoising.

Shapes: T the card's length, S steps, B sequences, n symbols shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from seqbench.problems.batch import Baseline, Batch
from seqbench.problems.kinds import cross_entropy, one_hot, share_learned

BLANK = 0  # in inputs and targets; symbols are 1..k, the delimiter is k + 1


class Recall:
    """n symbols of k classes, T-1 blanks, a delimiter, n blanks; target: T+n blanks, the symbols.

    Inputs are one-hot over k + 2 classes, outputs over k + 1; the loss is the cross-entropy
    averaged over all T + 2n steps. The score is the share of the n recalled symbols that are right,
    so that the blanks can't carry it; solved at 99 %.

    Args:
        length: T, at least 1.
        symbols: n.
        classes: k.
    """

    delimiters: Sequence[int] = (-1,)  # at these steps, counted from the first recall step

    def __init__(self, length: int, symbols: int, classes: int) -> None:
        self.length, self.n, self.k = length, symbols, classes
        self.input_size, self.output_size = classes + 2, classes + 1
        self.steps = length + 2 * symbols
        self.symbols = ("_", *map(str, range(1, classes + 1)), ">")  # as `show` writes them
        self.classes = self.symbols[:-1]
        self.baselines = {
            "knowing when, not what": Baseline(
                symbols * math.log(classes) / self.steps, 1 / classes
            ),
            "stateless": self.stateless(length - 1, symbols, self.steps),
        }

    def sample(self, batch_size: int, generator: Generator) -> Batch:
        """Draw `batch_size` sequences, every step scored."""
        ends_B = self.draw_ends(batch_size, generator)
        size = (self.n, batch_size)
        symbols_nB = torch.randint(1, self.k + 1, size, generator=generator)
        recall_nB = ends_B - self.n + torch.arange(self.n)[:, None]
        shown_SB = torch.full((self.steps, batch_size), BLANK)
        self.show(shown_SB, symbols_nB, generator)
        marked_dB = ends_B - self.n + torch.tensor(self.delimiters)[:, None]
        shown_SB.scatter_(0, marked_dB, self.k + 1)
        targets_SB = torch.full_like(shown_SB, BLANK).scatter_(0, recall_nB, symbols_nB)
        inside_SB = torch.arange(self.steps)[:, None] < ends_B
        return Batch(self.encode(shown_SB, ends_B), targets_SB, inside_SB.float())

    def draw_ends(self, batch_size: int, generator: Generator) -> Tensor:
        """How many steps each sequence has, [B]: all."""
        return torch.full((batch_size,), self.steps)

    def show(self, shown_SB: Tensor, symbols_nB: Tensor, generator: Generator) -> None:
        """Put the symbols where they are shown: the first n steps."""
        shown_SB[: self.n] = symbols_nB

    def encode(self, shown_SB: Tensor, ends_B: Tensor) -> Tensor:
        """The symbols as inputs, [S, B, I]: one-hot."""
        return one_hot(shown_SB, self.input_size, ends_B)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of each step, [S, B, O] and [S, B] -> [S, B]."""
        return cross_entropy(outputs, targets)

    def score(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> dict[str, float]:
        """Share of symbols right, of sequences right, the loss over the recall, share learned.

        A recall loss above ln k (copy: 2.079) says that not even *when* is known.
        """
        asked = (targets != BLANK) & (weights > 0)
        right = outputs.argmax(-1) == targets
        score = right[asked].double().mean().item()
        recall_loss = F.cross_entropy(outputs[asked], targets[asked], reduction="none")
        return {
            "score": score,
            "share_learned": share_learned(1 / self.k, score, 1.0),
            "sequences_right": (right | ~asked).all(0).double().mean().item(),
            "recall_loss": recall_loss.double().mean().item(),
        }

    def solved(self, numbers: dict[str, float]) -> bool:
        """At least 99 % of the recalled symbols right."""
        return numbers["score"] >= 0.99

    def anchors(self, batch: Batch) -> list[Tensor]:
        """The first and the last recall step."""
        last_B = batch.last_scored_step()
        return [last_B - self.n + 1, last_B]

    def needed_lags(self, batch: Batch) -> list[Tensor]:
        """Each symbol is recalled as many steps after it was shown as the sequence has, less n."""
        return [(batch.last_scored_step() - self.n)[:, None]] * 2

    def stateless(self, blanks: float, symbols: float, steps: float) -> Baseline:
        """Who sees the present input only can't tell a blank to be answered by a blank from one to
        be answered by a symbol.

        Args:
            blanks, symbols: how many steps there are of either kind, of `steps` in all.
        """
        n = blanks + symbols
        entropy = symbols / n * math.log(n * self.k / symbols)
        if blanks:
            entropy += blanks / n * math.log(n / blanks)
        # The likeliest answer to a blank: a blank, unless there are hardly any.
        score = 0.0 if blanks > symbols / self.k else 1 / self.k
        return Baseline(n * entropy / steps, score)
