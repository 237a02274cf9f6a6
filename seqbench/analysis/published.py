"""Published numbers and ours, side by side."""

from __future__ import annotations

import numpy as np
import pandas as pd

from seqbench.analysis.choice import at_end
from seqbench.analysis.shapes import TRIAL
from seqbench.analysis.statistics import Interval, bootstrap
from seqbench.card.status import FINISHED, Status
from seqbench.results import Results

COLUMNS = [
    "cell", "length", "evaluated_length", "quantity", "value", "words", "ours", "low", "high",
    "seeds", "where",
]  # fmt: skip


def side_by_side(results: Results) -> pd.DataFrame:
    """The card's published numbers, each with ours: an estimate, its interval, how many seeds.

    Loss, score: the mean of the final values, at the trained length or an evaluated one. solved:
    the share of trials. steps, sequences: the median until solved, unsolved being infinite.
    """
    rows = []
    for one in results.task.published:
        trials = results.trials
        mine = trials[(trials["cell"] == one.cell) & (trials["length"] == one.length)]
        mine = mine[mine["status"].isin(FINISHED)]
        if one.evaluated_length is not None:
            mine = _elsewhere(results, mine, one.evaluated_length)
        ours = _ours(one.quantity, mine, results.task.training.batch_size)
        told = one.model_dump() | {
            "value": np.nan if one.value is None else one.value,
            "evaluated_length": one.evaluated_length or one.length,
            "ours": ours.value,
            "low": ours.low,
            "high": ours.high,
            "seeds": len(mine),
        }
        rows.append(told)
    return pd.DataFrame(rows, columns=COLUMNS)


def _elsewhere(results: Results, trials: pd.DataFrame, length: int) -> pd.DataFrame:
    """The loss and score of these trials in the end, evaluated at another length."""
    at = results.lengths[results.lengths["evaluated_length"] == length]
    return trials[TRIAL].merge(at_end(at), on=TRIAL)


def _ours(quantity: str, trials: pd.DataFrame, batch_size: int) -> Interval:
    if quantity in ("loss", "score"):
        return bootstrap([trials[quantity].astype(float)], np.mean)
    if quantity == "solved":
        return bootstrap([(trials["status"] == Status.SOLVED).astype(float)], np.mean)
    each = 1 if quantity == "steps" else batch_size
    return bootstrap([trials["solved_at"].astype(float).fillna(np.inf) * each], _middle)


def _middle(values: np.ndarray) -> float:
    """The median, a drawn value: the higher of the middle two."""
    return float(np.sort(values)[len(values) // 2])
