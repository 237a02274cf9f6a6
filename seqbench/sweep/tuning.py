"""Learning rates: the same grid for each cell, chosen on seeds that are not reported.

Trying them is a run of its own, in the folder `tuning` of the run: every cell at every rate of the
grid, on the tuning's lengths and seeds, with the budget of the task itself. Where the best rate
lies at the edge, the next one beyond is tried too, a bounded number of times; the rule is the same
for every cell. The best rate goes into the cell's entry in the run's task.toml and stays there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from seqbench.analysis import rates
from seqbench.card.tables import Cell, Tuning
from seqbench.card.task import Task
from seqbench.errors import InputError

HALF_DECADE = 10**0.5


def with_known_rates(task: Task, stored: Task | None) -> tuple[Task, Task | None]:
    """The task with the rates that cells have of their own or were given before, and the grid of
    those that have none, if any; a choice that the run's task.toml has is final."""
    if task.tuning is None:
        return task, None
    known = {cell.label: cell.learning_rate for cell in (stored.cells if stored else [])}
    known |= {cell.label: cell.learning_rate for cell in task.cells if cell.learning_rate}
    task = with_rates(task, known)
    tried = [(cell, rate) for cell in untried(task) for rate in _tuning(task).learning_rates]
    return task, grid(task, tried) if tried else None


def untried(task: Task) -> list[Cell]:
    """The cells that have no learning rate yet."""
    return [cell for cell in task.cells if cell.learning_rate is None]


def widened(task: Task, found: pd.DataFrame) -> Task | None:
    """What is to be tried next: for each cell whose best rate is the smallest or the largest that
    it was tried with, the next one beyond; None if there is no such cell, or none that has not been
    given as many as the card allows.

    Args:
        found: from `seqbench.analysis.rates.table`.
    """
    best, further = rates.best(found), []
    allowed = len(_tuning(task).learning_rates) + _tuning(task).widen
    for cell in untried(task):
        its_own = found[found["cell"] == cell.label]
        tried = sorted(its_own["learning_rate"])
        beyond = next_rate(tried, best[cell.label])
        learns = bool(np.isfinite(its_own["loss"]).any())
        if learns and beyond is not None and len(tried) < allowed:
            further.append((cell, beyond))
    return grid(task, further) if further else None


def next_rate(tried: list[float], best: float) -> float | None:
    """The rate beyond the edge that the best one lies at, as far from it as its neighbour is, by
    ratio, to two digits; None where the best one has neighbours on both sides.

    Args:
        tried: ascending; of a single one, the next is half a decade below.
    """
    if best not in (tried[0], tried[-1]):
        return None
    low = best == tried[0]
    neighbour = best * HALF_DECADE if len(tried) == 1 else tried[1 if low else -2]
    return float(f"{best * (best / neighbour):.2g}")


def with_rates(task: Task, found: Mapping[str, float | None]) -> Task:
    """The task with these rates, by the cells' labels; other cells keep what they have."""
    cells = [
        cell.model_copy(update={"learning_rate": found.get(cell.label, cell.learning_rate)})
        for cell in task.cells
    ]
    return task.model_copy(update={"cells": cells})


def grid(task: Task, tried: Sequence[tuple[Cell, float]]) -> Task:
    """The task of trying: these cells at these rates.

    Raises:
        InputError: a label that is too long to carry a rate.
    """
    cells = [
        cell.model_copy(update={"label": rates.label(cell.label, rate), "learning_rate": rate})
        for cell, rate in tried
    ]
    for cell in cells:
        if len(cell.label) > 100:
            raise InputError(
                f"cells: {cell.label!r} is too long\nallowed: with [tuning], labels of 80 letters"
            )
    return task.model_copy(
        update={
            "name": f"{task.name}-tuning",
            "description": f"Which learning rate serves which cell of the task {task.name}?",
            "cells": cells,
            "lengths": _tuning(task).lengths,
            "evaluate_lengths": [],
            "seeds": _tuning(task).seeds,
            "first_seed": _tuning(task).first_seed,
            "tuning": None,
        }
    )


def _tuning(task: Task) -> Tuning:
    if task.tuning is None:
        raise LookupError("the task has no [tuning]: its cells have rates of their own, or one")
    return task.tuning
