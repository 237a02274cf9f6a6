"""Two runs of one problem, cell by cell and seed by seed: what changed in the second.

With the same seed both saw the same batches, so what is compared is pairs.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from seqbench.analysis.shapes import TRIAL
from seqbench.analysis.statistics import bootstrap, median
from seqbench.card.status import FINISHED, Status
from seqbench.errors import InputError
from seqbench.results import Results

COLUMNS = [
    "cell",
    "length",
    "pairs",
    "solved_before",
    "solved_after",
    "steps_before",
    "steps_after",
    "loss_ratio",
    "loss_ratio_low",
    "loss_ratio_high",
    "seconds_ratio",
]


def difference(before: Results, after: Results) -> pd.DataFrame:
    """What changed, a row a cell and length that both have.

    Returns:
        pairs: seeds that finished in both, and of these: how many solved it, the median steps to
        solve (unsolved: inf); loss_ratio: the median of log10(loss after / loss before) with its
        bootstrap interval; seconds_ratio: the median of seconds after / before, which says
        something on the same machine only.

    Raises:
        InputError: they are runs of different problems, or share no cell, length and seed.
    """
    if before.task.problem != after.task.problem:
        raise InputError(
            f"diff: {before.path} is about {before.task.problem.name} with "
            f"{before.task.problem.options}, {after.path} about {after.task.problem.name} with "
            f"{after.task.problem.options}\nallowed: two runs of the same problem"
        )
    wanted = [*TRIAL, "status", "solved_at", "loss", "seconds"]
    both = _finished(before)[wanted].merge(
        _finished(after)[wanted], on=TRIAL, suffixes=("_before", "_after")
    )
    if both.empty:
        raise InputError(
            f"diff: {before.path} and {after.path} share no finished trial\n"
            "allowed: runs that have a cell, a length and a seed in common"
        )
    groups = both.groupby(["cell", "length"], sort=False)
    rows = [{"cell": cell, "length": length, **_row(group)} for (cell, length), group in groups]
    return pd.DataFrame(rows, columns=COLUMNS)


def _finished(results: Results) -> pd.DataFrame:
    return results.trials[results.trials["status"].isin(FINISHED)]


def _row(pairs: pd.DataFrame) -> dict[str, float]:
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = np.log10(pairs["loss_after"].to_numpy(float) / pairs["loss_before"])
        seconds = pairs["seconds_after"].to_numpy(float) / pairs["seconds_before"]
    ratio = bootstrap([ratios[np.isfinite(ratios)]], np.median)
    found: dict[str, float] = {"pairs": len(pairs)}
    for at in ("before", "after"):
        found[f"solved_{at}"] = int((pairs[f"status_{at}"] == Status.SOLVED).sum())
        found[f"steps_{at}"] = median(pairs[f"solved_at_{at}"].astype(float).fillna(np.inf))
    return found | {
        "loss_ratio": ratio.value,
        "loss_ratio_low": ratio.low,
        "loss_ratio_high": ratio.high,
        "seconds_ratio": median(seconds),
    }


def exceeded(table: pd.DataFrame, allowed: float) -> pd.DataFrame:
    """The rows whose loss grew by more than so many decades, or that were solved less often.

    Args:
        table: from `difference`.
    """
    worse = table["loss_ratio"] > allowed
    return table[worse | (table["solved_after"] < table["solved_before"])]
