"""The question of this field as a picture: does the flow before training tell who learns?"""

from __future__ import annotations

import math

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seqbench.analysis.opening import OPEN
from seqbench.analysis.statistics import LEAST as LEAST_CELLS
from seqbench.analysis.statistics import Interval
from seqbench.reporting import style
from seqbench.reporting.style import GREY
from seqbench.reporting.words import correlation, count

TITLE = "Does the flow before training tell who learns?"
LEAST = 5  # points; fewer are no picture
FLOOR = -20.0  # decades; what is lower stands there


def caption(table: pd.DataFrame, found: Interval, cells: int) -> str:
    """How to read it, and the rank correlation.

    Args:
        table: as for `draw`.
        found: the rank correlation, its interval over the cells.
        cells: how many were drawn from for it.
    """
    if math.isnan(found.value):
        told = "One of the two does not vary, so there is no rank correlation."
    elif math.isnan(found.low):
        told = (
            f"Spearman's rank correlation: {correlation(found)}; with {count(cells, 'cell')}, "
            f"fewer than {LEAST_CELLS}, it has no interval."
        )
    else:
        told = (
            f"Spearman's rank correlation: {correlation(found)}, the interval a bootstrap over the "
            f"{cells} cells, each with all its lengths. Longer lengths are harder and have lower "
            "flows, so part of it is the length's."
        )
    runs = f", of {table['run'].nunique()} problems" if several(table) else ""
    return (
        f"{count(len(table), 'point')}, one a cell and length{runs}: S at the median longest "
        "needed lag before training, median over seeds, and the share of the seeds that solved it; "
        f"the longer of a card's lengths, the darker. Dotted: a thousandth. {told}"
    )


def several(table: pd.DataFrame) -> bool:
    """Whether points of more than one run are there."""
    return "run" in table and table["run"].nunique() > 1


def draw(table: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """A point a cell and length; those of one share side by side, so that none hides another.

    Args:
        table: cell, length, s_start, share and, of several runs, run.
        ax: where to draw; None: a new figure.
    """
    own, (figure, ax) = ax is None, style.on(ax, (5.6, 2.9))
    whole = table if "run" in table else table.assign(run="")
    markers = style.markers(whole["cell"].unique())
    for run, mine in whole.groupby("run", sort=False):
        lengths = sorted(mine["length"].unique())
        shades = mpl.colormaps["YlGnBu"](np.linspace(0.35, 0.95, len(lengths)))
        for row in mine.itertuples():
            i = lengths.index(row.length)
            beside = 0.012 * (i - (len(lengths) - 1) / 2)
            told = f"{run + ': ' if several(table) else ''}{row.cell}"
            ax.plot(
                max(float(row.s_start), FLOOR),
                row.share + beside,
                markers[row.cell],
                color=shades[i],
                ms=4.5,
                mec="#00000055",
                mew=0.4,
                gid=style.name(row.cell if not several(table) else told),
            )
    ax.axvline(OPEN, color=GREY, lw=0.7, ls=(0, (1, 2)), zorder=1)
    ax.set_ylim(-0.08, 1.08)
    ax.set_xlabel("S at the needed lag before training, decades")
    ax.set_ylabel("share of seeds that solved it")
    if len(markers) <= len(style.MARKERS):
        handles = [style.mark(cell, mark) for cell, mark in markers.items()]
        style.legend(figure, handles) if own else ax.legend(handles=handles)
    return figure
