"""Which cell to take: what each learned, how sure that is and what it cost, over several runs."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from seqbench.analysis.comparison import learned
from seqbench.analysis.shapes import TRIAL
from seqbench.analysis.statistics import median, wilson
from seqbench.card.status import FINISHED, Status
from seqbench.errors import InputError
from seqbench.results import Results

# What it can be sorted by -> whether less is better.
SORTS = {
    "cell": True,
    "length": True,
    "learned": False,
    "score": False,
    "last": False,
    "solved": False,
    "steps": True,
    "seconds": True,
    "parameters": True,
}


def choices(
    runs: Results | Iterable[Results], *, length: int | None = None, sort: str = "solved"
) -> pd.DataFrame:
    """A row a run, cell and length: what one chooses a cell by.

    Args:
        runs: a run or several; see `seqbench.load`.
        length: this one alone; None: all.
        sort: a column; best first. Ties: share solved, share learned, steps, seconds.

    Returns:
        run (its folder, by name where that is enough), cell, length, seeds (that finished);
        learned: the problem's share_learned, else the score; score: both the mean of the last
        three evaluations; last: the score of the last one alone; solved: the share of the seeds,
        with solved_low and solved_high, its Wilson interval at 95 %; steps: training steps until
        solved, a median in which unsolved is infinite; seconds that a trial took and its
        parameters. All but solved are medians over seeds.

    Raises:
        InputError: no such column, or no run has that length.
    """
    if sort not in SORTS:
        raise InputError(f"sort = {sort!r}\nallowed: {', '.join(SORTS)}")
    opened = [runs] if isinstance(runs, Results) else list(runs)
    names = [one.path.name for one in opened]
    if len(set(names)) < len(names):
        names = [str(one.path) for one in opened]
    rows = [
        {"run": name} | row for name, one in zip(names, opened, strict=True) for row in _rows(one)
    ]
    table = pd.DataFrame(rows)
    lengths = sorted(table["length"].unique()) if len(table) else []
    if length is not None:
        if length not in lengths:
            there = ", ".join(map(str, lengths))
            raise InputError(f"length = {length!r}: no run has it\nallowed: {there}")
        table = table[table["length"] == length]
    order = list(dict.fromkeys([sort, "solved", "learned", "steps", "seconds"]))
    ascending = [SORTS[name] for name in order]
    return table.sort_values(order, ascending=ascending, kind="stable", ignore_index=True)


def _rows(results: Results) -> Iterable[dict]:
    """A row a cell and length of a run."""
    of_trial, last = learned(results), last_scores(results)
    for (cell, length), group in results.trials.groupby(["cell", "length"], sort=False):
        done = group[group["status"].isin(FINISHED)]
        solved = int((done["status"] == Status.SOLVED).sum())
        low, high = wilson(solved, len(done))
        yield {
            "cell": cell,
            "length": length,
            "seeds": len(done),
            "learned": median_of(of_trial, cell, length),
            "score": median(done["score"]),
            "last": median_of(last, cell, length),
            "solved": solved / len(done) if len(done) else np.nan,
            "solved_low": low,
            "solved_high": high,
            "steps": median(done["solved_at"].astype(float).fillna(np.inf)),
            "seconds": median(done["seconds"]),
            "parameters": median(done["parameters"].astype(float)),
        }


def last_scores(results: Results) -> pd.Series | None:
    """The score of each trial's last evaluation, by cell, length and seed; None: no scores. A
    summary has the mean of the last three."""
    curves = results.curves
    if "score" not in curves or curves.empty:
        return None
    return curves.sort_values("step").groupby(TRIAL)["score"].last()


def median_of(values: pd.Series | None, cell: str, length: int) -> float:
    """Over seeds, of numbers by cell, length and seed; NaN where there are none."""
    if values is None or (cell, length) not in values.index.droplevel("seed"):
        return float("nan")
    return median(values.loc[cell, length])


def at_end(lengths: pd.DataFrame) -> pd.DataFrame:
    """The rows of `results.lengths` that are of each trial's last evaluation."""
    last = lengths.groupby(TRIAL)["step"].transform("max")
    return lengths[lengths["step"] == last]
