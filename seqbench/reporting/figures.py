"""The figures of a report, drawn from its DataFrames. No global state: each is a Figure of its own.

Cells differ by colour and line style; what became of a trial by the shape of its marks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from seqbench.analysis import shapes
from seqbench.analysis.opening import OPEN
from seqbench.analysis.study import Study
from seqbench.card.status import Status
from seqbench.reporting import diagnosed, style
from seqbench.reporting.heat import flow_over_training
from seqbench.reporting.style import GREY, INK
from seqbench.reporting.views import View
from seqbench.results import Results

FLOOR = -20.0  # decades; below, the panels would show nothing but one cell's fall
TOP = 1.1  # of the budget: where trials whose loss did not fall are drawn
LEAST_SPAN = 2.0  # decades that a panel shows at least, so that noise does not look like a fall


def draw(tables: Study, views: Sequence[View] = ()) -> dict[str, Figure]:
    """Every figure that the run has data for, by name.

    Args:
        views: of its diagnostics.
    """
    with style.drawing():
        drawn = {
            "flow": flow_against_lag(tables),
            "reach": reach_against_length(tables),
            "training": flow_over_training(tables),
            "loss": learning_curves(tables),
            "fall": flow_and_fall(tables),
        }
        trials = tables.results.trials
        drawn |= {view.name: diagnosed.draw(view, trials, tables.labels) for view in views}
    return {name: figure for name, figure in drawn.items() if figure is not None}


def flow_against_lag(tables: Study) -> Figure | None:
    """S(k) against lag: a panel a length at the start, and one at the end."""
    shape = tables.shape[tables.shape["main_anchor"] & tables.shape["s"].notna()]
    shape = shape.merge(tables.results.trials[[*shapes.TRIAL, "status"]], on=shapes.TRIAL)
    lengths = sorted(shape["length"].unique())
    if not lengths:
        return None
    looks, needs = style.looks(tables.labels), tables.needs
    figure, axes = style.panels(len(lengths), 2)
    for i, length in enumerate(lengths):
        here, (start, end) = shape[shape["length"] == length], axes[:, i]
        for ax, at, told in ((start, "start", "before training"), (end, "end", "at the end")):
            _mark_needs(ax, needs[needs["length"] == length])
            rows = here[here["at"] == at]
            if at == "start":  # nothing has become of a trial yet
                rows = rows.assign(status="start")
            for (cell, status), group in rows.groupby(["cell", "status"], sort=False):
                _draw_shape(
                    ax, group, looks[cell], None if status == "start" else Status(status).marker
                )
            ax.set_title(f"T = {length}, {told}")
        _limit(start, end, here)
    style.label_edges(figure, axes, "lag k: steps back from the anchor", ["S(k), decades"] * 2)
    style.legend(figure, _flow_legend(shape, looks))
    return figure


def _draw_shape(ax: Axes, rows: pd.DataFrame, look: dict[str, Any], marker: str | None) -> None:
    """The median over seeds; the band from p10 to p90 over examples, each a median over seeds.

    At the end each seed as a thin line too: seeds of one cell may part, and then nothing is where
    their middle is.
    """
    if marker:
        for _, seed in rows.groupby("seed"):
            ax.plot(seed["lag"], seed["s"], lw=0.7, alpha=0.45, **look)
    by_lag = rows.groupby("lag")
    mean = by_lag[["s", "p10", "p90"]].median().clip(lower=3 * FLOOR - 300)
    hollow = by_lag["hollow"].any()
    ax.fill_between(mean.index, mean["p10"], mean["p90"], color=look["color"], alpha=0.16, lw=0)
    ax.plot(mean.index, mean["s"], **look)
    spots = np.unique(np.linspace(0, len(mean) - 1, 6).round().astype(int)) if marker else []
    shown = hollow.to_numpy().copy()
    shown[spots] = True
    for empty in (False, True):
        points = mean["s"][shown & (hollow.to_numpy() == empty)]
        face = "white" if empty else look["color"]
        ax.plot(points.index, points, marker or "o", ms=4.2, mfc=face, mec=look["color"], mew=0.9,
                zorder=3)  # fmt: skip


def _mark_needs(ax: Axes, needs: pd.DataFrame) -> None:
    """Shade where the needed lags lie over the probe, and point at each median."""
    main_anchor = needs["anchor"].max()
    for need in needs[needs["anchor"] == main_anchor].itertuples():
        if need.low < need.high:
            ax.axvspan(need.low, need.high, color="#000000", alpha=0.055, lw=0, zorder=0)
        else:
            ax.axvline(need.low, color=GREY, lw=0.8, zorder=0)
        ax.plot(need.median, 1.0, "v", color=INK, ms=4.5, clip_on=False, zorder=4,
                transform=ax.get_xaxis_transform())  # fmt: skip
    ax.axhline(OPEN, color=GREY, lw=0.7, ls=(0, (1, 2)), zorder=1)


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
    cells = [style.line(cell, **looks[cell]) for cell in looks if cell in set(shape["cell"])]
    seen = set(shape.loc[shape["at"] == "end", "status"])
    outcomes = style.outcomes(seen, ms=4.5)
    needed = [style.mark("median needed lag", "v", ms=4.5)]
    level = [style.line("a thousandth", color=GREY, lw=0.7, ls=(0, (1, 2)))]
    zeros = [style.mark("over 5 % exact zeros", "o", ms=4.5, mfc="white")]
    return cells + outcomes + needed + level + (zeros if shape["hollow"].any() else [])


def reach_against_length(tables: Study) -> Figure | None:
    """Half-life and horizon against length: a column a cell, the start dashed, the end solid."""
    table = tables.comparison
    table = table[(table["flow_start"] > 0) | (table["flow_end"] > 0)]
    cells = [cell for cell in tables.labels if cell in set(table["cell"])]
    if not cells:
        return None
    offs = tables.offs[tables.offs["main_anchor"]]
    looks = style.looks(tables.labels)
    figure, axes = style.panels(len(cells), 2, height=2.1)
    measures = {"half_life": "half-life, steps", "horizon_1e-3": "horizon(1e-3), steps"}
    for column, cell in enumerate(cells):
        rows = table[table["cell"] == cell].sort_values("length")
        for ax, name in zip(axes[:, column], measures, strict=True):
            _draw_reach(ax, rows, offs[offs["cell"] == cell], name, looks[cell]["color"])
        axes[0, column].set_title(cell)
    _same_limits(axes, table, offs)
    style.label_edges(figure, axes, "length T, steps", list(measures.values()))
    dark = {"color": INK}
    style.legend(figure, [
        style.line("start", ls="--", marker="D", mfc="white", ms=3.5, **dark),
        style.line("end, solved by half the seeds or more", marker="o", ms=4.5, **dark),
        style.line("end, solved by fewer", marker="s", ms=4.5, **dark),
        style.mark("at least: not reached within K", r"$\uparrow$", ms=7),
        style.line("median needed lag", color=GREY, lw=0.9, ls=(0, (1, 1.5))),
    ], columns=3)  # fmt: skip
    return figure


def _draw_reach(ax: Axes, rows: pd.DataFrame, offs: pd.DataFrame, name: str, colour: str) -> None:
    """One cell's medians over seeds, and its seeds as pale dots."""
    ax.plot(rows["length"], rows["needed_lag"], color=GREY, lw=0.9, ls=(0, (1, 1.5)), zorder=1)
    half = 2 * rows["solved"] >= rows["seeds"]
    split = rows[rows[f"{name}_end_low"].lt(np.inf) & np.isinf(rows[f"{name}_end"])]
    ax.vlines(split["length"], split[f"{name}_end_low"], split["largest_lag"], color=colour, lw=0.8)
    for at, dashes in (("start", "--"), ("end", "-")):
        seeds = offs[offs["at"] == at]
        ax.plot(seeds["length"], seeds[name].clip(upper=seeds["largest_lag"]), ".", color=colour,
                ms=6, alpha=0.5, mec="none", zorder=2)  # fmt: skip
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
            ax.annotate("", (length, top), (0, 12), textcoords="offset points", zorder=3,
                        arrowprops={"arrowstyle": "<-", "color": colour, "lw": 1.1})  # fmt: skip


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


