"""The copy memory problem: recall ten symbols after T blanks."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from seqbench.errors import InputError
from seqbench.problems.batch import Baseline, Batch, check_train_set

SYMBOLS = 10  # shown, and recalled
CLASSES = 8  # symbols 1..8; 0 is the blank
BLANK, DELIMITER = 0, 9


class Copy:
    """10 symbols, T-1 blanks, a delimiter, 10 blanks; target: T+10 blanks, then the symbols.

    Inputs are one-hot over 10 classes, outputs over 9; the loss is the cross-entropy averaged over
    all T+20 steps, from a fixed training set of 100,000 sequences (protocol "arjovsky2016").

    The score is the share of the 10 recalled symbols that are right, so that the blanks can't carry
    it; solved at 99 %.

    Args:
        length: T, at least 1.
        protocol: "arjovsky2016".
        train_set: sequences in the training set, 0 for fresh ones; None: the protocol's own.

    Raises:
        InputError: another protocol, a length below 1, a negative train_set.

    Source: Arjovsky et al. 2016, section 5.1, and their code; Hochreiter & Schmidhuber 1997.
    """

    input_size = 10
    output_size = 9

    def __init__(
        self, length: int, protocol: str = "arjovsky2016", train_set: int = 100_000
    ) -> None:
        if protocol != "arjovsky2016":
            raise InputError(
                f"problem.protocol = {protocol!r}: copy has no such protocol\nallowed: arjovsky2016"
            )
        if length < 1:
            raise InputError(f"lengths: {length} is too short for copy\nallowed: 1 or more")
        self.length = length
        self.train_set = check_train_set(train_set)
        self.steps = length + 2 * SYMBOLS
        self.blank_steps = range(SYMBOLS, length + SYMBOLS - 1)  # 0-based, between show and recall
        self.baselines = {
            "knowing when, not what": Baseline(
                SYMBOLS * math.log(CLASSES) / self.steps, 1 / CLASSES
            ),
            "stateless": self._stateless(),
        }

    def sample(self, batch_size: int, generator: torch.Generator) -> Batch:
        """Draw `batch_size` sequences of T+20 steps, every step scored."""
        symbols_SB = torch.randint(1, CLASSES + 1, (SYMBOLS, batch_size), generator=generator)
        shown_TB = torch.full((self.steps, batch_size), BLANK)
        shown_TB[:SYMBOLS] = symbols_SB
        shown_TB[self.steps - SYMBOLS - 1] = DELIMITER
        targets_TB = torch.full((self.steps, batch_size), BLANK)
        targets_TB[-SYMBOLS:] = symbols_SB
        inputs_TBI = F.one_hot(shown_TB, self.input_size).float()
        return Batch(inputs_TBI, targets_TB, torch.ones(self.steps, batch_size))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of each step, [S, B, 9] and [S, B] -> [S, B]."""
        return F.cross_entropy(outputs.flatten(0, 1), targets.flatten(), reduction="none").view(
            targets.shape
        )

    def score(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> dict[str, float]:
        """Share of symbols right, share of sequences right, and the loss over the recall alone.

        A recall loss above ln 8 = 2.079 says that not even *when* is known.
        """
        recall, symbols = outputs[-SYMBOLS:], targets[-SYMBOLS:]
        right = recall.argmax(-1) == symbols
        return {
            "score": right.double().mean().item(),
            "sequences_right": right.all(0).double().mean().item(),
            "recall_loss": self.loss(recall, symbols).double().mean().item(),
        }

    def solved(self, numbers: dict[str, float]) -> bool:
        """At least 99 % of the recalled symbols right."""
        return numbers["score"] >= 0.99

    def anchors(self, batch: Batch) -> list[Tensor]:
        """The first and the last recall step."""
        batch_size = batch.inputs.shape[1]
        return [torch.full((batch_size,), step) for step in (self.length + 11, self.length + 20)]

    def needed_lags(self, batch: Batch) -> list[Tensor]:
        """Each symbol is recalled T+10 steps after it was shown."""
        batch_size = batch.inputs.shape[1]
        return [torch.full((batch_size, 1), self.length + 10)] * 2

    def _stateless(self) -> Baseline:
        # Who sees the present input only can't tell a blank to be answered by a blank from one
        # to be answered by a symbol: T-1 against 10 of T+9.
        blanks, n = self.length - 1, self.length - 1 + SYMBOLS
        entropy = SYMBOLS / n * math.log(n * CLASSES / SYMBOLS)
        if blanks:
            entropy += blanks / n * math.log(n / blanks)
        # The likeliest answer to a blank: a blank, unless there are hardly any.
        score = 0.0 if blanks > SYMBOLS / CLASSES else 1 / CLASSES
        return Baseline(n * entropy / self.steps, score)
