"""A line a cell: how far the flow reaches before and after training, what it solves."""

from __future__ import annotations

import pandas as pd

from seqbench.analysis.study import Study
from seqbench.reporting.blocks import Table, Text
from seqbench.reporting.words import DASH, decades

NOTE = (
    "S before and after training: the output flow at the median longest needed lag of the largest "
    "length, in decades, median over seeds. Longest T solved: by at least half of the seeds, and "
    "all shorter ones too."
)


class Glance:
    """The overview."""

    title = "At a glance"

    def blocks(self, study: Study) -> list[Table | Text]:
        """The table and how to read it."""
        table = study.overview
        at = f"T = {table['length'].iloc[0]}"
        heads = [
            "cell",
            "parameters",
            "learning rate",
            f"S before, {at}",
            f"S after, {at}",
            "longest T solved",
        ]
        rows = lines(table)
        return [
            Table("overview", table, heads, rows, "lrrrrr", title="A line a cell"),
            Text([NOTE], "note"),
        ]


def lines(table: pd.DataFrame) -> list[list[str]]:
    """The table in words: cell, parameters, learning rate, S before, S after, longest length."""
    return [
        [
            row.cell,
            row.parameters or DASH,
            f"{row.learning_rate:g}" if pd.notna(row.learning_rate) else DASH,
            decades(row.s_start),
            decades(row.s_end),
            (f"{row.longest}" if row.longest else "none") + (" or more" if row.undecided else ""),
        ]
        for row in table.itertuples()
    ]
