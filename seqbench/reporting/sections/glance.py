"""A line a cell: how far the flow reaches before and after training, what it solves."""

from __future__ import annotations

from typing import Any

import pandas as pd

from seqbench.analysis.study import Study
from seqbench.reporting.blocks import Table, Text
from seqbench.reporting.sections.comparison import both_ends
from seqbench.reporting.words import DASH, decades, percent

NOTE = (
    "S, half-life, credit and seconds: at {at}. S: the output flow at the median longest "
    "needed lag, in decades, median over seeds. Half-life: the lag at which the flow has fallen to "
    "a half, before → after training (≥ K: not within the largest lag). Longest {symbol} solved: "
    "by "
    "at least half of the seeds, and all shorter ones too; lengths solved: of all lengths. "
    "Learned: "
    "the interquartile mean over all lengths and seeds of {what}, with its 95 % bootstrap interval "
    "where there are 5 seeds. Seconds: of a trial, median."
)
CREDIT = (
    "Credit: the slope of the answer on the values that it should depend on, 1 where it depends on "
    "them fully and 0 where not at all; no cell's state is in it, so that cells can be compared. "
    "It is what the backward pass says: of a cell whose gradient is damped, less than the slope "
    "that its answer has. Medians over seeds."
)
LINE = "A line a cell"
LEARNED = "what was learned at the end (0: nothing, 1: all)"
RIGHT = "the share that was right at the end"


class Glance:
    """The overview."""

    title = "At a glance"

    def blocks(self, study: Study) -> list[Table | Text]:
        """The table and how to read it."""
        table = study.overview
        length = table["length"].iloc[0]
        heads = [
            "cell",
            "parameters",
            "learning rate",
            "S before",
            "S after",
            "half-life",
            f"longest {study.unit.symbol} solved",
            "lengths solved, %",
            "learned, %",
            "seconds",
        ]
        here = study.comparison[study.comparison["length"] == length]
        lives = {row["cell"]: both_ends(row, "half_life") for _, row in here.iterrows()}
        rows = lines(table.merge(study.headline, on="cell"), lives)
        notes = []
        if len(study.credit):
            heads += ["credit before", "credit after"]
            credit = table[["cell"]].merge(study.credit, on="cell", how="left")
            for row, (_, start, end) in zip(rows, credit.itertuples(index=False), strict=True):
                row += [slope(start), slope(end)]
            notes = [CREDIT]
        facts = {"at": study.unit.at(length), "symbol": study.unit.symbol}
        what = LEARNED if "share_learned" in study.comparison else RIGHT
        return [
            Table("overview", table, heads, rows, "l" + "r" * (len(heads) - 1), title=LINE),
            Table("headline", study.headline),
            Text([NOTE.format(what=what, **facts), *notes], "note"),
        ]


def slope(value: float) -> str:
    """A slope to two places."""
    return DASH if pd.isna(value) else f"{round(value, 2) + 0.0:.2f}".replace("-", "−")  # no −0.00


def lines(table: pd.DataFrame, lives: dict[str, str]) -> list[list[str]]:
    """The table in words.

    Args:
        table: the overview with the headline numbers.
        lives: cell -> its half-life at both ends of training.
    """
    return [
        [
            row.cell,
            _range(row.parameters) or DASH,
            f"{row.learning_rate:g}" if pd.notna(row.learning_rate) else DASH,
            decades(row.s_start),
            decades(row.s_end),
            lives.get(row.cell, DASH),
            (f"{row.longest}" if row.longest else "none") + (" or more" if row.undecided else ""),
            percent(row.lengths_solved),
            _learned(row),
            DASH if pd.isna(row.seconds) else f"{row.seconds:,.0f}",
        ]
        for row in table.itertuples()
    ]


def _range(numbers: str) -> str:
    """Of many numbers, the ends."""
    each = numbers.split(", ")
    return numbers if len(each) < 3 else f"{each[0]} – {each[-1]}"


def _learned(row: Any) -> str:
    if pd.isna(row.learned):
        return DASH
    if pd.isna(row.learned_low):
        return percent(row.learned)
    return f"{percent(row.learned)} [{percent(row.learned_low)}, {percent(row.learned_high)}]"