def learning_curves(tables: Study) -> Figure | None:
    """Loss against step: a panel a length, a line a trial, every baseline."""
    results = tables.results
    curves = results.curves[results.curves["loss"].notna()]
    lengths = sorted(curves["length"].unique())
    if not lengths:
        return None
    looks, lines = style.looks(tables.labels), _baselines(results)
    greys = {
        name: {"color": GREY, "lw": 1.0, "ls": ls}
        for name, ls in zip(lines["name"].unique(), ["-", "--", ":", "-."] * 9, strict=False)
    }
    figure, axes = style.panels(len(lengths), 1, height=2.3)
    for ax, length in zip(axes[0], lengths, strict=True):
        for row in lines[lines["length"] == length].itertuples():
            ax.axhline(row.loss, zorder=1, **greys[row.name])
        here = curves[curves["length"] == length]
        for (cell, seed), trial in here.groupby(["cell", "seed"], sort=False):
            ax.plot(trial["step"], trial["loss"], lw=1.1, alpha=0.9, **looks[cell])
            _mark_outcome(ax, results.trials, (cell, length, seed), trial, looks[cell]["color"])
        ax.set_title(f"T = {length}")
        ax.set_yscale("log")
        ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        style.thousands(ax)
    style.label_edges(figure, axes, "training step", ["loss on evaluation sequences"])
    cells = [style.line(cell, **looks[cell]) for cell in looks if cell in set(curves["cell"])]
    told = [style.line(f"baseline: {name}", **look) for name, look in greys.items()]
    style.legend(figure, [*cells, style.mark("solved", "o", ms=5, mec="white"), *told])
    return figure


