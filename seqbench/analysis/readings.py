"""What a run's diagnostics said, as DataFrames: by step, and at both ends of training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from seqbench.analysis.shapes import TRIAL
from seqbench.card.status import WITHOUT
from seqbench.results import Results

WHAT = ["diagnostic", "quantity", "index"]
AXES = [*TRIAL, "step", "diagnostic", "at"]
DENSE = 60  # readings of a trial; one with more is drawn in bins
BINS = 50
DIGITS = 6  # of what is written


def readings(results: Results) -> pd.DataFrame:
    """All readings, with `at`: "start" for a diagnostic's first of a trial, "end" for its last.

    A diagnostic that was asked once in a trial has a start and no end.
    """
    rows = results.diagnostics
    if rows.empty:
        return rows.assign(at=pd.Series(dtype=str))
    steps = rows.groupby([*TRIAL, "diagnostic"])["step"]
    first, last = steps.transform("min"), steps.transform("max")
    end = np.where(rows["step"] == last, "end", "")
    return rows.assign(at=np.where(rows["step"] == first, "start", end))


def at_the_ends(rows: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    """Medians over seeds at the first and the last reading.

    Args:
        rows: from `readings`.
        labels: the cells, in the card's order.

    Returns:
        A row a cell, length, diagnostic, quantity and index: start and end, where infinite values
        count and NaN does not; seeds_start and seeds_end, how many seeds the medians are of.
    """
    columns = ["cell", "length", *WHAT]
    names = ["start", "end", "seeds_start", "seeds_end"]
    if rows.empty:
        return pd.DataFrame(columns=[*columns, *names])
    ends = rows[rows["at"] != ""]
    order = {"cell": list(labels)} | {
        name: list(rows[name].unique()) for name in ("diagnostic", "quantity")
    }
    groups = ends.groupby([*columns, "at"], sort=False)["value"]
    table = groups.median().unstack("at").reindex(columns=["start", "end"])
    seeds = groups.count().unstack("at").reindex(columns=["start", "end"]).fillna(0).astype(int)
    table = table.join(seeds.add_prefix("seeds_")).reset_index()
    ranks = table[columns].copy()
    for name, known in order.items():
        ranks[name] = ranks[name].map(known.index)
    table = table.loc[ranks.sort_values(columns).index].reset_index(drop=True)
    table[["start", "end"]] = table[["start", "end"]].map(
        lambda value: float(f"{value:.{DIGITS}g}")
    )
    return table[[*columns, *names]]


def credit(table: pd.DataFrame, results: Results) -> pd.DataFrame:
    """What the answer owes to the values that matter, at the largest length: credit_start and
    credit_end, the slope that the diagnostic `credit` calls "at marked steps" (1: all of it).

    Args:
        table: from `at_the_ends`.

    Returns:
        A row a cell; none where the card does not ask for credit.
    """
    labels = [one.label for one in results.task.recording.diagnostics if one.use == "credit"][:1]
    here = table[
        table["diagnostic"].isin(labels)
        & (table["quantity"] == "at marked steps")
        & (table["length"] == max(results.task.lengths))
    ]
    ends = here[["cell", "start", "end"]]
    return ends.rename(columns={"start": "credit_start", "end": "credit_end"})


def silent(rows: pd.DataFrame, results: Results) -> dict[str, list[str]]:
    """Diagnostic -> the cells that have a result but no value of it; those without are left out."""
    ran = set(results.trials.loc[~results.trials["status"].isin(WITHOUT), "cell"])
    found = {}
    for asked in results.task.recording.diagnostics:
        spoke = set(rows.loc[rows["diagnostic"] == asked.label, "cell"])
        mute = [c.label for c in results.task.cells if c.label in ran and c.label not in spoke]
        if mute:
            found[asked.label] = mute
    return found


def binned(rows: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """A diagnostic of every step in bins: the median within each, at the middle of the bin.

    Args:
        rows: of one diagnostic and quantity.

    Returns:
        The rows, as they are where no trial has more than DENSE readings; the width of a bin in
        steps, 0 where there are none.
    """
    if rows.empty or rows.groupby(TRIAL)["step"].nunique().max() <= DENSE:
        return rows, 0
    width = max(1, -(-int(rows["step"].max() + 1) // BINS))
    number = rows["step"] // width
    keys = [*TRIAL, *WHAT, "at_bin"]
    medians = rows.assign(at_bin=number).groupby(keys, sort=False)["value"].median().reset_index()
    medians["step"] = medians["at_bin"] * width + width / 2
    return medians.drop(columns="at_bin"), width


def shared_median(rows: pd.DataFrame, axis: str) -> pd.Series:
    """The median over seeds, by `axis`, where every seed of these rows has a reading.

    Seeds stop at different steps; a median over those that are left would jump where one leaves.
    """
    seeds = rows["seed"].nunique()
    by = rows.groupby(axis)
    median, there = by["value"].median(), by["seed"].nunique()
    return median[there == seeds].sort_index()
