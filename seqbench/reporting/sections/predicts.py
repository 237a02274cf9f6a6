"""Does the flow before training tell who learns? Over all cells and lengths, whatever comes out."""

from __future__ import annotations

from functools import partial

import pandas as pd

from seqbench.analysis.statistics import rank_correlation
from seqbench.analysis.study import Study
from seqbench.reporting import scatter
from seqbench.reporting.blocks import Figure, Table


class Predicts:
    """A point a cell and length."""

    title = scatter.TITLE

    def blocks(self, study: Study) -> list[Figure | Table]:
        """The figure and its numbers, where there are enough points."""
        table = data(study)
        if len(table) < scatter.LEAST:
            return []
        found = rank_correlation(table["s_start"], table["share"], table["cell"])
        caption = scatter.caption(table, found, table["cell"].nunique())
        plot = partial(scatter.draw, table)
        return [Figure("predicts", self.title, caption, plot), Table("predicts", table)]


def data(study: Study) -> pd.DataFrame:
    """cell, length, s_start, share: of the trials with a record, how many solved it."""
    table = study.falls.dropna(subset=["s_start"])
    table = table.assign(share=table["solved"] / table["trials"])
    return table[["cell", "length", "s_start", "share"]].reset_index(drop=True)
