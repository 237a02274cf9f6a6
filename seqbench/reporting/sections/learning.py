"""Learning curves: loss against step, a panel a length, a line a trial, every baseline."""

from __future__ import annotations

from functools import partial

import pandas as pd
from matplotlib import figure as mpl
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from seqbench.analysis import shapes, statistics
from seqbench.analysis.study import Study
from seqbench.analysis.unit import STEPS, Unit
from seqbench.card.status import Status
from seqbench.reporting import many, style
from seqbench.reporting.blocks import Figure
from seqbench.reporting.style import GREY


class Learning:
    """How the loss fell."""

    title = "Learning curves"

    def blocks(self, study: Study) -> list[Figure]:
        """The figure, where a trial was evaluated."""
        curves, baselines = data(study)
        if curves.empty:
            return []
        trials, labels = study.results.trials, study.labels
        if len(labels) > many.MANY:
            curve = statistics.solved_by_step(trials)
            facts = {"at": study.unit.at(curve["length"].max()), "reference": labels[0]}
            plot = partial(many.draw_solved, curve, study.task.training.steps, labels, study.unit)
            return [Figure("loss", self.title, many.SOLVED.format(**facts), plot)]
        of_them = f" of the first {style.LINES} seeds" * (curves["seed"].nunique() > style.LINES)
        curves = style.first_seeds(curves)
        caption = (
            f"Loss at each evaluation, a line a trial{of_them}. Grey lines: what partial "
            "knowledge earns."
            + " Dots: solved from here on."
            * bool(trials["solved_at"].notna().any())
        )
        plot = partial(draw, curves, baselines, trials, labels, study.unit)
        return [Figure("loss", self.title, caption, plot)]


def data(study: Study) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The evaluations, and the baselines: length, name, loss."""
    rows = {
        (length, name): loss
        for (_, length, _), summary in shapes.summaries(study.results).items()
        for name, loss in (summary.get("baselines") or {}).items()
    }
    told = [(length, name, loss) for (length, name), loss in rows.items()]
    curves = study.results.curves
    return curves[curves["loss"].notna()], pd.DataFrame(told, columns=["length", "name", "loss"])


def draw(
    curves: pd.DataFrame,
    lines: pd.DataFrame,
    trials: pd.DataFrame,
    labels: list[str],
    unit: Unit = STEPS,
    *,
    ax: Axes | None = None,
) -> mpl.Figure:
    """A panel a length.

    Args:
        curves, lines: from `data`.
        trials: of the results, for what became of each.
        labels: the cells, in the card's order.
        unit: what lengths count.
        ax: in whose place to draw; None: a new figure.
    """
    lengths, looks = sorted(curves["length"].unique()), style.looks(labels)
    greys = {
        name: {"color": GREY, "lw": 1.0, "ls": ls}
        for name, ls in zip(lines["name"].unique(), ["-", "--", ":", "-."] * 9, strict=False)
    }
    ended = trials.set_index(shapes.TRIAL)
    figure, axes = style.panels(len(lengths), 1, height=2.3, ax=ax)
    for one, length in zip(axes[0], lengths, strict=True):
        for row in lines[lines["length"] == length].itertuples():
            one.axhline(row.loss, zorder=1, **greys[row.name])
        here = curves[curves["length"] == length]
        draw_trials(one, here, looks)
        for (cell, seed), trial in here.groupby(["cell", "seed"], sort=False):
            _mark_outcome(one, ended.loc[(cell, length, seed)], trial, looks[cell]["color"])
        one.set_title(unit.at(length))
    style.label_edges(figure, axes, "training step", ["loss on evaluation sequences"])
    cells = [style.line(cell, **looks[cell]) for cell in looks if cell in curves["cell"].unique()]
    told = [style.line(f"baseline: {name}", **look) for name, look in greys.items()]
    style.legend(figure, [*cells, style.mark("solved", "o", ms=5, mec="white"), *told])
    return style.whole(figure)


def draw_trials(ax: Axes, curves: pd.DataFrame, looks: dict[str, dict]) -> None:
    """A line a trial.

    Args:
        curves: of the results, at one length.
        looks: of each cell.
    """
    for (cell, _), trial in curves.groupby(["cell", "seed"], sort=False):
        ax.plot(trial["step"], trial["loss"], lw=1.1, alpha=0.9, **looks[cell])
    ax.set_yscale("log")
    ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    style.thousands(ax)


def _mark_outcome(ax: Axes, trial: pd.Series, curve: pd.DataFrame, colour: str) -> None:
    """A dot where the trial was solved, a cross where it diverged."""
    if pd.notna(trial["solved_at"]):
        at = curve[curve["step"] == trial["solved_at"]]
        ax.plot(at["step"], at["loss"], "o", color=colour, ms=5.5, mec="white", zorder=4)
    elif trial["status"] == Status.DIVERGED:
        ax.plot(
            curve["step"].iloc[-1],
            curve["loss"].iloc[-1],
            "X",
            color=colour,
            ms=7,
            mec="white",
            zorder=4,
        )
