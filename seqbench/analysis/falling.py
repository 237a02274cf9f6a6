"""The flow before training, and when the loss fell: over all trials, and where cells differ by one
option only, an intervention."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from seqbench.analysis.shapes import TRIAL
from seqbench.analysis.statistics import Interval, rank_correlation
from seqbench.card.status import Status
from seqbench.card.task import Task
from seqbench.results import Results

LEAST = 5  # trials; fewer have no rank correlation worth a number


def marks(results: Results, opened: pd.DataFrame) -> pd.DataFrame:
    """A row a trial that has a record: needed_lag, s_start, fell_at (inf: never), status.

    Args:
        opened: from `opening`.
    """
    told = opened[[*TRIAL, "needed_lag", "s_start", "fell_at"]]
    told = told.assign(fell_at=told["fell_at"].astype(float).fillna(np.inf))
    return told.merge(results.trials[[*TRIAL, "status"]], on=TRIAL)


def falls(trials: pd.DataFrame) -> pd.DataFrame:
    """Medians over seeds, a row a cell and length.

    Args:
        trials: from `marks`.

    Returns:
        trials (with a record), needed_lag, s_start; fell and solved: in how many; fell_at, inf
        where the loss did not fall in half of them.
    """
    rows = [
        {
            "cell": cell,
            "length": length,
            "trials": len(group),
            "needed_lag": group["needed_lag"].iloc[0],
            "s_start": group["s_start"].median(),
            "fell": int(np.isfinite(group["fell_at"]).sum()),
            "fell_at": group["fell_at"].median(),
            "solved": int((group["status"] == Status.SOLVED).sum()),
        }
        for (cell, length), group in trials.groupby(["cell", "length"], sort=False)
    ]
    columns = ["cell", "length", "trials", "needed_lag", "s_start", "fell", "fell_at", "solved"]
    return pd.DataFrame(rows, columns=columns)


@dataclass(frozen=True)
class Intervention:
    """Cells that differ in one option alone.

    Attributes:
        use: what they are.
        option: its name.
        values: label -> value, ascending where they are numbers, else in the card's order.
    """

    use: str
    option: str
    values: dict[str, Any]


def interventions(task: Task) -> list[Intervention]:
    """Those of a card, one a kind of cell at most."""
    found = []
    for use in dict.fromkeys(cell.use for cell in task.cells):
        cells = {
            c.label: c.model_dump(exclude={"label", "group"}) for c in task.cells if c.use == use
        }
        keys = sorted({key for told in cells.values() for key in told})
        differ = [key for key in keys if len({repr(c.get(key)) for c in cells.values()}) > 1]
        values = {label: told.get(differ[0]) for label, told in cells.items()} if differ else {}
        if differ == ["hidden_size"]:  # a comparison of sizes, not of the flow
            continue
        if len(differ) != 1 or len({repr(value) for value in values.values()}) < len(cells):
            continue
        if all(type(value) in (int, float) for value in values.values()):
            values = dict(sorted(values.items(), key=lambda item: float(item[1] or 0)))
        found.append(Intervention(use, differ[0], values))
    return found


def correlation(trials: pd.DataFrame) -> tuple[Interval, int]:
    """Spearman's, of s_start with fell_at (never: last, tied), and over how many trials.

    NaN where there are fewer than LEAST or one of the two does not vary.

    Args:
        trials: from `marks`.
    """
    known = trials.dropna(subset=["s_start"])
    if len(known) < LEAST:
        return Interval(math.nan, math.nan, math.nan), len(known)
    return rank_correlation(known["s_start"], known["fell_at"]), len(known)


def speeds(opened: pd.DataFrame) -> pd.DataFrame:
    """Does the speed at which the flow opens tell when the loss falls? A row a length.

    The speed is the change of S at the needed lag from the start to the last record within the
    first tenth of the budget. Trials whose loss fell by then are left out: their flow opened with
    the fall.

    Args:
        opened: from `opening`.

    Returns:
        trials, fallen_by_then (left out); correlation: Spearman's of the speed with the step of
        the fall (never: last), low and high: its bootstrap interval over cells, NaN where there
        are fewer than five of them.
    """
    rows = []
    for length, group in opened.dropna(subset=["s_early", "s_start"]).groupby("length"):
        fell_at = group["fell_at"].astype(float).fillna(np.inf)
        late = fell_at > group["early_at"]
        speed = (group["s_early"] - group["s_start"])[late]
        rho = Interval(math.nan, math.nan, math.nan)
        if late.sum() >= LEAST:
            rho = rank_correlation(speed, fell_at[late], group["cell"][late])
        rows.append((length, int(late.sum()), int((~late).sum()), rho.value, rho.low, rho.high))
    columns = ["length", "trials", "fallen_by_then", "correlation", "low", "high"]
    return pd.DataFrame(rows, columns=columns)
