"""The copy memory problem: recall ten symbols after T blanks."""

from __future__ import annotations

from seqbench.problems.checks import check_choice, check_length, check_train_set
from seqbench.problems.recall import Recall


class Copy(Recall):
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

    def __init__(
        self, length: int, protocol: str = "arjovsky2016", train_set: int = 100_000
    ) -> None:
        check_choice("protocol", protocol, ["arjovsky2016"], "copy")
        super().__init__(check_length(length, 1, "copy"), symbols=10, classes=8)
        self.train_set = check_train_set(train_set)
        self.blank_steps = range(self.n, length + self.n - 1)  # between show and recall
