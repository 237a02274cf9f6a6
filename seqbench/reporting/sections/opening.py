"""Did the flow open before, after or without the loss falling? And how far was it open before?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import figure as mpl
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from seqbench.analysis import opening
from seqbench.analysis.falling import Intervention, correlation, interventions
from seqbench.analysis.opening import OPEN
from seqbench.analysis.statistics import Interval
from seqbench.analysis.study import Study
from seqbench.analysis.unit import STEPS, Unit
from seqbench.card.status import Status
from seqbench.card.task import PASSED
from seqbench.reporting import style
from seqbench.reporting.blocks import Block, Figure, Table, Text
from seqbench.reporting.style import GREY
from seqbench.reporting.words import DASH, count, decades, join
from seqbench.reporting.words import correlation as told

TOP = 1.1  # of the budget: where trials whose loss did not fall are drawn
FALL = "Flow before training, and when the loss fell"


class Opening:
    """What came first, counted; the flow before training and the fall."""

    title = "Was the flow open before the loss fell?"

    def blocks(self, study: Study) -> Iterator[Block]:
        """Tables, their rules, a figure; files alone where no length is long enough to tell."""
        yield Table("opening", study.opening)
        if study.opening_counts.empty:
            for name in ("opening_counts", "falls", "by_needed_lag", "speeds"):
                yield Table(name, getattr(study, name))
            return
        yield from _counted(study)
        yield from _fallen(study)
        yield from _by_needed_lag(study)
        yield from _sooner(study)


def _counted(study: Study) -> Iterator[Block]:
    """What came first."""
    unit, rows = study.unit, count_rows(study)
    long = [length for length in study.task.lengths if length >= opening.SHORT]
    yield Table(
        "opening_counts",
        study.opening_counts,
        ["cell", *map(unit.at, long)],
        rows,
        "l" * (len(long) + 1),
        title="Open before the fall, by cell and length",
    )
    yield Text(
        [f"How many trials, at {unit.at(opening.SHORT)} or more. {rule()} {ASSOCIATION}"], "note"
    )
    yield Text([f"{name}: {told}" for name, told in _categories(study)], "bullets")


def _fallen(study: Study) -> Iterator[Block]:
    """The flow before training, and the fall."""
    marks = data(study)
    if marks.empty:
        yield Table("falls", study.falls)
        return
    plot = partial(draw, marks, study.task.training.steps, study.labels, study.unit)
    yield Figure("fall", FALL, _caption(study), plot)
    heads = ["cell", *map(study.unit.at, study.task.lengths)]
    title = f"{FALL}, by cell and length"
    yield Table("falls", study.falls, heads, fall_rows(study), "l" * len(heads), title=title)
    yield Text(fall_notes(study), "note")


def _sooner(study: Study) -> Iterator[Block]:
    """Whether a flow that opens faster goes with an earlier fall."""
    known = study.speeds.dropna(subset=["correlation"])
    yield Table(
        "speeds",
        study.speeds,
        [study.unit.symbol, "trials", "left out", "rank correlation"] if len(known) else [],
        [speed_row(row) for row in known.itertuples()],
        "rrrr",
        title=SPEED,
    )
    if len(known):
        yield Text([SPEED_NOTE], "note")


ASSOCIATION = (
    "Open before the fall is no finding: by the chain rule an answer has no slope on a value "
    "without a flow from there. Closed before it is no contradiction: a loss may fall by nearer "
    "lags alone, units that saturate may hold a symbol without a gradient, and a damped gradient "
    "is not the answer's own. An intervention, such as another initialisation, is what tests "
    "whether an open flow is enough."
)


NEEDED = "What an open flow before training does at each needed lag"
NEEDED_NOTE = (
    "Trials that ended and solved the problem, of those whose flow was open before training at "
    "that lag (at least a thousandth) and of those whose flow was not, with the 95 % Wilson "
    "interval; lags are medians over the probe. An association over all cells, which differ in "
    "more."
)


def _by_needed_lag(study: Study) -> Iterator[Block]:
    """A row a needed lag, where there are both kinds of trials at one of them."""
    table = study.by_needed_lag
    each = {(row.length, row.lag, row.open): row for row in table.itertuples()}
    lags = list(dict.fromkeys((length, lag) for length, lag, _ in each))
    told = any((*one, True) in each and (*one, False) in each for one in lags)
    rows = [
        [f"{length}", f"{lag:g}", *(_solved(each.get((length, lag, k))) for k in (True, False))]
        for length, lag in lags
    ]
    heads = [study.unit.symbol, "needed lag", "open: solved", "closed: solved"]
    yield Table("by_needed_lag", table, heads if told else [], rows, "rrrr", title=NEEDED)
    if told:
        yield Text([NEEDED_NOTE], "note")


def _solved(row: Any) -> str:
    """How many of how many, and the interval."""
    if row is None:
        return DASH
    return f"{row.solved}/{row.trials} [{100 * row.low:.0f}, {100 * row.high:.0f}] %"


SPEED = "Does a flow that opens faster make the loss fall sooner?"
SPEED_NOTE = (
    "Spearman's rank correlation of the change of S at the median longest needed lag, over the "
    f"first {opening.EARLY:.0%} of the budget, with the step of the fall (never: last): below 0, "
    "faster goes with sooner. Left out: trials whose loss had fallen by then, since their flow "
    "opened with it. In brackets its 95 % bootstrap interval over cells, where there are five. An "
    "association: learning may open the flow."
)


def speed_row(row: Any) -> list[str]:
    """A length's correlation."""
    rho = Interval(row.correlation, row.low, row.high)
    return [f"{row.length}", f"{row.trials}", f"{row.fallen_by_then}", told(rho)]


