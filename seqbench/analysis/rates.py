"""Which learning rate serves which cell: what the trials of a tuning run say."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from seqbench.card.status import Status
from seqbench.results import Results, load


def label(cell: str, rate: float | None) -> str:
    """What a cell is called while a rate is tried."""
    return f"{cell} @ {rate}"


def table(tried: Results) -> pd.DataFrame:
    """What became of each cell at each rate, a row each, in the card's order.

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


def chosen(path: Path) -> dict[str, float]:
    """Cell -> the rate that served it best in the run of a grid, in this folder."""
    return best(table(load(path)))


def tried(results: Results) -> pd.DataFrame:
    """What became of each cell at each learning rate, and which was chosen; empty: no tuning."""
    if results.tuning is None:
        return pd.DataFrame()
    chosen = {cell.label: cell.learning_rate for cell in results.task.cells}
    found = table(results.tuning)
    return found.assign(chosen=found["cell"].map(chosen) == found["learning_rate"])
