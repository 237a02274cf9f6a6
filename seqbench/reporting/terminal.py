"""What the commands print: tables that fit a terminal, or a pipe."""

from __future__ import annotations

import io
import math
import sys
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seqbench.analysis import curve
from seqbench.analysis.choice import last_scores, median_of
from seqbench.analysis.statistics import median
from seqbench.card.status import FINISHED, WITHOUT, Status
from seqbench.reporting import plot
from seqbench.reporting.words import many, steps
from seqbench.results import Results

if TYPE_CHECKING:  # a report needs no torch
    from seqbench.measure.seen import Gate

EXAMPLES = 32  # of `seqbench flow`
FLOAT32_ZERO = math.log10(2.0**-150)  # half the smallest subnormal number; below, rounded to 0
WIDTH = 80  # where there is no terminal
GAP = 2  # between columns
NOWHERE = "undefined"  # too few lags, exact zeros, or values that are not finite
IN_FLOAT32 = ("too small for float32 from lag", "float32 inputs.grad is 0 from lag")
OPENED = 3  # a forget bias, for example
FLOAT32 = (
    "Too small for float32: the norm is below half of its smallest number, 1.4e-45, so each entry "
    "of the exact gradient rounds to 0. inputs.grad: what an ordinary backward pass in float32 "
    "returned. The state's own gradient may stay at 1.4e-45 by rounding instead of reaching 0 "
    "(LSTM and GRU do that), which is as wrong."
)


def print_comparison(results: Results, console: Console | None = None) -> None:
    """Cell by length: how many seeds solved it, and in how many steps (median)."""
    labels = [cell.label for cell in results.task.cells]
    lasts, columns = last_scores(results), {}
    for length in results.task.lengths:
        trials = results.trials[results.trials["length"] == length]
        columns[f"T = {length}"] = [
            entry(trials[trials["cell"] == cell], median_of(lasts, cell, length)) for cell in labels
        ]
    console = console or _console()
    _print(console, "cell", labels, columns, justify="left")
    told = (
        "solved by how many seeds, at which training step (median, unsolved = infinite); where "
        "that is infinite, the share right (median), the mean of the last three evaluations, and, "
        "where it is another, of the last one"
    )
    console.print(hanging(told, console.width), style="dim", markup=False, highlight=False)


def print_choices(table: pd.DataFrame, console: Console | None = None) -> None:
    """What one chooses a cell by, a row a cell and length.

    Args:
        table: from `seqbench.analysis.choice.choices`.
    """
    rows = list(table.itertuples())
    columns = {
        "run": [row.run for row in rows],
        "T": [f"{row.length:,}" for row in rows],
        "solved": [_of_seeds(row) for row in rows],
        "learned": [_percent(row.learned) for row in rows],
        "right": [_percent(row.score) for row in rows],
        "last": [_percent(row.last) for row in rows],
        "steps": [_at(row.steps) for row in rows],
        "seconds": ["–" if math.isnan(row.seconds) else steps(row.seconds) for row in rows],
        "parameters": [_at(row.parameters) for row in rows],
    }
    if table["run"].nunique() < 2:
        del columns["run"]
    console = console or _console()
    _print(console, "cell", [row.cell for row in rows], columns, justify="right")
    told = (
        "solved: by how many seeds, and the 95 % interval of their share (Wilson), %; learned: % "
        "of what was to be learned; right: share right, %, mean of the last three evaluations, and "
        "at the last one; "
        "steps: training steps until solved; seconds: of a trial. Medians over seeds."
    )
    console.print(hanging(told, console.width), style="dim", markup=False, highlight=False)


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.0f}"


def _of_seeds(row: Any) -> str:
    if not row.seeds:
        return "–"
    low, high = 100 * row.solved_low, 100 * row.solved_high
    return f"{round(row.solved * row.seeds)}/{row.seeds} [{low:.0f}, {high:.0f}]"


def print_difference(table: pd.DataFrame, console: Console | None = None) -> None:
    """What changed between two runs, a row a cell and length.

    Args:
        table: from `seqbench.analysis.difference.difference`.
    """
    rows = list(table.itertuples())
    columns = {
        "T": [str(row.length) for row in rows],
        "pairs": [str(row.pairs) for row in rows],
        "solved": [f"{row.solved_before} → {row.solved_after}" for row in rows],
        "median steps": [f"{_at(row.steps_before)} → {_at(row.steps_after)}" for row in rows],
        "loss, decades": [_decades_of(row) for row in rows],
        "seconds": [f"× {row.seconds_ratio:.2f}" for row in rows],
    }
    console = console or _console()
    _print(console, "cell", [row.cell for row in rows], columns, justify="right")
    told = (
        "of the seeds that finished in both, before → after; steps: training steps until solved;\n"
        "loss: the median of log10(after / before), below 0 is better, and of 5 pairs or more its\n"
        "95 % bootstrap interval"
    )
    console.print(told, style="dim", markup=False)


