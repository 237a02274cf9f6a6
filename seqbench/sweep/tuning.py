"""Learning rates: the same grid for each cell, chosen on seeds that are not reported.

Trying them is a run of its own, in the folder `tuning` of the run: every cell at every rate of the
grid, on the tuning's lengths and seeds, with the budget of the task itself. The best rate goes into
the cell's entry in the run's task.toml and stays there.
"""

from __future__ import annotations

import pandas as pd

from seqbench.card.task import Cell, Task
from seqbench.errors import InputError
from seqbench.results import Results


def label(cell: str, rate: float) -> str:
    """What a cell is called while a rate is tried."""
    return f"{cell} @ {rate}"


def grid(task: Task, cells: list[Cell]) -> Task:
    """The task of trying: these cells at every rate.

    Raises:
        InputError: a label that is too long to carry a rate.
    """
    tried = [
        cell.model_copy(update={"label": label(cell.label, rate), "learning_rate": rate})
        for cell in cells
        for rate in task.tuning.learning_rates
    ]
    for cell in tried:
        if len(cell.label) > 100:
            raise InputError(
                f"cells: {cell.label!r} is too long\nallowed: with [tuning], labels of 80 letters"
            )
    return task.model_copy(
        update={
            "name": f"{task.name}-tuning",
            "description": f"Which learning rate serves which cell of the task {task.name}?",
            "cells": tried,
            "lengths": task.tuning.lengths,
            "seeds": task.tuning.seeds,
            "first_seed": task.tuning.first_seed,
            "tuning": None,
        }
    )


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
        rows.append({
            "cell": entry.label.removesuffix(label("", entry.learning_rate)),
            "learning_rate": entry.learning_rate,
            "trials": len(trials),
            "solved": int((trials["status"] == "solved").sum()),
            "steps": float(trials["solved_at"].astype(float).fillna(budget).mean()),
            "loss": float(relative.mean()),
        })  # fmt: skip
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
