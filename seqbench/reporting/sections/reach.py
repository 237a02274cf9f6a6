"""How far back the gradient reaches, against length: a column a cell."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from matplotlib import figure as mpl
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from seqbench.analysis.study import Study
from seqbench.analysis.unit import STEPS, Unit
from seqbench.reporting import style
from seqbench.reporting.blocks import Figure
from seqbench.reporting.style import GREY, INK

MEASURES = {"half_life": "half-life", "horizon_1e-3": "horizon(1e-3)"}
CAPTION = (
    "Dashed: before training; solid: at the end. Medians over seeds; pale dots: seeds. An "
    "arrow: not reached within the largest lag K, so at least K. Dotted: the median of the "
    "longest needed lag."
)


class Reach:
    """Half-life and horizon."""

    title = "Half-life and horizon against length"
    folded = True

    def blocks(self, study: Study) -> list[Figure]:
        """The figure, where there are records of the flow."""
        table, offs = data(study)
        if table.empty:
            return []
        plot = partial(draw, table, offs, study.labels, study.unit)
        return [Figure("reach", self.title, CAPTION, plot)]


def data(study: Study) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The comparison where there is flow, and what is read off each trial's last anchor."""
    table = study.comparison
    known = (table["flow_start"] > 0) | (table["flow_end"] > 0)
    return table[known], study.offs[study.offs["main_anchor"]]


def draw(
    table: pd.DataFrame,
    offs: pd.DataFrame,
    labels: list[str],
    unit: Unit = STEPS,
    *,
    ax: Axes | None = None,
) -> mpl.Figure:
    """Half-life above, horizon below; the start dashed, the end solid.

    Args:
        table, offs: from `data`.
        labels: the cells, in the card's order.
        unit: what lengths and lags count.
        ax: in whose place to draw; None: a new figure.
    """
    cells = [cell for cell in labels if cell in set(table["cell"])]
    looks = style.looks(labels)
    figure, axes = style.panels(len(cells), 2, height=2.1, ax=ax)
    for column, cell in enumerate(cells):
        rows = table[table["cell"] == cell].sort_values("length")
        for one, name in zip(axes[:, column], MEASURES, strict=True):
            _draw_reach(one, rows, offs[offs["cell"] == cell], name, looks[cell]["color"])
        axes[0, column].set_title(style.wrapped(cell))
    _same_limits(axes, table, offs)
    names = [f"{name}, {unit.many}" for name in MEASURES.values()]
    style.label_edges(figure, axes, f"length {unit.symbol}, {unit.many}", names)
    dark = {"color": INK}
    style.legend(
        figure,
        [
            style.line("start", ls="--", marker="D", mfc="white", ms=3.5, **dark),
            style.line("end, solved by half the seeds or more", marker="o", ms=4.5, **dark),
            style.line("end, solved by fewer", marker="s", ms=4.5, **dark),
            style.mark("at least: not reached within K", r"$\uparrow$", ms=7),
            style.line("median needed lag", color=GREY, lw=0.9, ls=(0, (1, 1.5))),
        ],
        columns=3,
    )
    return style.whole(figure)


def _draw_reach(ax: Axes, rows: pd.DataFrame, offs: pd.DataFrame, name: str, colour: str) -> None:
    """One cell's medians over seeds, and its seeds as pale dots."""
    ax.plot(rows["length"], rows["needed_lag"], color=GREY, lw=0.9, ls=(0, (1, 1.5)), zorder=1)
    half = 2 * rows["solved"] >= rows["seeds"]
    split = rows[rows[f"{name}_end_low"].lt(np.inf) & np.isinf(rows[f"{name}_end"])]
    ax.vlines(split["length"], split[f"{name}_end_low"], split["largest_lag"], color=colour, lw=0.8)
    for at, dashes in (("start", "--"), ("end", "-")):
        seeds = offs[offs["at"] == at]
        ax.plot(
            seeds["length"],
            seeds[name].clip(upper=seeds["largest_lag"]),
            ".",
            color=colour,
            ms=6,
            alpha=0.5,
            mec="none",
            zorder=2,
        )
        value = rows[f"{name}_{at}"]
        drawn = value.clip(upper=rows["largest_lag"])
        ax.plot(rows["length"], drawn, ls=dashes, color=colour, lw=1.3, zorder=3)
        if at == "start":
            ax.plot(rows["length"], drawn, "D", mfc="white", mec=colour, ms=3.6, zorder=4)
        else:
            ax.plot(rows["length"][half], drawn[half], "o", color=colour, ms=4.6, zorder=5)
            ax.plot(rows["length"][~half], drawn[~half], "s", color=colour, ms=4.6, zorder=5)
        for length, top in zip(
            rows["length"][np.isinf(value)], drawn[np.isinf(value)], strict=True
        ):
            ax.annotate(
                "",
                (length, top),
                (0, 12),
                textcoords="offset points",
                zorder=3,
                arrowprops={"arrowstyle": "<-", "color": colour, "lw": 1.1},
            )


def _same_limits(axes: np.ndarray, table: pd.DataFrame, offs: pd.DataFrame) -> None:
    """One range for every cell, so that heights can be compared."""
    lengths = sorted(table["length"].unique())
    low = offs[["half_life", "horizon_1e-3"]].to_numpy(float)
    low = low[np.isfinite(low) & (low > 0)].min(initial=1.0)
    for ax in axes.flat:
        ax.set_yscale("log")
        ax.set_ylim(0.7 * low, 2.4 * table["largest_lag"].max())
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        if lengths[-1] >= 5 * lengths[0]:
            ax.set_xscale("log")
            ax.set_xlim(lengths[0] / 1.25, lengths[-1] * 1.25)
        else:
            margin = 0.08 * (lengths[-1] - lengths[0]) or 1
            ax.set_xlim(lengths[0] - margin, lengths[-1] + margin)
        ax.xaxis.set_major_locator(FixedLocator(lengths))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
