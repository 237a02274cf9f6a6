"""What the commands print: tables that fit a terminal, or a pipe."""

from __future__ import annotations

import math
import sys

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from seqbench import curve
from seqbench.reporting.tables import FINISHED, median
from seqbench.reporting.words import steps
from seqbench.results import Results

EXAMPLES = 32  # of `seqbench flow`
FLOAT32_ZERO = math.log10(2.0**-150)  # half the smallest subnormal number; below, rounded to 0
WIDTH = 80  # where there is no terminal
SHORT = {"error": "error", "interrupted": "not run"}


def print_comparison(results: Results, console: Console | None = None) -> None:
    """Cell by length: how many seeds solved it, and in how many steps (median)."""
    console = console or _console()
    lengths, per_table = list(results.task.lengths), _fitting(console, 12, 13)
    for start in range(0, len(lengths), per_table):
        shown = lengths[start : start + per_table]
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
        table.add_column("cell", overflow="fold", no_wrap=False)
        for length in shown:
            table.add_column(f"T = {length}", overflow="fold")
        for cell in results.task.cells:
            trials = results.trials[results.trials["cell"] == cell.label]
            table.add_row(
                cell.label, *(entry(trials[trials["length"] == length]) for length in shown)
            )
        console.print(table, markup=False)
    console.print(
        "solved by how many seeds, and at which step (median, unsolved = infinite)",
        style="dim", markup=False,
    )  # fmt: skip


def entry(trials: pd.DataFrame) -> str:
    """ "2/2 at 600", "0/2", "1/2, 1 not run"."""
    done = trials[trials["status"].isin(FINISHED)]
    told = []
    if len(done):
        solved = int((trials["status"] == "solved").sum())
        at = median(done["solved_at"].astype(float).fillna(np.inf))
        told.append(f"{solved}/{len(trials)}" + (f" at {at:,.0f}" if math.isfinite(at) else ""))
    for status in ("diverged", "error", "interrupted"):
        n = int((trials["status"] == status).sum())
        told += [f"{n} {SHORT.get(status, status)}"] if n else []
    return ", ".join(told) or "–"


def errors(results: Results) -> list[str]:
    """A line for each trial that ended in an error or has no result."""
    lines = []
    for trial in results.trials.itertuples():
        if trial.status in ("error", "interrupted"):
            name = f"{trial.cell} T={trial.length} seed {trial.seed}"
            message = " ".join(str(trial.error).split()) if trial.status == "error" else ""
            lines.append(f"{name}: {message or 'has not finished'}")
    return lines


def print_flow(table: pd.DataFrame, console: Console | None = None) -> None:
    """What is read off the output flow of each untrained cell, a column a cell.

    Args:
        table: cell, layer, time, lag, state, log10_norm, n_zero, n_nonfinite, ... of 32 examples.
    """
    console = console or _console()
    columns = {cell: readings(rows) for cell, rows in table.groupby("cell", sort=False)}
    labels, cells = list(next(iter(columns.values()), {})), list(columns)
    per_table = _fitting(console, 34, 13)
    for start in range(0, len(cells), per_table):
        shown = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
        shown.add_column("output flow, untrained", no_wrap=True)
        for cell in cells[start : start + per_table]:
            shown.add_column(cell, justify="right", overflow="fold")
        for label in labels:
            shown.add_row(
                label, *(columns[cell][label] for cell in cells[start : start + per_table])
            )
        console.print(shown, markup=False)


def readings(rows: pd.DataFrame) -> dict[str, str]:
    """One cell's readings in words, from its rows."""
    rows = rows[(rows["state"] == "all") & (rows["layer"] == rows["layer"].max())]
    one = curve.from_rows(rows, EXAMPLES)
    K = one.largest_lag
    told = {
        "early rate, decades a step": _rate(one.early_rate()),
        "late rate, decades a step": _rate(one.late_rate()),
        "half-life, steps": _reach(one.half_life(), K),
    }
    for theta in curve.HORIZONS:
        told[f"horizon({theta:.0e}), steps".replace("e-0", "e-")] = _reach(one.horizon(theta), K)
    for lag in sorted({lag for lag in (10.0, 100.0) if lag < K} | {K}):
        told[f"log10 S({lag:,.0f})"] = _level(one, lag)
    told["float32 would be 0 from lag"] = _lost_in_float32(rows)
    return told


def _rate(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _reach(crossing: float | None, largest: float) -> str:
    return f">= {largest:,.0f}" if crossing is None else steps(crossing)


def _level(one: curve.Curve, lag: float) -> str:
    exact = one.s[one.lags == lag]
    value = float(exact[0]) if len(exact) else one.at(lag)
    if math.isnan(value):
        return "–"
    return "exactly 0" if math.isinf(value) else f"{value:.1f}"


def _lost_in_float32(rows: pd.DataFrame) -> str:
    """The first recorded lag at which even the whole norm is below what float32 can hold."""
    rows = rows.sort_values("lag")
    lost = rows[(rows["log10_norm"] < FLOAT32_ZERO) | (rows["n_zero"] > EXAMPLES / 2)]
    return f"{int(lost['lag'].iloc[0]):,}" if len(lost) else "none"


def _console() -> Console:
    # A pipe has no width of its own; rich would take one from the environment.
    return Console() if sys.stdout.isatty() else Console(width=WIDTH, force_terminal=False)


def _fitting(console: Console, first: int, each: int) -> int:
    """How many columns fit beside the first."""
    return max(1, (console.width - first) // each)
