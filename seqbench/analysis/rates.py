"""Which learning rate serves which cell: what the trials of a tuning run say."""

from __future__ import annotations

import pandas as pd

from seqbench.card.status import Status
from seqbench.card.task import PASSED
from seqbench.results import Results


def label(cell: str, rate: float | None) -> str:
    """What a cell is called while a rate is tried."""
    return f"{cell} @ {rate}"


def table(tried: Results) -> pd.DataFrame:
    """What became of each cell at each rate that has been tried, a row each, in the card's order.

    Args:
        tried: the run of the grid.

    Returns:
        cell, learning_rate; trials, and how many were solved; steps: the mean number until solved,
        where an unsolved trial counts as the whole budget; loss: the mean of the final loss over
        the baseline's, inf where a trial diverged or has no result.
    """
    budget, rows = tried.task.training.steps, []
    for entry in tried.task.cells:
        trials = tried.trials[tried.trials["cell"] == entry.label]
        if (trials["status"] == Status.INTERRUPTED).any():
            continue
        relative = (trials["loss"] / trials["baseline"]).fillna(float("inf"))
        rows.append(
            {
                "cell": entry.label.removesuffix(label("", entry.learning_rate)),
                "learning_rate": entry.learning_rate,
                "trials": len(trials),
                "solved": int((trials["status"] == Status.SOLVED).sum()),
                "steps": float(trials["solved_at"].astype(float).fillna(budget).mean()),
                "loss": float(relative.mean()),
            }
        )
    return pd.DataFrame(rows)


def best(found: pd.DataFrame) -> dict[str, float]:
    """Cell -> the rate that serves it best: most trials solved, then fewest steps, then lowest
    loss, then the smallest of the grid.

    Args:
        found: from `table`.
    """
    ranked = found.assign(unsolved=found["trials"] - found["solved"]).sort_values(
        ["unsolved", "steps", "loss"], kind="stable"
    )
    return ranked.drop_duplicates("cell").set_index("cell")["learning_rate"].to_dict()


def tried(results: Results) -> pd.DataFrame:
    """What became of each cell at each learning rate, and which was chosen; empty: no tuning."""
    if results.tuning is None:
        return pd.DataFrame()
    chosen = {cell.label: cell.learning_rate for cell in results.task.cells}
    found = table(results.tuning)
    return found.assign(chosen=found["cell"].map(chosen) == found["learning_rate"])


def at_the_edge(tried: pd.DataFrame) -> list[str]:
    """The cells whose chosen rate is the smallest or the largest that they were tried with: a still
    better one may lie beyond.

    Args:
        tried: from the function of that name.
    """
    found = []
    for cell, group in tried.groupby("cell", sort=False):
        rate = group.loc[group["chosen"], "learning_rate"]
        ends = group["learning_rate"].agg(["min", "max"]).tolist()
        if len(rate) and rate.iloc[0] in ends:
            found.append(cell)
    return found


def by_chance(tried: pd.DataFrame) -> list[str]:
    """The cells that learned nothing at any rate: solved no trial, and their loss stayed above the
    margin of the baseline, so that chance decided which rate is the best.

    Args:
        tried: from the function of that name.
    """
    if tried.empty:
        return []
    best = tried.groupby("cell", sort=False).agg({"solved": "sum", "loss": "min"})
    return list(best.index[(best["solved"] == 0) & (best["loss"] >= PASSED)])
