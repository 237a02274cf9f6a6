"""Figures of DataFrames, for a notebook or a paper: each returns its Figure, and draws where `ax`
stands, if one is given: a figure of one panel in it, one of several panels in its place.

    study = Study(seqbench.load("runs/adding"))
    figures.flow(study.shape.query("length == 100"), study.needs)

The tables are those of `seqbench.analysis.study.Study` and of the results.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seqbench.analysis import statistics
from seqbench.analysis.opening import OPEN
from seqbench.errors import InputError
from seqbench.measure.diagnostics.picture import Picture
from seqbench.reporting import diagnosed, scatter, story, style
from seqbench.reporting.sections import diagnostics, heat, learning
from seqbench.reporting.story import mark_needs
from seqbench.reporting.style import GREY

__all__ = [
    "diagnostic",
    "flow",
    "flow_before_and_after",
    "flow_over_training",
    "loss",
    "predicts",
    "problem",
    "reach",
    "solved",
]

SIZE = (4.6, 2.9)  # inches
predicts = scatter.draw_points
problem = story.draw_problem


def flow(
    table: pd.DataFrame, needs: pd.DataFrame | None = None, *, ax: Axes | None = None
) -> Figure:
    """S(k), how much of the gradient arrives k steps back, in decades, a line a cell.

    Args:
        table: `Study.shape` at one length: dashed before training, solid at the end, medians over
            seeds. Or what `seqbench.gradient_flow` returns, of several models with a column cell.
        needs: `Study.needs`, to mark the lags that the problem needs.

    Raises:
        InputError: more than one length.
    """
    _one_length(table)
    lines = _lines(table)
    figure, ax = style.on(ax, SIZE)
    looks = style.looks(lines["cell"].unique())
    for (cell, at), line in lines.groupby(["cell", "at"], sort=False):
        told = {"label": style.plain(cell)} if at == "end" else {"linestyle": (0, (3, 1.5))}
        by_lag = line.groupby("lag")["s"].median()
        ax.plot(by_lag.index, by_lag, **looks[cell] | told)
    if needs is not None and len(needs):
        mark_needs(ax, needs[needs["length"] == table["length"].iloc[0]])
    else:
        ax.axhline(OPEN, color=GREY, lw=0.7, ls=(0, (1, 2)), zorder=1)
    ax.set_xlabel("lag k: steps back from the answer")
    ax.set_ylabel("S(k), decades")
    ax.legend()
    return figure


def _lines(table: pd.DataFrame) -> pd.DataFrame:
    """cell, at, lag, s of either kind of table."""
    if "s" in table:
        ends = table[table["main_anchor"] & (table["at"] != "") & np.isfinite(table["s"])]
        return ends[["cell", "at", "lag", "s"]]
    rows = table[table["state"] == "all"]
    rows = rows.assign(cell=rows.get("cell", "this model"), at="end")
    first = rows.sort_values("lag").groupby("cell")["log10_norm"].transform("first")
    return rows.assign(s=rows["log10_norm"] - first)[["cell", "at", "lag", "s"]]


def _one_length(table: pd.DataFrame) -> None:
    if "length" in table and table["length"].nunique() > 1:
        found = sorted(table["length"].unique())
        raise InputError(
            f"a table of T = {', '.join(map(str, found))}\nallowed: one length, as in "
            f'table.query("length == {found[-1]}")'
        )


def loss(curves: pd.DataFrame, *, ax: Axes | None = None) -> Figure:
    """Loss against training step, a line a trial.

    Args:
        curves: of the results, at one length.

    Raises:
        InputError: more than one length.
    """
    _one_length(curves)
    figure, ax = style.on(ax, SIZE)
    looks = style.looks(curves["cell"].unique())
    learning.draw_trials(ax, curves, looks)
    _label(ax, looks, "training step", "loss on evaluation sequences")
    return figure


def solved(trials: pd.DataFrame, budget: int, *, ax: Axes | None = None) -> Figure:
    """The share of the seeds that had solved it by each training step, a line a cell.

    Args:
        trials: of the results, at one length.
        budget: training steps, to which lines are drawn.

    Raises:
        InputError: more than one length.
    """
    _one_length(trials)
    figure, ax = style.on(ax, SIZE)
    looks = style.looks(trials["cell"].unique())
    for cell, rows in statistics.solved_by_step(trials).groupby("cell", sort=False):
        steps, share = [*rows["step"], budget], [*rows["share"], rows["share"].iloc[-1]]
        ax.step(steps, share, where="post", **looks[cell])
    ax.set_ylim(-0.04, 1.04)
    _label(ax, looks, "training step", "share of seeds that solved it")
    return figure


def reach(comparison: pd.DataFrame, name: str = "half_life", *, ax: Axes | None = None) -> Figure:
    """Half-life or horizon against length, a line a cell: dashed before training, solid at the end.
    Where it is beyond the largest lag there is no point.

    Args:
        comparison: `Study.comparison`.
        name: half_life, horizon_1e-1, horizon_1e-3 or horizon_1e-6.
    """
    figure, ax = style.on(ax, SIZE)
    looks = style.looks(comparison["cell"].unique())
    for cell, rows in comparison.groupby("cell", sort=False):
        for at, dashes in (("start", (0, (3, 1.5))), ("end", "-")):
            reached = rows[f"{name}_{at}"].replace(np.inf, np.nan)
            ax.plot(rows["length"], reached, "o", ms=3, **looks[cell] | {"linestyle": dashes})
    ax.set_xscale("log")
    ax.set_yscale("log")
    _label(ax, looks, "T", f"{name.replace('_', ' ')}, steps")
    return figure


def flow_before_and_after(
    table: pd.DataFrame,
    comparison: pd.DataFrame,
    needs: pd.DataFrame,
    *,
    ax: Axes | None = None,
) -> Figure:
    """S(k) before training on the left, at the end on the right: a report's first figure.

    Args:
        table: `Study.shape` at one length.
        comparison, needs: of the same Study.

    Raises:
        InputError: more than one length.
    """
    _one_length(table)
    known = table[table["main_anchor"] & (table["at"] != "") & table["s"].notna()]
    told = story.of(known, comparison, needs)
    return story.draw(told, list(table["cell"].unique()), ax=ax)


def flow_over_training(
    table: pd.DataFrame, needs: pd.DataFrame | None = None, *, ax: Axes | None = None
) -> Figure:
    """S(k) by colour over lag and recorded step, a panel a trial.

    Args:
        table: `Study.shape`, of the trials that are to be drawn.
        needs: `Study.needs`, to mark the longest lag that the problem needs.
    """
    rows = table[table["main_anchor"]]
    main = {} if needs is None else needs[needs["main"]].set_index("length")["median"].to_dict()
    panels = [
        heat.Panel(
            title=f"{cell}\nT = {length}, seed {seed}",
            length=int(length),
            rows=trial,
            need=float(main.get(length, np.nan)),
            fell_at=np.nan,
        )
        for (cell, length, seed), trial in rows.groupby(["cell", "length", "seed"], sort=False)
    ]
    return heat.draw(sorted(panels, key=lambda panel: -panel.length), ax=ax)


def diagnostic(
    readings: pd.DataFrame,
    trials: pd.DataFrame,
    picture: Picture | None = None,
    *,
    ax: Axes | None = None,
) -> Figure:
    """What one diagnostic said.

    Args:
        readings: `Study.readings`, of one diagnostic.
        trials: of the results, for what became of each.
        picture: how it is drawn; None: its quantities against the training step.

    Raises:
        InputError: it has nothing of what the picture shows.
    """
    label = str(readings["diagnostic"].iloc[0]) if len(readings) else "nothing"
    view = diagnostics.settled(label, picture or diagnostics.plain(label)[0], readings)
    if view is None:
        raise InputError(
            f"readings of {label}: no such quantities\nallowed: rows of one diagnostic that have "
            "the quantities of the picture"
        )
    return diagnosed.draw(view, trials, list(trials["cell"].unique()), ax=ax)


def _label(ax: Axes, looks: dict[str, dict], x: str, y: str) -> None:
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.legend(handles=[style.line(cell, **look) for cell, look in looks.items()])
