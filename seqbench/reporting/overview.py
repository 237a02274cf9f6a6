"""A line a cell, in words: how far the flow reaches before and after training, what it solves."""

from __future__ import annotations

import pandas as pd

from seqbench.reporting.told import decades
from seqbench.reporting.words import DASH

NOTE = (
    "S before and after training: the output flow at the median longest needed lag of the largest "
    "length, in decades, median over seeds. Longest T solved: by at least half of the seeds, and "
    "all shorter ones too."
)


def lines(table: pd.DataFrame) -> list[list[str]]:
    """The table in words: cell, parameters, learning rate, S before, S after, longest length."""
    return [
        [
            row.cell,
            row.parameters or DASH,
            f"{row.learning_rate:g}" if pd.notna(row.learning_rate) else DASH,
            _level(row.s_start),
            _level(row.s_end),
            (f"{row.longest}" if row.longest else "none") + (" or more" if row.undecided else ""),
        ]
        for row in table.itertuples()
    ]


def heads(table: pd.DataFrame) -> list[str]:
    """What stands above the columns."""
    length = table["length"].iloc[0]
    return ["cell", "parameters", "learning rate", f"S before, T = {length}",
            f"S after, T = {length}", "longest T solved"]  # fmt: skip


def _level(value: float) -> str:
    return DASH if pd.isna(value) else decades(value)
