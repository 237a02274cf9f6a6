"""S(k) against lag: a panel a length, before training and at the end."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import figure as mpl
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from seqbench.analysis import shapes
from seqbench.analysis.study import Study
from seqbench.analysis.unit import STEPS, Unit
from seqbench.card.status import Status
from seqbench.reporting import many, style
from seqbench.reporting.blocks import Figure, Table
from seqbench.reporting.story import mark_needs, needs_caption
from seqbench.reporting.style import GREY

FLOOR = -20.0  # decades; below, the panels would show nothing but one cell's fall
LEAST_SPAN = 2.0  # decades that a panel shows at least, so that noise does not look like a fall
CAPTION = (
    "S(k): how many decades less of the gradient arrives k {unit} back than at {reference}. Thick: "
    "median over seeds; band: 10 to 90 % of the examples; thin, at the end: a seed each, 40 at "
    "most. Trials that were solved and trials whose budget ran out are drawn apart. {needs}Dotted: "
    "a thousandth. Lines that leave a panel go on below; the tables have the numbers."
)


class Flow:
    """How far back the gradient reaches."""

    title = "Output flow against lag"

    def blocks(self, study: Study) -> list[Figure | Table]:
        """The figure, and what is read off it."""
        shape = data(study)
        files: list[Figure | Table] = [
            Table("flow_read_off", study.offs),
            Table("needed_lags", study.needs),
        ]
        if shape.empty:
            return files
        several = len(study.labels) > many.MANY
        how = many.draw_flow if several else draw
        plot = partial(how, shape, study.needs, study.labels, study.unit)
        facts = {"needs": needs_caption(study.needs), "unit": study.unit.many}
        facts |= {"at": study.unit.at(shape["length"].max()), "first": study.labels[0]}
        facts |= {"reference": shapes.reference(study.results)}
        caption = (many.FLOW if several else CAPTION).format(**facts)
        return [Figure("flow", self.title, caption, plot), *files]


def data(study: Study) -> pd.DataFrame:
    """S(k) of the last anchor, with what became of each trial."""
    shape = study.shape[study.shape["main_anchor"] & study.shape["s"].notna()]
    return shape.merge(study.results.trials[[*shapes.TRIAL, "status"]], on=shapes.TRIAL)


def draw(
    shape: pd.DataFrame,
    needs: pd.DataFrame,
    labels: list[str],
    unit: Unit = STEPS,
    *,
    ax: Axes | None = None,
) -> mpl.Figure:
    """A column a length: the start above, the end below.

    Args:
        shape: from `data`.
        needs: from `shapes.needed_lags`.
        labels: the cells, in the card's order.
        unit: what lengths and lags count.
        ax: in whose place to draw; None: a new figure.
    """
    lengths, looks = sorted(shape["length"].unique()), style.looks(labels)
    figure, axes = style.panels(len(lengths), 2, ax=ax)
    for i, length in enumerate(lengths):
        here, (start, end) = shape[shape["length"] == length], axes[:, i]
        for one, at, told in ((start, "start", "before training"), (end, "end", "at the end")):
            mark_needs(one, needs[needs["length"] == length])
            rows = here[here["at"] == at]
            if at == "start":  # nothing has become of a trial yet
                rows = rows.assign(status="start")
            for (cell, status), group in rows.groupby(["cell", "status"], sort=False):
                _draw_shape(
                    one, group, looks[cell], None if status == "start" else Status(status).marker
                )
            one.set_title(f"{unit.at(length)}, {told}")
        _limit(start, end, here)
    style.label_edges(
        figure, axes, f"lag k: {unit.many} back from the anchor", ["S(k), decades"] * 2
    )
    style.legend(figure, _flow_legend(shape, looks))
    return style.whole(figure)


def _draw_shape(ax: Axes, rows: pd.DataFrame, look: dict[str, Any], marker: str | None) -> None:
    """The median over seeds; the band from p10 to p90 over examples, each a median over seeds.

    At the end a thin line for each of the first seeds too: seeds of one cell may part, and then
    nothing is where their middle is.
    """
    if marker:
        for _, seed in style.first_seeds(rows).groupby("seed"):
            ax.plot(seed["lag"], seed["s"], lw=0.7, alpha=0.45, **look)
    by_lag = rows.groupby("lag")
    mean = by_lag[["s", "p10", "p90"]].median().clip(lower=3 * FLOOR - 300)
    hollow = by_lag["hollow"].any()
    ax.fill_between(mean.index, mean["p10"], mean["p90"], color=look["color"], alpha=0.16, lw=0)
    ax.plot(mean.index, mean["s"], **look)
    shown = hollow.to_numpy().copy()
    if marker:
        shown[np.unique(np.linspace(0, len(mean) - 1, 6).round().astype(int))] = True
    for empty in (False, True):
        points = mean["s"][shown & (hollow.to_numpy() == empty)]
        face = "white" if empty else look["color"]
        ax.plot(
            points.index,
            points,
            marker or "o",
            ms=4.2,
            mfc=face,
            mec=look["color"],
            mew=0.9,
            zorder=3,
        )


def _limit(start: Axes, end: Axes, rows: pd.DataFrame) -> None:
    """The same range for the start and the end of a length."""
    known = rows.loc[rows["at"] != "", "s"]
    low, high = max(FLOOR, min(known.min(), -LEAST_SPAN)), max(known.max(), 0.0)
    for ax in (start, end):
        ax.set_ylim(low - 0.04 * (high - low), high + 0.07 * (high - low))
        ax.set_xlim(-0.02 * rows["lag"].max(), 1.02 * rows["lag"].max())
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))


def _flow_legend(shape: pd.DataFrame, looks: dict[str, dict]) -> list:
    cells = [style.line(cell, **looks[cell]) for cell in looks if cell in shape["cell"].unique()]
    seen = set(shape.loc[shape["at"] == "end", "status"])
    outcomes = style.outcomes(seen, ms=4.5)
    needed = [style.mark("median needed lag", "v", ms=4.5)]
    level = [style.line("a thousandth", color=GREY, lw=0.7, ls=(0, (1, 2)))]
    zeros = [style.mark("over 5 % exact zeros", "o", ms=4.5, mfc="white")]
    return cells + outcomes + needed + level + (zeros if shape["hollow"].any() else [])