def _at(steps: float) -> str:
    if math.isnan(steps):
        return "–"
    return "∞" if math.isinf(steps) else f"{steps:,.0f}"


def _decades_of(row: Any) -> str:
    if math.isnan(row.loss_ratio_low):
        return f"{row.loss_ratio:+.2f}"
    return f"{row.loss_ratio:+.2f} [{row.loss_ratio_low:+.2f}, {row.loss_ratio_high:+.2f}]"


def _print(
    console: Console, head: str, labels: list[str], columns: dict[str, list[str]], justify: Any
) -> None:
    """Columns beside their labels, in as many tables as the width asks for."""
    first = min(max(map(len, [head, *labels])), console.width // 2)
    pages: list[list[str]] = [[]]
    room = console.width - first
    for name, texts in columns.items():
        wide = GAP + min(max(map(len, [name, *texts])), max(console.width - first - GAP, 1))
        if pages[-1] and wide > room:
            pages.append([])
            room = console.width - first
        pages[-1].append(name)
        room -= wide
    for number, page in enumerate(pages):
        table = Table(box=None, padding=(0, 0, 0, GAP), pad_edge=False)
        table.add_column(head, overflow="fold", max_width=first)
        for name in page:
            table.add_column(escape(name), justify=justify, overflow="fold")
        for i, label in enumerate(labels):
            table.add_row(escape(label), *(columns[name][i] for name in page))
        if number:
            console.print()
        console.print(table)


def entry(trials: pd.DataFrame, last: float = math.nan) -> str:
    """ "2/2 at 600", "0/2 (15 %)", "0/2 (15 %, last 20 %)", "1/2 (52 %), 1 not run".

    Args:
        last: the median score of the last evaluation.
    """
    done = trials[trials["status"].isin(FINISHED)]
    told = []
    if len(done):
        solved = int((trials["status"] == Status.SOLVED).sum())
        at = median(done["solved_at"].astype(float).fillna(np.inf))
        share = done["score"].median()
        right = "" if math.isnan(share) else f" ({share:.0%})".replace("%", " %")
        if right and f"{last:.0%}" != f"{share:.0%}" and not math.isnan(last):
            right = f"{right[:-1]}, last {100 * last:.0f} %)"
        told.append(f"{solved}/{len(trials)}" + (f" at {at:,.0f}" if math.isfinite(at) else right))
    for status in (Status.DIVERGED, *WITHOUT):
        n = int((trials["status"] == status).sum())
        told += [f"{n} {status}"] if n else []
    return ", ".join(told) or "–"


def errors(results: Results) -> list[str]:
    """A line for each trial that ended in an error or has no result."""
    lines = []
    for trial in results.trials.itertuples():
        if trial.status in WITHOUT:
            name = f"{trial.cell} T={trial.length} seed {trial.seed}"
            message = " ".join(str(trial.error).split()) if trial.status == Status.ERROR else ""
            lines.append(f"{name}: {message or 'has not finished'}")
    return lines


def print_flow(
    table: pd.DataFrame,
    zeros: Mapping[str, float],
    gates: Mapping[str, Gate] | None = None,
    unreached: Mapping[str, list[str]] | None = None,
    *,
    console: Console | None = None,
) -> None:
    """The output flow of untrained cells: a plot, what is read off it, and what is behind it.

    Args:
        table: cell, layer, time, lag, state, log10_norm, n_zero, n_nonfinite, ... of 32 examples.
        zeros, gates, unreached: as in `seqbench.measure.untrained.Untrained`.
    """
    console, rows, gates = console or _console(), _joint(table), gates or {}
    curves = {
        cell: curve.from_rows(mine, EXAMPLES) for cell, mine in rows.groupby("cell", sort=False)
    }
    unit = table.attrs.get("unit", "step")
    plot.print_curves(curves, FLOAT32_ZERO, console, many(unit))
    console.print()
    told = {
        cell: readings(rows[rows["cell"] == cell], zeros.get(cell, math.inf), unit)
        for cell in curves
    }
    # All cells have the same length, so the same lines.
    labels = list(next(iter(told.values()), {}))
    columns = {cell: list(texts.values()) for cell, texts in told.items()}
    _print(console, "output flow, untrained", labels, columns, justify="right")
    notes = [_on_zeros(cell, rows[rows["cell"] == cell]) for cell in curves]
    notes += [_on_gate(cell, gates[cell], one) for cell, one in curves.items() if cell in gates]
    notes += [_on_clocks(cell, names) for cell, names in (unreached or {}).items()]
    if any(texts[name] != "none" for texts in told.values() for name in IN_FLOAT32):
        notes.append(FLOAT32)
    for note in filter(None, notes):
        console.print(hanging(note, console.width), style="dim", markup=False, highlight=False)


def hanging(text: str, width: int) -> str:
    """Text in lines of a width, all but the first of them indented."""
    return textwrap.fill(text, width, subsequent_indent="  ", break_on_hyphens=False)


def _on_clocks(cell: str, names: list[str]) -> str:
    told = ", ".join(f'"{name}"' for name in names)
    return (
        f"{cell}: no input reaches {', '.join(names)} of its state: what gradient that carries is "
        "no memory, but counts in the flow above, which may look open by it alone; to leave it "
        "out: "
        f"leave_out = [{told}], in the cell's table or its class."
    )


def _on_zeros(cell: str, rows: pd.DataFrame) -> str:
    """Where S has no mean, by the rule of `seqbench.analysis.curve.from_rows`."""
    share = rows.set_index("lag")["n_zero"].sort_index() / EXAMPLES
    many, most = share.index[share > curve.MANY_ZEROS], share.index[share > curve.MOST_ZEROS]
    if not len(many):
        return ""
    told = (
        f"{cell}: from lag {many[0]:,} on more than {curve.MANY_ZEROS:.0%} of the examples have a "
        "gradient of exactly 0, so that S has no mean and its line ends"
    ).replace("%", " %")
    if len(most):
        told += f"; from lag {most[0]:,} on more than half have, where S is -inf"
    return told + "."


def _on_gate(cell: str, gate: Gate, one: curve.Curve) -> str:
    """What a memory loses by its gate alone, beside what the flow loses."""
    K = one.largest_lag
    told = (
        f"{cell}: its {gate.name}s are at {gate.mean:.2f} on average; by them alone a memory loses "
        f"{gate.loss:.2f} decades a step, {gate.loss * K:,.0f} over {K:,.0f} steps"
    )
    if not math.isnan(rate := one.late_rate()):
        told += f" (the flow in all: {rate:.2f} a step)"
    if gate.bias:
        opened = 1 / (1 + math.exp(-OPENED))
        told += (
            f". A {gate.bias} of {OPENED} opens them to about {opened:.2f}, "
            f"{-math.log10(opened):.2f} decades a step"
        )
    return told + "."


def _joint(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the whole state of each cell's top layer."""
    rows = table[table["state"] == "all"]
    return rows[rows["layer"] == rows.groupby("cell")["layer"].transform("max")]


def readings(rows: pd.DataFrame, zero_from: float = math.inf, unit: str = "step") -> dict[str, str]:
    """One cell's readings in words, from its rows of the joint state.

    Args:
        zero_from: the lag from which a float32 backward pass says 0; inf: nowhere.
        unit: what lags count, one of it.
    """
    one = curve.from_rows(rows, EXAMPLES)
    K = one.largest_lag
    told = {
        f"early rate, decades a {unit}": _rate(one.early_rate()),
        f"late rate, decades a {unit}": _rate(one.late_rate()),
        f"half-life, {many(unit)}": _reach(one.half_life(), K),
        f"late half-life, {many(unit)}": _late(one.late_half_life(), K),
    }
    for theta in curve.HORIZONS:
        told[f"horizon({theta:.0e}), {many(unit)}".replace("e-0", "e-")] = _reach(
            one.horizon(theta), K
        )
    told["grows to, decades"] = _growth(*one.growth())
    for lag in sorted({lag for lag in (10.0, 100.0, 400.0) if lag < K} | {K}):
        told[f"S({lag:,.0f}), decades"] = _level(one, lag)
    told |= dict(zip(IN_FLOAT32, (_lost_in_float32(rows), _from_lag(zero_from)), strict=True))
    return told


def _rate(value: float) -> str:
    return NOWHERE if math.isnan(value) else f"{value:.3f}"


def _late(value: float | str, largest: float) -> str:
    """In the curve's own words where it has no number."""
    words = {"none within K": f"none within {largest:,.0f}", "not defined: exact zeros": NOWHERE}
    return words.get(value, value) if isinstance(value, str) else steps(value)


def _growth(most: float, lag: float) -> str:
    return f"{most:.1f} at {lag:,.0f}" if most > 0.05 else "does not"


def _from_lag(lag: float) -> str:
    return "none" if math.isinf(lag) else f"{lag:,.0f}"


def _reach(crossing: float | None, largest: float) -> str:
    return f">= {largest:,.0f}" if crossing is None else steps(crossing)


def _level(one: curve.Curve, lag: float) -> str:
    exact = one.s[one.lags == lag]
    value = float(exact[0]) if len(exact) else one.at(lag)
    if math.isnan(value):
        return NOWHERE
    return f"{value:.1f}"  # or -inf, exact zeros


def _lost_in_float32(rows: pd.DataFrame) -> str:
    """The first recorded lag at which even the whole norm is below what float32 can hold."""
    rows = rows.sort_values("lag")
    lost = rows[rows["log10_norm"] < FLOAT32_ZERO]
    return _from_lag(lost["lag"].iloc[0] if len(lost) else math.inf)


def _console() -> Console:
    if isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.encoding.lower().startswith(
        "utf"
    ):
        sys.stdout.reconfigure(errors="replace")  # a dash is no reason to end in a traceback
    # A pipe has no width of its own; rich would take one from the environment.
    return Console() if sys.stdout.isatty() else Console(width=WIDTH, force_terminal=False)
