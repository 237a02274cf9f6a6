"""Figures for many cells: a panel each, the card's first cell in grey behind every other one."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from seqbench.analysis.unit import STEPS, Unit
from seqbench.reporting import style
from seqbench.reporting.story import mark_needs
from seqbench.reporting.style import GREY

MANY = 8  # cells; more are told apart by panels
FLOOR = -12.0  # decades; lines go on below
REFERENCE = {"color": GREY, "lw": 1.0, "alpha": 0.55, "zorder": 1}
FLOW = (
    "S(k) at {at}, medians over seeds; dashed: before training, solid: at the end; grey: "
    "{first}, at the end. {needs}"
    "Dotted: a thousandth. Lines that leave a panel go on below; the tables have the numbers."
)
SOLVED = (
    "The share of the seeds that had solved it by each training step, a line a length, the longest "
    "darkest. A line that stays below 1 has seeds that never did. Grey: {reference}, at {at}."
)


def draw_flow(
    shape: pd.DataFrame,
    needs: pd.DataFrame,
    labels: list[str],
    unit: Unit = STEPS,
    *,
    ax: Axes | None = None,
) -> Figure:
    """S(k) at the longest length, a panel a cell.

    Args:
        shape, needs, labels, unit, ax: as for sections.flow.draw.
    """
    length = shape["length"].max()
    here = shape[(shape["length"] == length) & (shape["at"] != "")]
    medians = here.groupby(["cell", "at", "lag"])["s"].median()
    cells = [cell for cell in labels if cell in set(here["cell"])]
    figure, axes = style.panels(len(cells), 1, height=1.5, ax=ax)
    behind = _line(medians, labels[0], "end")
    for one, cell in zip(axes[0], cells, strict=True):
        look = {"color": style.COLOURS[0], "gid": style.name(cell)}
        for at, dashes in (("start", (0, (3, 1.5))), ("end", "-")):
            line = _line(medians, cell, at)
            one.plot(line.index, line, lw=1.3, ls=dashes, **look)
        if cell != labels[0]:
            one.plot(behind.index, behind, **REFERENCE)
        mark_needs(one, needs[needs["length"] == length])
        one.set_ylim(FLOOR, 1)
        one.set_title(style.wrapped(cell, 34), fontsize=7.5)
        one.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    style.label_edges(figure, axes, f"lag k: {unit.many} back from the anchor", ["S(k), decades"])
    return style.whole(figure)


def _line(medians: pd.Series, cell: str, at: str) -> pd.Series:
    known = medians.xs((cell, at)) if (cell, at) in medians.index.droplevel("lag") else None
    return pd.Series(dtype=float) if known is None else known.clip(lower=3 * FLOOR)


def draw_solved(
    curve: pd.DataFrame,
    budget: int,
    labels: list[str],
    unit: Unit = STEPS,
    *,
    ax: Axes | None = None,
) -> Figure:
    """The share of seeds that had solved it by each step, a panel a cell, a line a length.

    Args:
        curve: from `statistics.solved_by_step`.
        budget: training steps, to which lines are drawn.
        labels: the cells, in the card's order.
        unit: what lengths count.
        ax: in whose place to draw; None: a new figure.
    """
    lengths = sorted(curve["length"].unique())
    shades = mpl.colormaps["YlGnBu"](np.linspace(0.4, 0.95, len(lengths)))
    cells = [cell for cell in labels if cell in set(curve["cell"])]
    figure, axes = style.panels(len(cells), 1, height=1.4, ax=ax)
    for one, cell in zip(axes[0], cells, strict=True):
        if cell != labels[0]:
            _steps(one, curve, labels[0], lengths[-1], budget, REFERENCE)
        for length, shade in zip(lengths, shades, strict=True):
            look = {
                "color": shade,
                "lw": 1.4,
                "gid": f"{style.CELL}{style.plain(cell, math=False)}",
            }
            _steps(one, curve, cell, length, budget, look)
        one.set_ylim(-0.04, 1.04)
        one.set_title(style.wrapped(cell, 34), fontsize=7.5)
        one.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        style.thousands(one)
    style.label_edges(figure, axes, "training step", ["share solved"])
    style.legend(
        figure,
        [style.line(unit.at(n), color=shade) for n, shade in zip(lengths, shades, strict=True)],
    )
    return style.whole(figure)


def _steps(ax: Axes, curve: pd.DataFrame, cell: str, length: int, budget: int, look: dict) -> None:
    rows = curve[(curve["cell"] == cell) & (curve["length"] == length)]
    if len(rows):
        steps, share = [*rows["step"], budget], [*rows["share"], rows["share"].iloc[-1]]
        ax.step(steps, share, where="post", **look)
