"""Was the flow open before the loss fell? A rule, applied to every trial.

An association, and nearly the chain rule: an answer with a slope on a value k steps back has a flow
at lag k (the diagnostic `flow_bound` has the bound), unless the cell's backward pass is damped.
What the rule can show is how often a cell was open and did not learn, and how far the flow was
before there was credit.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from seqbench.analysis.shapes import TRIAL, longest_needs
from seqbench.card.task import PASSED
from seqbench.results import Results

OPEN = -3.0  # decades: S at the needed lag, the level of the horizon that the page shows
RISE = 1.0  # decades above step 0, so that a wobble about OPEN does not count

EARLY = 0.1  # of the budget: the window in which the speed of opening is read
SHORT = 20  # lengths below: a flow is open at a lag of a few steps whatever the cell

OPEN_FELL, CLOSED_FELL = "open, then fell", "fell while closed"
OPEN_STAYED, CLOSED_STAYED = "open, no fall", "closed, no fall"
UNKNOWN = "not measured"
CATEGORIES = {
    OPEN_FELL: "open at the last record before the loss fell",
    CLOSED_FELL: "closed at the last record before the loss fell; where it was open at the next "
    "one, it opened in between",
    OPEN_STAYED: "open at some record, the loss did not fall",
    CLOSED_STAYED: "open at no record, and the loss did not fall",
    UNKNOWN: "no usable record of the flow at step 0, or no needed lag",
}
COLUMNS = [
    *TRIAL,
    "needed_lag",
    "s_start",
    "s_end",
    "early_at",
    "s_early",
    "first_open",
    "above_at",
    "fell_at",
    "record_before",
    "s_before",
    "record_after",
    "s_after",
    "category",
]


def opening(results: Results, offs: pd.DataFrame) -> pd.DataFrame:
    """The rule applied, a row a trial that has a record.

    Args:
        offs: from `read_offs`.

    Returns:
        needed_lag; S there at the start, the end, and s_early at the last record within the first
        tenth of the budget, early_at; first_open, the first record that counts as
        open; fell_at, the first evaluation below the margin, and above_at, the one before; the last
        record up to above_at and the first from fell_at on, with S there; category. NaN: never.
    """
    needs, rows = longest_needs(results), []
    levels = _by_step(offs[offs["main_anchor"]], "at_needed")
    losses = _by_step(results.curves, "loss")
    for trial in results.trials.itertuples():
        key = (trial.cell, trial.length, trial.seed)
        if key not in levels or key not in losses:
            continue
        level, loss = levels[key], losses[key]
        found = _look(level, *fall(loss, trial.baseline))
        found |= _early(level, EARLY * results.task.training.steps)
        needed = {"needed_lag": needs.get(trial.length, np.nan)}
        rows.append(dict(zip(TRIAL, key, strict=True)) | needed | found)
    return pd.DataFrame(rows, columns=COLUMNS)


def _by_step(table: pd.DataFrame, name: str) -> dict[tuple, pd.Series]:
    """Each trial's values of a column, by its training steps."""
    whole = table.sort_values("step", kind="stable").set_index("step")
    return dict(list(whole.groupby(TRIAL)[name]))


def fall(loss: pd.Series, baseline: float) -> tuple[float, float]:
    """The last evaluation before the loss is first below the margin, and that one; NaN: never."""
    fallen = np.flatnonzero(loss.to_numpy(float) < PASSED * baseline)
    if not len(fallen):
        return np.nan, np.nan
    i = fallen[0]
    return (float(loss.index[i - 1]) if i else np.nan), float(loss.index[i])


def _look(level: pd.Series, above_at: float, fell_at: float) -> dict[str, float | str]:
    """S at the needed lag at the records that matter; level: by step, ascending."""
    start = float(level.get(0, np.nan))
    opened = is_open(level, start)
    before, after = level[level.index <= above_at], level[level.index >= fell_at]
    return {
        "s_start": start,
        "s_end": float(level.iloc[-1]),
        "first_open": float(opened.idxmax()) if opened.any() else np.nan,
        "above_at": above_at,
        "fell_at": fell_at,
        "record_before": float(before.index[-1]) if len(before) else np.nan,
        "s_before": float(before.iloc[-1]) if len(before) else np.nan,
        "record_after": float(after.index[0]) if len(after) else np.nan,
        "s_after": float(after.iloc[0]) if len(after) else np.nan,
        "category": category(level, above_at, fell_at),
    }


def _early(level: pd.Series, until: float) -> dict[str, float]:
    """S at the needed lag at the last record within a window that is the same for all trials: one
    that ended with the fall would be short for whoever learns soon."""
    within = level[(level.index > 0) & (level.index <= until)]
    if not len(within):
        return {"early_at": np.nan, "s_early": np.nan}
    return {"early_at": float(within.index[-1]), "s_early": float(within.iloc[-1])}


def is_open(level: pd.Series, start: float) -> pd.Series:
    """Which records count as open."""
    if start >= OPEN:
        return level >= OPEN
    return (level >= OPEN) & (level >= start + RISE)


def category(level: pd.Series, above_at: float, fell_at: float) -> str:
    """One of CATEGORIES.

    Args:
        level: S at the needed lag by step, ascending, from step 0.
        above_at: the last evaluation before the loss fell.
        fell_at: the first evaluation with a fallen loss; NaN if it never fell.
    """
    start, fell = float(level.get(0, np.nan)), not np.isnan(fell_at)
    if np.isnan(start):
        return UNKNOWN
    opened = is_open(level, start)
    if not fell:
        return OPEN_STAYED if opened.any() else CLOSED_STAYED
    before = opened[opened.index <= above_at]
    return OPEN_FELL if len(before) and before.iloc[-1] else CLOSED_FELL


def opened_between(opened: pd.DataFrame) -> pd.Series:
    """Which trials were closed at the last record before the fall and open at the next one, so that
    nobody saw whether the flow opened first.

    Args:
        opened: from `opening`.
    """
    return (opened["category"] == CLOSED_FELL) & (opened["s_after"].astype(float) >= OPEN)


def counted(opened: pd.DataFrame) -> pd.DataFrame:
    """The trials that outcomes are counted of: those long enough to say something."""
    return opened[opened["length"] >= SHORT]


def opening_counts(results: Results, opened: pd.DataFrame) -> pd.DataFrame:
    """How many trials of each category, a row a cell and length from 20 on, a column a category."""
    axes = counted(results.trials)[["cell", "length"]].drop_duplicates()
    counts = counted(opened).groupby(["cell", "length", "category"]).size().unstack(fill_value=0)
    counts = axes.join(
        counts.reindex(columns=list(CATEGORIES), fill_value=0), on=["cell", "length"]
    )
    return counts.fillna(0).astype(dict.fromkeys(CATEGORIES, int)).reset_index(drop=True)
