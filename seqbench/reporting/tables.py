"""What a report counts: DataFrames from a run. Nothing is drawn and nothing is said here."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from seqbench.reporting.falling import falls, marks
from seqbench.reporting.opening import opening, opening_counts
from seqbench.reporting.readings import at_the_ends, readings
from seqbench.reporting.shapes import READ_OFF, longest_needs, needed_lags, read_offs, shapes
from seqbench.results import Results
from seqbench.sweep import tuning

FINISHED = ("solved", "done", "diverged")  # a result; error and interrupted are none
FEW_SEEDS = 5
Z = 1.959964  # two-sided 95 % of the normal distribution


@dataclass(frozen=True)
class Tables:
    """Everything that a report counts, counted once."""

    results: Results
    shape: pd.DataFrame
    offs: pd.DataFrame
    needs: pd.DataFrame
    overview: pd.DataFrame
    comparison: pd.DataFrame
    longest: pd.DataFrame
    opening: pd.DataFrame
    opening_counts: pd.DataFrame
    cells: pd.DataFrame
    seconds: pd.DataFrame
    tuning: pd.DataFrame
    marks: pd.DataFrame
    falls: pd.DataFrame
    readings: pd.DataFrame
    diagnostics: pd.DataFrame

    @property
    def labels(self) -> list[str]:
        """The cells, in the card's order."""
        return [cell.label for cell in self.results.task.cells]

    def files(self) -> dict[str, pd.DataFrame]:
        """What is written as CSV: name -> table."""
        told = {
            "overview": self.overview,
            "comparison": self.comparison,
            "longest_length_solved": self.longest,
            "trials": self.results.trials,
            "flow_read_off": self.offs,
            "needed_lags": self.needs,
            "opening": self.opening,
            "opening_counts": self.opening_counts,
            "falls": self.falls,
            "cells": self.cells,
        }
        further = {"tuning": self.tuning, "diagnostics": self.diagnostics}
        return told | {name: table for name, table in further.items() if not table.empty}


def build(results: Results) -> Tables:
    """Count everything."""
    offs = read_offs(results)
    table, opened = comparison(results, offs), opening(results, offs)
    marked, said = marks(results, opened), readings(results)
    longest, told = longest_solved(table), cells(results)
    return Tables(
        results=results,
        shape=shapes(results),
        offs=offs,
        needs=needed_lags(results),
        overview=overview(results, offs, longest, told),
        comparison=table,
        longest=longest,
        opening=opened,
        opening_counts=opening_counts(results, opened),
        cells=told,
        seconds=seconds(results),
        tuning=tried_rates(results),
        marks=marked,
        falls=falls(marked),
        readings=said,
        diagnostics=at_the_ends(said, [cell.label for cell in results.task.cells]),
    )


def wilson(solved: int, n: int) -> tuple[float, float]:
    """The 95 % Wilson interval of a share; (0, 1) where nothing was seen."""
    if n == 0:
        return 0.0, 1.0
    share, spread = solved / n, Z**2 / n
    middle = share + spread / 2
    half = Z * math.sqrt(share * (1 - share) / n + spread / (4 * n))
    low, high = (middle - half) / (1 + spread), (middle + half) / (1 + spread)
    # Exact at the ends, where rounding would leave 1e-17.
    return (0.0 if solved == 0 else low), (1.0 if solved == n else high)


def median(values: pd.Series) -> float:
    """The median of what is known, inf included; NaN if nothing is."""
    known = values[values.notna()].to_numpy(float)
    with np.errstate(invalid="ignore"):
        return float(np.median(known)) if len(known) else float("nan")


def comparison(results: Results, offs: pd.DataFrame) -> pd.DataFrame:
    """The table: a row a cell and length, in the card's order.

    Args:
        offs: from `read_offs`.

    Returns:
        seeds and how many ended how; solved_low, solved_high: Wilson interval over the finished
        ones; steps_to_solve: median over the finished ones, unsolved = inf; half_life_* and
        horizon_*: medians over the seeds that have a record, inf = not within largest_lag; *_low:
        the lower of the two middle values, where the other one is infinite.
    """
    needs, rows = longest_needs(results), []
    for (cell, length), group in results.trials.groupby(["cell", "length"], sort=False):
        how = group["status"].value_counts()
        finished = int(how.reindex(FINISHED, fill_value=0).sum())
        solved = int(how.get("solved", 0))
        low, high = wilson(solved, finished)
        done = group[group["status"].isin(FINISHED)]
        steps = done["solved_at"].astype(float).fillna(np.inf)
        rows.append({
            "cell": cell, "length": length, "seeds": len(group), "finished": finished,
            "solved": solved, "done": int(how.get("done", 0)),
            "diverged": int(how.get("diverged", 0)), "error": int(how.get("error", 0)),
            "interrupted": int(how.get("interrupted", 0)),
            "solved_low": low, "solved_high": high, "steps_to_solve": median(steps),
            "score": median(done["score"]), "loss": median(done["loss"]),
            "baseline": median(done["baseline"]),
            "needed_lag": needs.get(length, np.nan),
        })  # fmt: skip
    return pd.DataFrame(rows).merge(_at_the_ends(results, offs), on=["cell", "length"], how="left")


