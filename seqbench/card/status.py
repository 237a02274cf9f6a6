"""How a trial ended: one list of the statuses, with all that anybody says or draws of them."""

from __future__ import annotations

from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """What became of a trial; the value is what files say.

    Attributes:
        word: in a sentence, after a number of trials.
        sign: one character, for a table.
        marker, colour: of a point in a figure (matplotlib's letters).
        meaning: for somebody who reads it for the first time.
        told: for one trial, filled in from its summary.
    """

    SOLVED = (
        "solved",
        "solved",
        "●",
        "o",
        "#009E73",
        "it met the problem's criterion at three evaluations in a row",
        "solved at training step {solved_at:,}",
    )
    DONE = (
        "done",
        "ran out of budget",
        "○",
        "s",
        "#E69F00",
        "it spent its training steps without meeting the criterion",
        "budget spent, loss {loss:.4g}, {score:.0%} right",
    )
    DIVERGED = (
        "diverged",
        "diverged",
        "△",
        "^",
        "#D55E00",
        "its loss became infinite or not a number",
        "diverged at training step {steps:,}",
    )
    ERROR = (
        "error",
        "ended in an error",
        "✕",
        "X",
        "#882255",
        "the cell or the problem raised an error: there is no result",
        "error: {error}",
    )
    INTERRUPTED = (
        "interrupted",
        "not finished",
        "–",
        "|",
        "#6b6b6b",
        "it has not been run to its end: there is no result",
        "not finished",
    )

    word: str
    sign: str
    marker: str
    colour: str
    meaning: str
    told: str

    def __new__(cls, value: str, *said: str) -> Status:
        one = str.__new__(cls, value)
        one._value_ = value
        one.word, one.sign, one.marker, one.colour, one.meaning, one.told = said
        return one

    def of(self, summary: dict[str, Any]) -> str:
        """How this trial ended, in words."""
        return self.told.format(**summary)


FINISHED = (Status.SOLVED, Status.DONE, Status.DIVERGED)  # they have a result
WITHOUT = (Status.ERROR, Status.INTERRUPTED)  # these have none
RECORDED = (*FINISHED, Status.ERROR)  # these have a trial.json
