"""The copy memory problem: recall ten symbols after T blanks."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from seqbench.problems.batch import Baseline
from seqbench.problems.checks import check_choice, check_length, check_train_set
from seqbench.problems.recall import Recall

TRAIN_SETS = {"arjovsky2016": 100_000, "tcn2018": 10_000, "exprnn2019": 0, "variable": 0}


class Copy(Recall):
    """10 symbols, T-1 blanks, a delimiter, 10 blanks; target: T+10 blanks, then the symbols.

    Inputs are one-hot over 10 classes, outputs over 9; the loss is the cross-entropy averaged over
    all T+20 steps, from a fixed training set of 100,000 sequences (protocol "arjovsky2016").

    "tcn2018": eleven delimiters, from the step before the recall to the end; the input is the digit
    itself, one channel; a fixed set of 10,000. "exprnn2019": the delimiter stands at the first
    recall step, after T blanks; fresh sequences. "variable": as arjovsky2016 with a delay of its
    own for each sequence, U{1..T}, in place of T (so there are T+20 steps at most); fresh
    sequences.

    The score is the share of the 10 recalled symbols that are right, so that the blanks can't carry
    it; solved at 99 %.

    Baselines: who knows when but not what pays ln 8 at ten of T+20 steps ("variable": the mean of
    that over the delays). Stateless: see `stateless`; where inputs are blanks to be answered by b
    blanks and s symbols that is an entropy.

    Args:
        length: T, at least 1.
        protocol: one of the above.
        train_set: sequences in the training set, 0 for fresh ones; None: the protocol's own.

    Raises:
        InputError: another protocol, a length below 1, a negative train_set.

    Source: Arjovsky et al. 2016, section 5.1, and their code; Hochreiter & Schmidhuber 1997; Bai et
    al. 2018 (TCN); Lezcano-Casado & Martinez-Rubio 2019 (expRNN); the variable delay: Henaff et
    al. 2016, Tallec & Ollivier 2018.
    """

    def __init__(
        self, length: int, protocol: str = "arjovsky2016", train_set: int | None = None
    ) -> None:
        self.protocol = check_choice("protocol", protocol, TRAIN_SETS, "copy")
        super().__init__(check_length(length, 1, "copy"), symbols=10, classes=8)
        own = TRAIN_SETS[protocol]
        self.train_set = check_train_set(own if train_set is None else train_set)
        if protocol == "tcn2018":
            self.input_size, self.channels, self.symbols = 1, ("digit",), ()
            self.delimiters = range(-1, self.n)
            self.baselines["stateless"] = self.stateless(1, self.n, self.steps)
        elif protocol == "exprnn2019":
            self.delimiters = (0,)
            self.baselines["stateless"] = self._delimiter_at_recall()
        elif protocol == "variable":
            self.baselines = self._over_delays()
        if protocol in ("arjovsky2016", "tcn2018"):
            self.blank_steps = range(self.n, length + self.n - 1)  # between show and recall

    def draw_ends(self, batch_size: int, generator: Generator) -> Tensor:
        """A delay and 20 steps."""
        if self.protocol != "variable":
            return super().draw_ends(batch_size, generator)
        delays_B = torch.randint(1, self.length + 1, (batch_size,), generator=generator)
        return delays_B + 2 * self.n

    def encode(self, shown_SB: Tensor, ends_B: Tensor) -> Tensor:
        """One-hot; tcn2018: the digits."""
        if self.protocol == "tcn2018":
            return shown_SB[:, :, None].float()
        return super().encode(shown_SB, ends_B)

    def _delimiter_at_recall(self) -> Baseline:
        # The delimiter says that the first symbol is asked; nine blanks of T + 9 ask for the rest.
        rest = self.stateless(self.length, self.n - 1, self.steps)
        loss = rest.loss + math.log(self.k) / self.steps
        return Baseline(loss, (1 / self.k + (self.n - 1) * rest.score) / self.n)

    def _over_delays(self) -> dict[str, Baseline]:
        # A step of a sequence with delay d weighs 1/(d + 20): masses instead of counts.
        delays = range(1, self.length + 1)
        symbols = sum(self.n / (d + 2 * self.n) for d in delays) / self.length
        blanks = sum((d - 1) / (d + 2 * self.n) for d in delays) / self.length
        return {
            "knowing when, not what": Baseline(symbols * math.log(self.k), 1 / self.k),
            "stateless": self.stateless(blanks, symbols, 1.0),
        }