def _at_the_ends(results: Results, offs: pd.DataFrame) -> pd.DataFrame:
    """Medians over seeds of what is read off at the start and at the end, main anchor."""
    axes = results.trials[["cell", "length"]].drop_duplicates()
    ends = axes.assign(anchor=np.nan, largest_lag=np.nan).set_index(["cell", "length"])
    for at in ("start", "end"):
        for name in READ_OFF:
            ends[f"{name}_{at}"] = ends[f"{name}_{at}_low"] = np.nan
    ends["flow_start"], ends["flow_end"] = 0, 0
    for (cell, length), group in offs[offs["main_anchor"]].groupby(["cell", "length"]):
        spot = (cell, length)
        ends.loc[spot, "anchor"] = group["anchor"].max()
        ends.loc[spot, "largest_lag"] = group["largest_lag"].max()
        for at in ("start", "end"):
            here = group[group["at"] == at]
            ends.loc[spot, f"flow_{at}"] = int(here["half_life"].notna().sum())
            for name in READ_OFF:
                ends.loc[spot, f"{name}_{at}"] = median(here[name])
                ends.loc[spot, f"{name}_{at}_low"] = here[name].quantile(0.5, "lower")
    return ends.reset_index()


def longest_solved(table: pd.DataFrame) -> pd.DataFrame:
    """The largest length such that it and all shorter ones are solved by at least half the seeds.

    Args:
        table: from `comparison`.

    Returns:
        A row a cell: longest (0: none), share (of the lengths that are solved), unfinished (trials
        without a result), undecided: whether those could still raise `longest`.
    """
    rows = []
    for cell, group in table.groupby("cell", sort=False):
        group = group.sort_values("length")
        missing = group["seeds"] - group["finished"]
        enough = (2 * group["solved"] >= group["seeds"]).to_numpy()
        could = (2 * (group["solved"] + missing) >= group["seeds"]).to_numpy()
        run = _run(enough)
        rows.append({
            "cell": cell,
            "longest": int(group["length"].iloc[run - 1]) if run else 0,
            "share": float(enough.mean()),
            "unfinished": int(missing.sum()),
            "undecided": _run(could) > run,
        })  # fmt: skip
    return pd.DataFrame(rows)


def _run(hit: np.ndarray) -> int:
    """How many from the first on, without a gap."""
    return len(hit) if hit.all() else int(np.argmin(hit))


def cells(results: Results) -> pd.DataFrame:
    """What each cell was: width, layers, learning rate, number of parameters."""
    trials, training = results.trials, results.task.training
    rows = []
    for cell in results.task.cells:
        counts = trials.loc[trials["cell"] == cell.label, "parameters"].dropna().unique()
        clip = {} if cell.clip_norm is None else {"clip_norm": cell.clip_norm}
        set_by_card = cell.options | clip
        rows.append({
            "cell": cell.label,
            "use": without_folder(cell.use),
            "hidden_size": cell.hidden_size or training.hidden_size,
            "layers": cell.layers,
            "learning_rate": cell.learning_rate or training.learning_rate,
            "parameters": ", ".join(f"{int(count):,}" for count in sorted(counts)),
            "options": ", ".join(f"{key} = {value}" for key, value in set_by_card.items()),
        })  # fmt: skip
    return pd.DataFrame(rows)


def overview(
    results: Results, offs: pd.DataFrame, longest: pd.DataFrame, cells: pd.DataFrame
) -> pd.DataFrame:
    """A line a cell, in the card's order.

    Args:
        offs, longest, cells: from the functions of those names.

    Returns:
        parameters, learning_rate; length, the card's largest; s_start and s_end, S at the median
        longest needed lag of that length, median over seeds; longest, the largest length solved by
        at least half the seeds, all shorter ones too (0: none); undecided, whether trials that have
        not finished could still raise it.
    """
    length = max(results.task.lengths)
    here = offs[offs["main_anchor"] & (offs["length"] == length)]
    levels = here.pivot_table(index="cell", columns="at", values="at_needed", aggfunc="median")
    table = cells[["cell", "parameters", "learning_rate"]].assign(length=length)
    for at in ("start", "end"):
        column = levels[at] if at in levels else pd.Series(dtype=float)
        table[f"s_{at}"] = table["cell"].map(column).astype(float)
    return table.merge(longest[["cell", "longest", "undecided"]], on="cell", how="left")


def tried_rates(results: Results) -> pd.DataFrame:
    """What became of each cell at each learning rate, and which was chosen; empty: no tuning."""
    if results.tuning is None:
        return pd.DataFrame()
    chosen = {cell.label: cell.learning_rate for cell in results.task.cells}
    table = tuning.table(results.tuning)
    return table.assign(chosen=table["cell"].map(chosen) == table["learning_rate"])


def without_folder(spec: str) -> str:
    """ "/home/me/mycell.py:MyCell" -> "./mycell.py:MyCell": where it lay is nobody's business."""
    where, colon, attribute = spec.rpartition(":")
    if not colon or not where.endswith(".py"):
        return spec
    return f"./{where.replace(chr(92), '/').rpartition('/')[2]}:{attribute}"


def seconds(results: Results) -> pd.DataFrame:
    """Median seconds of a trial, a row a cell and a column a length."""
    known = results.trials.dropna(subset=["seconds"])
    table = known.pivot_table(index="cell", columns="length", values="seconds", aggfunc="median")
    return table.reindex(results.trials["cell"].unique())
