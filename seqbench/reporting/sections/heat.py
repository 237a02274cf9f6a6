"""The output flow over lag and training step, by colour: a panel a cell and length."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import figure as mpl
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh

from seqbench.analysis import shapes
from seqbench.analysis.study import Study
from seqbench.analysis.unit import STEPS, Unit
from seqbench.card.status import Status
from seqbench.reporting import style
from seqbench.reporting.blocks import Figure
from seqbench.reporting.words import join

DEEPEST = -12.0  # decades; all below has one colour
HIGHEST = 3.0
MAP = "viridis"  # its lightness rises evenly: it survives greyscale
BAR = 2.6  # inches
LABELS = 12  # steps named along an axis, at most


@dataclass(frozen=True)
class Panel:
    """One trial.

    Attributes:
        title: above it.
        length: of the sequence.
        rows: its S(k).
        need: the median longest needed lag; NaN where there is none.
        fell_at: the step by which its loss had fallen; NaN: it did not.
    """

    title: str
    length: int
    rows: pd.DataFrame
    need: float
    fell_at: float


class Heat:
    """How the flow changed while training."""

    title = "Output flow over training"

    def blocks(self, study: Study) -> list[Figure]:
        """The figure, where there are records."""
        panels = data(study)
        if not panels:
            return []
        lengths = join(map(study.unit.at, lengths_shown(study)))
        caption = (
            f"S(k) by colour at {lengths}, one trial a panel; a column is a recorded step, so the "
            "step axis is not to scale. Dashed line: the median of the longest needed lag. Upright "
            "line: by the record to its right, the loss had fallen."
        )
        return [Figure("training", self.title, caption, partial(draw, panels, study.unit))]


def data(study: Study) -> list[Panel]:
    """The lowest seed with a record of each cell, at the lengths shown, the longest first."""
    shape = study.shape[study.shape["main_anchor"]]
    known = shape[shape["length"].isin(lengths_shown(study)) & shape["s"].notna()]
    seeds = known.groupby(["cell", "length"])["seed"].min()
    chosen = [(cell, int(length), int(seed)) for (cell, length), seed in seeds.items()]
    chosen = sorted(chosen, key=lambda key: (-key[1], study.labels.index(key[0])))
    rows = shape.set_index(shapes.TRIAL).sort_index()
    return [_panel(study, key, rows.loc[[key]]) for key in chosen]


def _panel(study: Study, key: tuple[str, int, int], rows: pd.DataFrame) -> Panel:
    cell, length, seed = key
    status = Status(study.results.trials.set_index(shapes.TRIAL).loc[key, "status"])
    needs, marks = study.needs, study.marks.set_index(shapes.TRIAL)["fell_at"]
    need = needs.loc[needs["main"] & (needs["length"] == length), "median"]
    fell_at = marks.get(key, np.inf)
    return Panel(
        title=f"{cell}\n{study.unit.at(length)}, seed {seed}, {status.word}",
        length=length,
        rows=rows,
        need=float(need.iloc[0]) if len(need) else np.nan,
        fell_at=float(fell_at) if np.isfinite(fell_at) else np.nan,
    )


def lengths_shown(study: Study) -> list[int]:
    """The longest length with a record and, if it is another, the longest that was solved."""
    known = {int(length) for length in study.shape.loc[study.shape["s"].notna(), "length"].unique()}
    if not known:
        return []
    trials = study.results.trials
    solved = trials.loc[trials["status"] == Status.SOLVED, "length"]
    best = [length for length in known if length in set(solved)]
    return sorted({max(known), *([max(best)] if best else [])}, reverse=True)


def draw(panels: list[Panel], unit: Unit = STEPS, *, ax: Axes | None = None) -> mpl.Figure:
    """Lag against the recorded steps, one column each.

    Args:
        panels: from `data`.
        unit: what lags count.
        ax: in whose place to draw; None: a new figure.
    """
    scale = _scale(pd.concat([panel.rows for panel in panels])["s"])
    figure, axes = _axes([panel.length for panel in panels], ax)
    for one, panel in zip(axes, panels, strict=True):
        mesh = _draw_trial(one, panel, scale, f"lag k, {unit.many}")
    shrink = min(1.0, BAR / style.size(figure)[1])  # the same size, however many panels
    bar = figure.colorbar(
        mesh, ax=axes, extend="both", pad=0.015, aspect=20, shrink=shrink, anchor=(0.0, 1.0)
    )
    bar.set_label("S(k), decades")
    bar.outline.set_linewidth(0.4)
    figure.supxlabel("training step (one column a record)", fontsize=8.5)
    return style.whole(figure)


def _scale(s: pd.Series) -> dict[str, float]:
    finite = s[np.isfinite(s)]
    low = max(DEEPEST, np.floor(finite.min()))
    high = min(HIGHEST, np.ceil(max(finite.max(), 0.0)))
    return {"vmin": min(low, high - 1), "vmax": high}


def _axes(each: list[int], ax: Axes | None) -> tuple[mpl.FigureBase, list[Axes]]:
    """An axis a panel; the panels of a length begin a row.

    Args:
        each: the length of each panel, the same ones beside each other.
    """
    counts = [each.count(length) for length in dict.fromkeys(each)]
    columns = min(max(counts), style.PER_ROW)
    rows_each = -(-max(counts) // columns)
    size = max(5.2, 2.65 * columns + 0.6), 0.3 + 2.5 * rows_each * len(counts)
    figure = style.canvas(ax, size)
    grid = figure.subplots(rows_each * len(counts), columns, squeeze=False)
    axes: list[Axes] = []
    for block, count in zip(grid.reshape(len(counts), -1), counts, strict=True):
        axes += block[:count].tolist()
        for unused in block[count:]:
            unused.remove()
    return figure, axes


def _draw_trial(ax: Axes, panel: Panel, scale: dict[str, Any], name: str) -> QuadMesh:
    rows = panel.rows
    table = rows.pivot_table(index="lag", columns="step", values="s", dropna=False)
    zeros = rows.pivot_table(index="lag", columns="step", values="hollow", dropna=False)
    colours = table.mask(zeros.fillna(False).astype(bool) & table.isna(), scale["vmin"])
    steps, lags = table.columns.to_numpy(), table.index.to_numpy(float)
    edges = np.concatenate([[lags[0] - 0.5], (lags[1:] + lags[:-1]) / 2, [lags[-1] + 0.5]])
    ax.set_facecolor("#ffffff")
    mesh = ax.pcolormesh(
        np.arange(len(steps) + 1),
        edges,
        colours.to_numpy(float),
        cmap=MAP,
        rasterized=True,
        **scale,
    )
    ax.grid(False)
    every = -(-len(steps) // LABELS)
    named = [i for i in range(0, len(steps), every) if i <= len(steps) - 1 - every]
    named.append(len(steps) - 1)
    ax.set_xticks([i + 0.5 for i in named], [f"{steps[i]:,}" for i in named], rotation=60)
    ax.set_title(style.wrapped(panel.title))
    spec = ax.get_subplotspec()
    if spec is not None and spec.is_first_col():
        ax.set_ylabel(name)
    _mark(ax, panel, steps)
    return mesh


def _mark(ax: Axes, panel: Panel, steps: np.ndarray) -> None:
    """A line at the longest needed lag, and one at the step by which the loss had fallen."""
    edge = [patheffects.withStroke(linewidth=2.6, foreground="black")]
    look: dict[str, Any] = {"color": "white", "lw": 1.3, "path_effects": edge}
    if not np.isnan(panel.need):
        ax.axhline(panel.need, ls=(0, (4, 2)), **look)
    if not np.isnan(panel.fell_at):
        ax.axvline(int(np.searchsorted(steps, panel.fell_at)), **look)
