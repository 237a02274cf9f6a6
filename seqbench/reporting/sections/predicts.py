"""Does the flow before training tell who learns? Over all cells and lengths, whatever comes out."""

from __future__ import annotations

import math
from functools import partial

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Drawing

from seqbench.analysis.opening import OPEN
from seqbench.analysis.statistics import Interval, rank_correlation
from seqbench.analysis.study import Study
from seqbench.reporting import style
from seqbench.reporting.blocks import Figure, Table
from seqbench.reporting.style import GREY
from seqbench.reporting.words import correlation, count

LEAST = 5  # pairs of cell and length; fewer are no picture
FLOOR = -20.0  # decades; what is lower stands there


class Predicts:
    """A point a cell and length."""

    title = "Does the flow before training tell who learns?"

    def blocks(self, study: Study) -> list[Figure | Table]:
        """The figure and its numbers, where there are enough points."""
        table = data(study)
        if len(table) < LEAST:
            return []
        found = rank_correlation(table["s_start"], table["share"])
        plot = partial(draw, table)
        return [
            Figure("predicts", self.title, caption(table, found), plot),
            Table("predicts", table),
        ]


def data(study: Study) -> pd.DataFrame:
    """cell, length, s_start, share: of the trials with a record, how many solved it."""
    table = study.falls.dropna(subset=["s_start"])
    table = table.assign(share=table["solved"] / table["trials"])
    return table[["cell", "length", "s_start", "share"]].reset_index(drop=True)


def caption(table: pd.DataFrame, found: Interval) -> str:
    """How to read it, and the rank correlation."""
    told = (
        f"Spearman's rank correlation: {correlation(found)}. The cells of one length share a "
        "problem and the lengths a cell, so the points are not independent and the interval is "
        "too narrow."
        if not math.isnan(found.value)
        else "One of the two does not vary, so there is no rank correlation."
    )
    return (
        f"{count(len(table), 'point')}, one a cell and length: S at the median longest needed lag "
        "before training, median over seeds, and the share of the seeds that solved it; the "
        f"longer, the darker. Dotted: a thousandth. {told}"
    )


def draw(table: pd.DataFrame) -> Drawing:
    """Points; those of one share side by side, so that none hides another.

    Args:
        table: from `data`.
    """
    lengths = sorted(table["length"].unique())
    shades = matplotlib.colormaps["YlGnBu"](np.linspace(0.4, 0.95, len(lengths)))
    figure = Drawing(figsize=(5.6, 2.8), layout="constrained")
    ax = figure.subplots()
    for i, (length, shade) in enumerate(zip(lengths, shades, strict=True)):
        here = table[table["length"] == length]
        beside = 0.012 * (i - (len(lengths) - 1) / 2)
        for row in here.itertuples():
            x = max(float(row.s_start), FLOOR)
            ax.plot(
                x,
                row.share + beside,
                "o",
                color=shade,
                ms=4.5,
                mec="white",
                mew=0.4,
                gid=style.name(row.cell),
            )
    ax.axvline(OPEN, color=GREY, lw=0.7, ls=(0, (1, 2)), zorder=1)
    ax.set_ylim(-0.06, 1.06)
    ax.set_xlabel("S at the needed lag before training, decades")
    ax.set_ylabel("share of seeds that solved it")
    handles = zip(lengths, shades, strict=True)
    style.legend(figure, [style.mark(f"T = {n}", "o", color=shade) for n, shade in handles])
    return figure
