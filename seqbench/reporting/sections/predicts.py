"""Does the flow before training tell who learns? Over all cells and lengths, whatever comes out."""

from __future__ import annotations

from functools import partial

import pandas as pd

from seqbench.analysis.overview import lengths_reached, points
from seqbench.analysis.study import Study
from seqbench.reporting import scatter
from seqbench.reporting.blocks import Figure, Table


class Predicts:
    """A point a cell, and one a cell and length."""

    title = scatter.TITLE

    def blocks(self, study: Study) -> list[Figure | Table]:
        """The figure and its numbers, where there are enough points."""
        each, reached = data(study), far(study)
        if len(each) < scatter.LEAST:
            return []
        plot = partial(scatter.draw, reached, each, study.unit)
        caption = scatter.caption(reached, each, study.unit)
        return [
            Figure("predicts", self.title, caption, plot),
            Table("predicts", each),
            Table("longest_predicted", reached),
        ]


def data(study: Study) -> pd.DataFrame:
    """cell, length, s_start, share: of the trials with a record, how many solved it."""
    return points({"": study}).drop(columns="run").reset_index(drop=True)


def far(study: Study) -> pd.DataFrame:
    """cell, length (the largest), s_start, longest, reached: see `overview.lengths_reached`."""
    return lengths_reached({"": study}).drop(columns="run")