def _mark_outcome(
    ax: Axes, trials: pd.DataFrame, key: tuple, curve: pd.DataFrame, colour: str
) -> None:
    """A dot where the trial was solved, a cross where it diverged."""
    trial = trials.set_index(shapes.TRIAL).loc[key]
    if pd.notna(trial["solved_at"]):
        at = curve[curve["step"] == trial["solved_at"]]
        ax.plot(at["step"], at["loss"], "o", color=colour, ms=5.5, mec="white", zorder=4)
    elif trial["status"] == Status.DIVERGED:
        ax.plot(curve["step"].iloc[-1], curve["loss"].iloc[-1], "X", color=colour, ms=7,
                mec="white", zorder=4)  # fmt: skip


def _baselines(results: Results) -> pd.DataFrame:
    rows = {
        (length, name): loss
        for (_, length, _), summary in shapes.summaries(results).items()
        for name, loss in (summary.get("baselines") or {}).items()
    }
    told = [(length, name, loss) for (length, name), loss in rows.items()]
    return pd.DataFrame(told, columns=["length", "name", "loss"])


def flow_and_fall(tables: Study) -> Figure | None:
    """S at the needed lag before training, and when the loss fell: a mark a trial."""
    shown = tables.marks.dropna(subset=["s_start"])
    shown = shown[shown["s_start"] > -np.inf]
    lengths = sorted(shown["length"].unique())
    if not lengths:
        return None
    looks = style.looks(tables.labels)
    budget = tables.results.task.training.steps
    drawn, axes = style.panels(len(lengths), 1, height=2.6)
    for ax, length in zip(axes[0], lengths, strict=True):
        here = shown[shown["length"] == length]
        for (cell, status), group in here.groupby(["cell", "status"], sort=False):
            ax.plot(group["s_start"], group["fell_at"].clip(upper=TOP * budget),
                    Status(status).marker, color=looks[cell]["color"], ms=5, alpha=0.85,
                    mec="white", mew=0.5, ls="none", zorder=3)  # fmt: skip
        _mark_fall(ax, budget)
        ax.set_title(f"T = {length}, S at lag {here['needed_lag'].iloc[0]:g}")
    style.label_edges(drawn, axes, "S at the needed lag before training, decades",
                      ["step by which the loss fell"])  # fmt: skip
    seen = set(shown["status"])
    cells = [
        style.mark(cell, "o", color=looks[cell]["color"], ms=5)
        for cell in looks
        if cell in set(shown["cell"])
    ]
    ended = style.outcomes(seen, ms=5)
    style.legend(drawn, cells + ended)
    return drawn


def _mark_fall(ax: Axes, budget: int) -> None:
    ax.axvline(OPEN, color=GREY, lw=0.7, ls=(0, (1, 2)), zorder=1)
    ax.axhline(TOP * budget, color=GREY, lw=0.7, zorder=1)
    ax.annotate("did not fall", (0.01, TOP * budget), xycoords=("axes fraction", "data"),
                xytext=(0, 4), textcoords="offset points", color=GREY, fontsize=7.5)  # fmt: skip
    ax.set_ylim(-0.03 * budget, (TOP + 0.12) * budget)
    ticks = [tick for tick in MaxNLocator(4).tick_values(0, budget) if 0 <= tick <= budget]
    ax.set_yticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
