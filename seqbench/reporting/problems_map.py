"""Problem by cell as one picture: the flow before and after, and how far the cell got."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seqbench.analysis.unit import STEPS, Unit
from seqbench.reporting import story, style
from seqbench.reporting.style import GREY, INK
from seqbench.reporting.words import DASH, percent

LOW, HIGH = -9.0, 1.0  # decades
ABOVE = 5.0  # where the words stand
ROW, COLUMN, NAMES = 0.52, 1.5, 1.7  # inches
CAPTION = (
    "A row a problem, a column a cell. The number: the longest length that at least half of the "
    "seeds solved, and all shorter ones too, or how much was learned where there is none; the "
    "darker the "
    "ground, the more of the card's lengths were solved. Lines: the output flow S(k) at the "
    "longest length, dashed before training, solid at the end, from 10 down to a billionth "
    "over lag 0 to the largest; dotted: a thousandth; the bar below: the needed lags."
)


def draw(
    table: pd.DataFrame,
    flows: Mapping[str, story.Story | None],
    cells: list[str],
    *,
    ax: Axes | None = None,
) -> Figure:
    """A panel a problem and cell.

    Args:
        table: from `analysis.overview.reached`.
        flows: by run, from `story.data`.
        cells: the columns.
        ax: in whose place to draw; None: a new figure.
    """
    runs = list(dict.fromkeys(table["run"]))
    size = (NAMES + COLUMN * len(cells), 0.35 + ROW * len(runs))
    figure = Figure(figsize=size) if ax is None else style.canvas(ax, size)
    left, top = NAMES / size[0], 1 - 0.3 / size[1]
    axes = figure.subplots(
        len(runs),
        len(cells),
        squeeze=False,
        gridspec_kw={"left": left, "right": 0.995, "top": top, "bottom": 0.01}
        | {"wspace": 0.05, "hspace": 0.12},
    )
    rows = {(row.run, row.cell): row._asdict() for row in table.itertuples()}
    for run, line in zip(runs, axes, strict=True):
        for cell, one in zip(cells, line, strict=True):
            _panel(one, rows.get((run, cell)), flows[run], cell)
        line[0].set_ylabel(
            style.wrapped(run, 22), rotation=0, ha="right", va="center", fontsize=8, labelpad=6
        )
    for cell, one in zip(cells, axes[0], strict=True):
        one.set_title(style.plain(cell), fontsize=8.5, loc="center")
    return style.whole(figure)


def reached(row: Any, unit: Unit = STEPS) -> tuple[str, str]:
    """The longest length solved, or how much was learned; and what is to be added."""
    if not row["finished"]:
        return DASH, "no trial yet"
    if row["longest"]:
        return unit.at(row["longest"]) + (" or more" if row["undecided"] else ""), ""
    if pd.isna(row["learned"]):
        return "none", ""
    return f"{percent(row['learned'])} % {row['what']}", "so far" if row["undecided"] else ""


def _panel(ax: Axes, row: dict | None, told: story.Story | None, cell: str) -> None:
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(False)
    ax.set_xlim(0, 1)
    ax.set_ylim(LOW, ABOVE)
    for spine in ax.spines.values():
        spine.set_color("#dddddd")
    if row is None:
        ax.text(0.5, 0.5, DASH, transform=ax.transAxes, color=GREY, ha="center", va="center")
        return
    share = row["share"] if row["longest"] else 0.0
    ax.set_facecolor(mpl.colormaps["Blues"](0.45 * share))
    if told is not None:
        _lines(ax, told, cell)
    text, detail = reached(row, told.unit if told else STEPS)
    words = text if not detail else f"{text}, {detail}"
    ax.text(0.97, 0.94, words, transform=ax.transAxes, ha="right", va="top", fontsize=7.5)


def _lines(ax: Axes, told: story.Story, cell: str) -> None:
    end = float(told.flow["lag"].max()) or 1.0
    mine = told.flow[told.flow["cell"] == cell]
    looks = {"start": (GREY, (0, (3, 1.5))), "end": (INK, "-")}
    for at, (colour, dashes) in looks.items():
        line = mine[mine["at"] == at].sort_values("lag")
        drawn = np.clip(line["s"], 3 * LOW, HIGH)
        ax.plot(line["lag"] / end, drawn, color=colour, ls=dashes, lw=1.1, gid=style.name(cell))
    ax.axhline(story.OPEN, color=GREY, lw=0.6, ls=(0, (1, 2)))
    needs = told.needs[told.needs["anchor"] == told.needs["anchor"].max()]
    for need in needs.itertuples():
        low, high = need.low / end, max(need.high / end, need.low / end + 0.015)
        ax.axvspan(low, high, 0, 0.07, color=INK, lw=0)
