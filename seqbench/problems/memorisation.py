"""Noiseless memorisation: five bits, or ten symbols of five, recalled after T steps."""

from __future__ import annotations

from seqbench.problems.checks import check_choice, check_length
from seqbench.problems.recall import Recall

PATTERNS = {5: (5, 2), 20: (10, 5)}  # bits -> positions, values


class Memorisation(Recall):
    """bits = 5: 5 positions of 2 values; bits = 20: 10 positions of 5 values (more than 20 bits).

    The pattern of n symbols, T-1 distractors, a cue, n distractors; target: T+n distractors, then
    the pattern. Inputs one-hot: the values, the distractor, the cue; cross-entropy averaged over
    all T+2n steps. Score: the share of the pattern right; solved at 99 %. Fresh sequences.

    Baselines: as for copy (`seqbench.problems.recall`), n ln k / (T + 2n) for one who knows when.

    Args:
        length: T, at least 1.
        bits: 5 or 20.

    Raises:
        InputError: a length below 1, another number of bits.

    Source: Hochreiter & Schmidhuber 1997; Martens & Sutskever 2011, section 4.2; the layout: Jaeger
    2012, Long short-term memory in echo state networks: details of a simulation study.
    """

    def __init__(self, length: int, bits: int = 5) -> None:
        positions, values = PATTERNS[check_choice("bits", bits, PATTERNS, "memorisation")]
        super().__init__(check_length(length, 1, "memorisation"), positions, values)
        self.blank_steps = range(self.n, length + self.n - 1)  # between pattern and cue
