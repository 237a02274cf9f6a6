"""The pictures of the first screen: the flow before and after training, and what is asked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from seqbench.analysis.opening import OPEN
from seqbench.analysis.shapes import reference
from seqbench.analysis.study import Study
from seqbench.analysis.unit import STEPS, Unit
from seqbench.reporting import style
from seqbench.reporting.style import GREY, INK
from seqbench.reporting.words import count

FLOOR = -12.0  # decades; lines go on below
A_FEW = 3  # needed lags: as many as a record tells of many (`training.outcome`)
FEW = 6  # cells that have a colour each; more have that of what became of them
SOLVES, FAILS = "#0072B2", "#D55E00"


@dataclass(frozen=True)
class Story:
    """The flow at one length.

    Attributes:
        length: the longest with records before training, of as many cells as any length has.
        flow: cell, at ("start" or "end"), lag, s: medians over seeds.
        solves: the cells that at least half of the seeds solved it with.
        needs: the needed lags at this length.
        reference: what the flow is relative to, in words.
        unit: what the length and lags count.
    """

    length: int
    flow: pd.DataFrame
    solves: frozenset[str]
    needs: pd.DataFrame
    reference: str
    unit: Unit = STEPS


def data(study: Study) -> Story | None:
    """None where no trial has a record before training."""
    shape = study.shape[study.shape["main_anchor"] & study.shape["s"].notna()]
    shape = shape[shape["at"] != ""]
    starts = shape[shape["at"] == "start"].groupby("length")["cell"].nunique()
    if starts.empty:
        return None
    length = int(starts[starts == starts.max()].index.max())
    here = shape[shape["length"] == length]
    words = reference(study.results), study.unit
    return of(here, study.comparison, study.needs, *words)


def of(
    shape: pd.DataFrame,
    comparison: pd.DataFrame,
    needs: pd.DataFrame,
    reference: str = "the first lag",
    unit: Unit = STEPS,
) -> Story:
    """The story of tables.

    Args:
        shape: `Study.shape` of the main anchor, of one length, both ends of training.
        comparison, needs: of the same Study.
        reference, unit: as in Story.
    """
    length = int(shape["length"].iloc[0])
    flow = shape.groupby(["cell", "at", "lag"], sort=False)["s"].median().reset_index()
    table = comparison[comparison["length"] == length]
    solves = table.loc[2 * table["solved"] >= table["seeds"].clip(lower=1), "cell"]
    here = needs[needs["length"] == length]
    return Story(length, flow, frozenset(solves), here, reference, unit)


def title(told: Story) -> str:
    """Above the figure."""
    unit = told.unit
    return f"How much of the gradient arrives from k {unit.many} back, {unit.at(told.length)}"


def caption(told: Story) -> str:
    """How to read it."""
    cells = told.flow["cell"].nunique()
    colours = (
        f"A line a cell: blue where at least half of the seeds solved it ({len(told.solves)}), "
        f"orange and dashed where not ({cells - len(told.solves)}). "
        if cells > FEW
        else ""
    )
    return (
        f"{colours}Medians over seeds, in powers of ten relative to {told.reference}: −3 is a "
        f"thousandth (dotted). {needs_caption(told.needs)}Where a line is below the dotted one, "
        "less than a thousandth of the gradient arrives from there."
    )


def draw(told: Story, labels: list[str], *, ax: Axes | None = None) -> Figure:
    """Before training on the left, at the end on the right, on the same axes.

    Args:
        labels: the cells, in the card's order.
        ax: in whose place to draw; None: a new figure.
    """
    figure = style.canvas(ax, (6.4, 2.9))
    axes = figure.subplots(1, 2, sharey=True)
    cells = [cell for cell in labels if cell in set(told.flow["cell"])]
    looks = _looks(told, cells, labels)
    low = max(FLOOR, min(-4.0, float(told.flow["s"].replace(-np.inf, np.nan).min())))
    high = max(0.3, float(told.flow["s"].replace(np.inf, np.nan).max()) + 0.3)
    for one, at, name in zip(
        axes, ("start", "end"), ("before training", "at the end"), strict=True
    ):
        ends = {}
        for cell in cells:
            line = told.flow[(told.flow["cell"] == cell) & (told.flow["at"] == at)]
            if line.empty:
                continue
            drawn = line["s"].clip(lower=3 * low)
            one.plot(line["lag"], drawn, **looks[cell])
            ends[cell] = float(np.clip(drawn.iloc[-1], low, high))
        mark_needs(one, told.needs)
        one.set_ylim(low, high)
        one.set_title(name)
        one.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        if at == "end" and len(cells) <= FEW:
            style.end_labels(one, ends, looks)
    axes[0].set_ylabel("decades")
    figure.supxlabel(f"k: {told.unit.many} back from the answer", fontsize=8.5)
    if len(cells) > FEW:
        style.legend(
            figure,
            [
                style.line("solved by half of the seeds or more", color=SOLVES),
                style.line("by fewer", color=FAILS, linestyle="--"),
            ],
        )
    return style.whole(figure)


def _looks(told: Story, cells: list[str], labels: list[str]) -> dict[str, dict]:
    looks = style.looks(labels)
    if len(cells) <= FEW:
        return looks
    how = {True: {"color": SOLVES, "linestyle": "-"}, False: {"color": FAILS, "linestyle": "--"}}
    return {
        cell: looks[cell] | how[cell in told.solves] | {"lw": 1.0, "alpha": 0.75} for cell in cells
    }


def needs_caption(needs: pd.DataFrame) -> str:
    """How to read what `mark_needs` draws."""
    if needs.empty:
        return ""
    if (needs["low"] < needs["high"]).any():
        return "Shaded: how far back lies what the answer needs; triangle: its median. "
    return "Triangle: how far back lies what the answer needs. "


def mark_needs(ax: Axes, needs: pd.DataFrame) -> None:
    """Shade where the needed lags lie over the probe, and point at each median."""
    for need in needs[needs["anchor"] == needs["anchor"].max()].itertuples():
        if need.low < need.high:
            ax.axvspan(need.low, need.high, color="#000000", alpha=0.055, lw=0, zorder=0)
        else:
            ax.axvline(need.low, color=GREY, lw=0.8, zorder=0)
        ax.plot(
            need.median,
            1.0,
            "v",
            color=INK,
            ms=4.5,
            clip_on=False,
            zorder=4,
            transform=ax.get_xaxis_transform(),
        )
    ax.axhline(OPEN, color=GREY, lw=0.7, ls=(0, (1, 2)), zorder=1)


def problem_caption(needs: pd.DataFrame) -> str:
    """What is asked, in numbers."""
    last = needs[needs["anchor"] == needs["anchor"].max()]
    anchors = needs["anchor"].nunique()
    told = [
        f"{need.median:,.0f} step{'s' * (need.median != 1)} before it"
        if need.low == need.high
        else f"{need.low:,} to {need.high:,} steps before it (median {need.median:,.0f})"
        for need in last.itertuples()
    ]
    several = f" The last of {count(anchors, 'such step')} is shown." if anchors > 1 else ""
    if len(told) == A_FEW:
        several += " Where more than eight are needed, the nearest, middle and farthest are told."
    return (
        f"A sequence of length T = {last['length'].iloc[0]}. Whether an answer is right is looked "
        f"at at step {last['anchor'].iloc[0]}, the anchor; what it needs was shown "
        f"{'; and '.join(told)}: the needed lag.{several}"
    )


def draw_problem(needs: pd.DataFrame, *, ax: Axes | None = None) -> Figure:
    """A line of time: what is shown when, and when it is asked for.

    Args:
        needs: of one length, from `shapes.needed_lags`.
        ax: where to draw; None: a new figure.
    """
    last = needs[needs["anchor"] == needs["anchor"].max()]
    anchor = int(last["anchor"].iloc[0])
    figure, ax = style.on(ax, (6.4, 0.75 + 0.28 * len(last)))
    for row, need in enumerate(last.itertuples()):
        y = -row
        ax.barh(
            y,
            need.high - need.low + 1,
            left=anchor - need.high - 0.5,
            height=0.34,
            color="#0072B2",
            alpha=0.25,
        )
        at = anchor - need.median
        ax.annotate("", (at, y), (anchor, y), arrowprops={"arrowstyle": "->", "color": INK})
        ax.plot(at, y, "v", color=INK, ms=5)
        ax.annotate(
            f"needed: {need.median:g} steps back",
            ((at + anchor) / 2, y),
            (0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=7.5,
        )
    ax.plot([anchor] * len(last), -np.arange(len(last)), "o", color="#D55E00", ms=6)
    ax.annotate("answer", (anchor, 0), (7, 0), textcoords="offset points", va="center")
    ax.set_xlim(0, 1.12 * anchor)
    ax.set_ylim(0.4 - len(last), 0.6)
    ax.set_yticks([])
    ax.grid(False)
    ax.spines["left"].set_visible(False)
    ax.set_xlabel("step")
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    return figure
