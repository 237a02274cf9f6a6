"""Learning rates: the same grid for each cell, chosen on seeds that are not reported.

Trying them is a run of its own, in the folder `tuning` of the run: every cell at every rate of the
grid, on the tuning's lengths and seeds, with the budget of the task itself. The best rate goes into
the cell's entry in the run's task.toml and stays there.
"""

from __future__ import annotations

from collections.abc import Mapping

from seqbench.analysis.rates import label
from seqbench.card.tables import Cell
from seqbench.card.task import Task
from seqbench.errors import InputError


def with_known_rates(task: Task, stored: Task | None) -> tuple[Task, Task | None]:
    """The task with the rates that cells have of their own or were given before, and the grid of
    those that have none, if any; a choice that the run's task.toml has is final."""
    if task.tuning is None:
        return task, None
    known = {cell.label: cell.learning_rate for cell in (stored.cells if stored else [])}
    known |= {cell.label: cell.learning_rate for cell in task.cells if cell.learning_rate}
    task = with_rates(task, known)
    untried = [cell for cell in task.cells if cell.learning_rate is None]
    return task, grid(task, untried) if untried else None


def with_rates(task: Task, found: Mapping[str, float | None]) -> Task:
    """The task with these rates, by the cells' labels; other cells keep what they have."""
    cells = [
        cell.model_copy(update={"learning_rate": found.get(cell.label, cell.learning_rate)})
        for cell in task.cells
    ]
    return task.model_copy(update={"cells": cells})


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
            "evaluate_lengths": [],
            "seeds": task.tuning.seeds,
            "first_seed": task.tuning.first_seed,
            "tuning": None,
        }
    )
