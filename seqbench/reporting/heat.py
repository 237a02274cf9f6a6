"""The heat map: the output flow over lag and training step, one panel a cell and length."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seqbench.analysis import shapes
from seqbench.analysis.opening import fall
from seqbench.analysis.study import Study
from seqbench.card.status import Status
from seqbench.reporting import style
from seqbench.results import Results

DEEPEST = -12.0  # decades; all below has one colour
HIGHEST = 3.0
MAP = "viridis"  # its lightness rises evenly: it survives greyscale
LABELS = 12  # steps named along an axis, at most


def flow_over_training(tables: Study) -> Figure | None:
    """S(k) by colour: lag against the recorded steps, one column each.

    A trial a panel, the lowest seed with a record; at the longest length, and at the longest one
    that some cell solved.
    """
    shape, results = tables.shape[tables.shape["main_anchor"]], tables.results
    lengths = lengths_shown(tables)
    if not lengths:
        return None
    trials = _first_seeds(shape[shape["length"].isin(lengths)])
    chosen = sorted(trials, key=lambda key: (-key[1], tables.labels.index(key[0])))
    rows = shape.set_index(shapes.TRIAL).sort_index()
    scale = _scale(pd.concat([rows.loc[[key]] for key in chosen])["s"])
    per_row = max(sum(key[1] == length for key in chosen) for length in lengths)
    figure, axes = _axes(chosen, lengths, per_row)
    for key in chosen:
        mesh = _draw_trial(axes[key], results, rows.loc[[key]], key, scale)
    bar = figure.colorbar(mesh, ax=list(axes.values()), extend="both", pad=0.015, aspect=30)
    bar.set_label("S(k), decades")
    bar.outline.set_linewidth(0.4)
    figure.supxlabel("training step (one column a record)", fontsize=8.5)
    return figure


def lengths_shown(tables: Study) -> list[int]:
    """The longest length with a record and, if it is another, the longest that was solved."""
    known = {
        int(length) for length in tables.shape.loc[tables.shape["s"].notna(), "length"].unique()
    }
    if not known:
        return []
    trials = tables.results.trials
    solved = trials.loc[trials["status"] == Status.SOLVED, "length"]
    best = [length for length in known if length in set(solved)]
    return sorted({max(known), *([max(best)] if best else [])}, reverse=True)


def _first_seeds(shape: pd.DataFrame) -> list[tuple[str, int, int]]:
    known = shape[shape["s"].notna()]
    seeds = known.groupby(["cell", "length"])["seed"].min()
    return [(cell, int(length), int(seed)) for (cell, length), seed in seeds.items()]


def _scale(s: pd.Series) -> dict[str, float]:
    finite = s[np.isfinite(s)]
    low = max(DEEPEST, np.floor(finite.min()))
    high = min(HIGHEST, np.ceil(max(finite.max(), 0.0)))
    return {"vmin": min(low, high - 1), "vmax": high}


def _axes(
    chosen: list[tuple], lengths: list[int], per_row: int
) -> tuple[Figure, dict[tuple, Axes]]:
    columns = min(per_row, style.PER_ROW)
    rows_each = -(-per_row // columns)
    figure = Figure(figsize=(max(5.2, 2.65 * columns + 0.6), 0.3 + 2.5 * rows_each * len(lengths)),
                    layout="constrained")  # fmt: skip
    grid = figure.subplots(rows_each * len(lengths), columns, squeeze=False)
    blocks = grid.reshape(len(lengths), -1)
    axes = {}
    for block, length in zip(blocks, lengths, strict=True):
        keys = [key for key in chosen if key[1] == length]
        axes |= dict(zip(keys, block, strict=False))
        for unused in block[len(keys) :]:
            unused.remove()
    return figure, axes


def _draw_trial(
    ax: Axes, results: Results, rows: pd.DataFrame, key: tuple, scale: dict[str, float]
):
    cell, length, seed = key
    table = rows.pivot_table(index="lag", columns="step", values="s", dropna=False)
    zeros = rows.pivot_table(index="lag", columns="step", values="hollow", dropna=False)
    colours = table.mask(zeros.fillna(False).astype(bool) & table.isna(), scale["vmin"])
    steps, lags = table.columns.to_numpy(), table.index.to_numpy(float)
    edges = np.concatenate([[lags[0] - 0.5], (lags[1:] + lags[:-1]) / 2, [lags[-1] + 0.5]])
    ax.set_facecolor("#ffffff")
    mesh = ax.pcolormesh(np.arange(len(steps) + 1), edges, colours.to_numpy(float), cmap=MAP,
                         rasterized=True, **scale)  # fmt: skip
    ax.grid(False)
    every = -(-len(steps) // LABELS)
    named = [i for i in range(0, len(steps), every) if i <= len(steps) - 1 - every]
    named.append(len(steps) - 1)
    ax.set_xticks([i + 0.5 for i in named], [f"{steps[i]:,}" for i in named], rotation=60)
    status = results.trials.set_index(shapes.TRIAL).loc[key, "status"]
    ax.set_title(f"{cell}, T = {length}\nseed {seed}, {Status(status).word}")
    if ax.get_subplotspec().is_first_col():
        ax.set_ylabel("lag k, steps")
    _mark(ax, results, key, steps)
    return mesh


def _mark(ax: Axes, results: Results, key: tuple, steps: np.ndarray) -> None:
    """A line at the longest needed lag, and one at the step by which the loss had fallen."""
    edge = [patheffects.withStroke(linewidth=2.6, foreground="black")]
    look = {"color": "white", "lw": 1.3, "path_effects": edge}
    need = shapes.longest_needs(results).get(key[1])
    if need is not None:
        ax.axhline(need, ls=(0, (4, 2)), **look)
    curves = results.curves
    mine = (curves[list(shapes.TRIAL)] == list(key)).all(axis=1)
    loss = curves[mine].set_index("step")["loss"].sort_index()
    baseline = results.trials.set_index(shapes.TRIAL).loc[key, "baseline"]
    _, fell_at = fall(loss, baseline)
    if not np.isnan(fell_at):
        ax.axvline(int(np.searchsorted(steps, fell_at)), **look)
