"""Beyond the trained length: score against evaluated length, a panel a trained length."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pandas as pd
from matplotlib import figure as mpl
from matplotlib.axes import Axes

from seqbench.analysis.choice import at_end
from seqbench.analysis.study import Study
from seqbench.analysis.unit import STEPS, Unit
from seqbench.reporting import style
from seqbench.reporting.blocks import Block, Figure, Table, Text
from seqbench.reporting.style import GREY

CAPTION = (
    "Share right of trained models on fresh sequences of other lengths, at the end of training: a "
    "line a trial, the same sequences for every cell. Dotted upright: the length trained at. Grey: "
    "the reference baseline at each length."
)
TESTED = (
    "Share right on the test part of the data, which was seen once, when training had ended; where "
    "nothing else is said, losses and scores of this page are of the validation part. Median over "
    "seeds."
)


class Lengths:
    """What a trained model does at other lengths, and on data held out."""

    title = "Other lengths, held-out data"

    def blocks(self, study: Study) -> Iterator[Block]:
        """Where the card asks for other lengths, or the data have a test part."""
        rows = at_end(study.results.lengths)
        if rows.empty:
            return
        yield Table("lengths", rows)
        fresh, tested = (rows[rows["data"] == data] for data in ("fresh", "test"))
        if len(fresh):
            plot = partial(draw, fresh, study.labels, study.unit)
            yield Figure("beyond", "Beyond the trained length", CAPTION, plot)
        if len(tested):
            yield Text([TESTED], head="Test part.")
            yield _table(tested, study.labels, study.unit)


def _table(tested: pd.DataFrame, labels: list[str], unit: Unit) -> Table:
    scores = tested.pivot_table(index="cell", columns="length", values="score", aggfunc="median")
    scores = scores.reindex(labels)
    heads = ["cell", *map(unit.at, scores.columns)]
    rows = [[cell, *(f"{100 * x:.1f} %" for x in row)] for cell, *row in scores.itertuples()]
    return Table(heads=heads, rows=rows, align="l" + "r" * len(scores.columns), title="Test part")


def draw(
    rows: pd.DataFrame, labels: list[str], unit: Unit = STEPS, *, ax: Axes | None = None
) -> mpl.Figure:
    """A panel a trained length.

    Args:
        rows: of `results.lengths`, one step a trial.
        labels: the cells, in the card's order.
        unit: what lengths count.
        ax: in whose place to draw; None: a new figure.
    """
    trained, looks = sorted(rows["length"].unique()), style.looks(labels)
    figure, axes = style.panels(len(trained), 1, height=2.3, ax=ax)
    for one, length in zip(axes[0], trained, strict=True):
        here = rows[rows["length"] == length].sort_values("evaluated_length")
        reference = here.drop_duplicates("evaluated_length")
        one.plot(reference["evaluated_length"], reference["baseline_score"], color=GREY, lw=1.0)
        one.axvline(length, color=GREY, lw=1.0, ls=":")
        for (cell, _), trial in here.groupby(["cell", "seed"], sort=False):
            one.plot(
                trial["evaluated_length"], trial["score"], marker="o", ms=3, lw=1.1, **looks[cell]
            )
        one.set_title(f"trained at {unit.at(length)}")
        one.set_xscale("log")
        one.set_xticks(reference["evaluated_length"], map(str, reference["evaluated_length"]))
        one.minorticks_off()
        one.set_ylim(-0.03, 1.03)
    style.label_edges(figure, axes, "evaluated length", ["share right"])
    cells = [style.line(cell, **looks[cell]) for cell in labels if cell in set(rows["cell"])]
    style.legend(figure, [*cells, style.line("baseline", color=GREY, lw=1.0)])
    return style.whole(figure)