def rule() -> str:
    """The rule behind the third sentence."""
    return (
        f"Open: at the median longest needed lag, S is at least −{-opening.OPEN:g} (a thousandth "
        f"arrives); if it was below that at step 0, it must also have risen "
        f"by at least {opening.RISE:g} decade. Fallen: the first evaluation whose loss is below "
        f"{PASSED:g} of the reference baseline, the first one in the learning curves; it may rise "
        "again. The flow is known at the recorded training steps only, so what happened between "
        "two of them can't be ordered."
    )


def _categories(study: Study) -> list[tuple[str, str]]:
    unknown = opening.UNKNOWN in set(study.opening["category"])
    return [(k, told) for k, told in opening.CATEGORIES.items() if k != opening.UNKNOWN or unknown]


def count_rows(study: Study) -> list[list[str]]:
    """What came first, a row a cell and a column a length."""
    rows = []
    between = (
        study.opening[opening.opened_between(study.opening)].groupby(["cell", "length"]).size()
    )
    for cell, group in study.opening_counts.groupby("cell", sort=False):
        each = []
        for _, row in group.sort_values("length").iterrows():
            told = {name: f"{row[name]} {name}" for name in opening.CATEGORIES if row[name]}
            if (cell, row["length"]) in between:
                told[opening.CLOSED_FELL] += f" ({between[cell, row['length']]} open at the next)"
            each.append("; ".join(told.values()) or DASH)
        rows.append([cell, *each])
    return rows


def fall_rows(study: Study) -> list[list[str]]:
    """The flow before training and the fall, a row a cell and a column a length."""
    each = {(row.cell, row.length): _fall(row) for row in study.falls.itertuples()}
    lengths = study.task.lengths
    return [[c, *(each.get((c, length), DASH) for length in lengths)] for c in study.labels]


def _fall(row: Any) -> str:
    start = decades(row.s_start)
    when = "" if math.isinf(row.fell_at) else f" at step {row.fell_at:,.0f}"
    return f"{start}; fell {row.fell}/{row.trials}{when}; solved {row.solved}/{row.trials}"


def fall_notes(study: Study) -> list[str]:
    """How to read the table of falls, and rank correlations where there is an intervention."""
    notes = [
        "S at the median longest needed lag before training, in decades; in how many trials the "
        "loss fell, and at which step (no step: not in half of them); how many solved the problem. "
        "Medians over seeds."
    ]
    each = [text for one in interventions(study.task) if (text := _correlations(study, one))]
    if each:
        notes.append(
            "Spearman's rank correlation of S there before training with the step of the fall "
            f"(never: last), with its 95 % bootstrap interval: {'; '.join(each)}. A "
            "description: the trials of one cell share its option, so they are no independent "
            "doses."
        )
    return notes


