"""The question of this field as a picture: does the flow before training tell who learns?"""

from __future__ import annotations

import math

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seqbench.analysis.opening import OPEN
from seqbench.analysis.statistics import LEAST as LEAST_DRAWN
from seqbench.analysis.statistics import Interval, rank_correlation
from seqbench.analysis.unit import STEPS, Unit
from seqbench.reporting import style
from seqbench.reporting.style import GREY
from seqbench.reporting.words import correlation, count

TITLE = "Does the flow before training tell who learns?"
LEAST = 5  # points; fewer are no picture
FLOOR = -20.0  # decades; what is lower stands there
REACHED, SHARE = "reached", "share"  # what stands upwards, the columns


def caption(reached: pd.DataFrame, points: pd.DataFrame, unit: Unit = STEPS) -> str:
    """How to read it, and the rank correlations.

    Args:
        reached, points: as for `draw`.
    """
    of = f", of {count(reached['run'].nunique(), 'problem')}" if several(points) else ""
    lengths = points.groupby("run")["length"] if several(points) else points["length"]
    moved = (
        " Length may move both numbers, so part of the right one may be its doing."
        if np.max(lengths.nunique()) > 1
        else ""
    )
    longest = f"longest {unit.symbol}"
    scaled = ", as a share of the card's largest" if several(points) else ""
    return (
        f"S at the median longest needed lag before training, median over seeds, against what "
        f"became of it. Left: {count(len(reached), 'point')}, one a cell{of}, S at the card's "
        f"largest {unit.symbol}; upwards the {longest} that at least half of the seeds solved, all "
        f"shorter ones too{scaled}. {_told(reached, REACHED)} Right: "
        f"{count(len(points), 'point')}, one a cell and length, S at that length; upwards the "
        "share of the seeds that solved it; "
        f"the longer of a card's lengths, the darker. {_told(points, SHARE)}{moved} Dotted: a "
        "thousandth."
    )


def found(table: pd.DataFrame, of: str) -> tuple[Interval, str]:
    """The rank correlation, its interval drawn over what is nearest to independent: problems, or of
    one problem cells; and how many of which these are, in words.

    Args:
        table: as for `draw`.
        of: REACHED or SHARE.
    """
    what = "run" if several(table) else "cell"
    drawn = count(table[what].nunique(), "problem" if what == "run" else "cell")
    return rank_correlation(table["s_start"], table[of], table[what]), drawn


def _told(table: pd.DataFrame, of: str) -> str:
    rho, drawn = found(table, of)
    if math.isnan(rho.value):
        return "One of the two does not vary, so there is no rank correlation."
    told = f"Spearman's rank correlation: {correlation(rho)}"
    if math.isnan(rho.low):
        return f"{told}; with {drawn}, fewer than {LEAST_DRAWN}, no interval."
    return f"{told}, the interval a bootstrap over the {drawn}."


def several(table: pd.DataFrame) -> bool:
    """Whether points of more than one run are there."""
    return "run" in table and table["run"].nunique() > 1


def draw(
    reached: pd.DataFrame, points: pd.DataFrame, unit: Unit = STEPS, *, ax: Axes | None = None
) -> Figure:
    """The longest length solved on the left, length by length on the right.

    Args:
        reached: cell, length, s_start, longest, reached and, of several runs, run.
        points: cell, length, s_start, share and, of several runs, run.
        unit: what lengths count.
        ax: in whose place to draw; None: a new figure.
    """
    figure = style.canvas(ax, (7.6, 3.1))
    left, right = figure.subplots(1, 2)
    draw_points(reached, ax=left)
    draw_points(points, ax=right)
    for one in (left, right):
        if one.get_legend():
            one.get_legend().remove()
    if not several(points):
        _lengths(left, reached, points, unit)
    markers = style.markers(points["cell"].unique())
    if len(markers) <= len(style.MARKERS):
        style.legend(figure, [style.mark(cell, mark) for cell, mark in markers.items()])
    return style.whole(figure)


def _lengths(ax: Axes, reached: pd.DataFrame, points: pd.DataFrame, unit: Unit) -> None:
    """Lengths, where the card is one, in place of shares of its largest."""
    largest = reached["length"].max()
    lengths = sorted(points["length"].unique())
    ax.set_yticks([0, *(n / largest for n in lengths)], ["none", *map(str, lengths)])
    ax.set_ylabel(f"longest {unit.symbol} solved")


def draw_points(table: pd.DataFrame, *, ax: Axes | None = None) -> Figure:
    """Either panel alone; points that share a place side by side, so that none hides another.

    Args:
        table: cell, length, s_start; reached, or share; of several runs, run.
        ax: where to draw; None: a new figure.
    """
    of = REACHED if REACHED in table else SHARE
    own, (figure, ax) = ax is None, style.on(ax, (5.6, 2.9))
    whole = table if "run" in table else table.assign(run="")
    markers = style.markers(whole["cell"].unique())
    for run, mine in whole.groupby("run", sort=False):
        lengths = sorted(mine["length"].unique())
        shades = mpl.colormaps["YlGnBu"](np.linspace(0.35, 0.95, len(lengths)))
        colours = list(shades) if len(lengths) > 1 else [style.COLOURS[0]]
        for row in mine.itertuples():
            i = lengths.index(row.length)
            beside = 0.012 * (i - (len(lengths) - 1) / 2)
            told = f"{run + ': ' if several(table) else ''}{row.cell}"
            ax.plot(
                max(float(row.s_start), FLOOR),
                getattr(row, of) + beside,
                markers[row.cell],
                color=colours[i],
                ms=4.5,
                mec="#00000055",
                mew=0.4,
                gid=style.name(row.cell if not several(table) else told),
            )
    ax.axvline(OPEN, color=GREY, lw=0.7, ls=(0, (1, 2)), zorder=1)
    ax.set_ylim(-0.08, 1.08)
    ax.set_xlabel("S at the needed lag before training, decades")
    ax.set_ylabel(
        "share of seeds that solved it"
        if of == SHARE
        else "longest length solved,\nas a share of the largest"
    )
    if len(markers) <= len(style.MARKERS):
        handles = [style.mark(cell, mark) for cell, mark in markers.items()]
        style.legend(figure, handles) if own else ax.legend(handles=handles)
    return figure