def _correlations(study: Study, one: Intervention) -> str:
    trials = study.marks[study.marks["cell"].isin(list(one.values))]
    found = []
    for length, group in trials.groupby("length"):
        rho, n = correlation(group)
        if not math.isnan(rho.value):
            found.append(f"{told(rho)} at {study.unit.at(length)} ({count(n, 'trial')})")
    return f"{kind(one)} cells, {join(found)}" if found else ""


def kind(one: Intervention) -> str:
    """What the cells of an intervention are, without where it lies."""
    return one.use.rpartition(":")[2]


def _caption(study: Study) -> str:
    gone = int((~np.isfinite(study.marks["s_start"].astype(float))).sum())
    left_out = f" Left out: {count(gone, 'trial')} with no finite S there." if gone else ""
    return (
        "A mark a trial: S at the median longest needed lag before any training, and the first "
        "evaluation whose loss had fallen, by the rule above; on the topmost line: it did not "
        f"fall within {study.task.training.steps:,} steps. Shape and colour: the cell; empty: not "
        f"solved. Dotted: a thousandth.{left_out}"
    )


def data(study: Study) -> pd.DataFrame:
    """The trials with a finite S at the needed lag before training."""
    known = study.marks.dropna(subset=["s_start"])
    return known[known["s_start"] > -np.inf]


def draw(
    marks: pd.DataFrame,
    budget: int,
    labels: list[str],
    unit: Unit = STEPS,
    *,
    ax: Axes | None = None,
) -> mpl.Figure:
    """S at the needed lag before training, and when the loss fell: a mark a trial.

    Args:
        marks: from `data`.
        budget: training steps.
        labels: the cells, in the card's order.
        unit: what lengths count.
        ax: in whose place to draw; None: a new figure.
    """
    lengths, looks = sorted(marks["length"].unique()), style.looks(labels)
    markers = style.markers(labels)
    figure, axes = style.panels(len(lengths), 1, height=2.6, ax=ax)
    for one, length in zip(axes[0], lengths, strict=True):
        here = marks[marks["length"] == length]
        for (cell, status), group in here.groupby(["cell", "status"], sort=False):
            one.plot(
                group["s_start"],
                group["fell_at"].clip(upper=TOP * budget),
                markers[cell],
                color=looks[cell]["color"],
                mfc=looks[cell]["color"] if status == Status.SOLVED else "white",
                ms=5,
                alpha=0.85,
                mew=0.9,
                ls="none",
                zorder=3,
                gid=style.name(cell),
            )
        _mark_fall(one, budget)
        one.set_title(f"{unit.at(length)}, S at lag {here['needed_lag'].iloc[0]:g}")
    style.label_edges(
        figure,
        axes,
        "S at the needed lag before training, decades",
        ["training step by which the loss fell"],
    )
    cells = [
        style.mark(cell, markers[cell], color=looks[cell]["color"], ms=5)
        for cell in looks
        if cell in set(marks["cell"])
    ]
    style.legend(figure, [*cells, style.mark("not solved", "o", ms=5, mfc="white")])
    return style.whole(figure)


def _mark_fall(ax: Axes, budget: int) -> None:
    ax.axvline(OPEN, color=GREY, lw=0.7, ls=(0, (1, 2)), zorder=1)
    ax.axhline(TOP * budget, color=GREY, lw=0.7, zorder=1)
    ax.annotate(
        "did not fall",
        (0.01, TOP * budget),
        xycoords=("axes fraction", "data"),
        xytext=(0, 4),
        textcoords="offset points",
        color=GREY,
        fontsize=7.5,
    )
    ax.set_ylim(-0.03 * budget, (TOP + 0.12) * budget)
    ticks = [tick for tick in MaxNLocator(4).tick_values(0, budget) if 0 <= tick <= budget]
    ax.set_yticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
