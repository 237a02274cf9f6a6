"""Learning rates: the same grid for each cell, chosen on seeds that are not reported.

Trying them is a run of its own, in the folder `tuning` of the run: every cell at every rate of the
grid, on the tuning's lengths and seeds, with the budget of the task itself. The best rate goes into
the cell's entry in the run's task.toml and stays there.
"""

from __future__ import annotations

from seqbench.analysis.rates import label
from seqbench.card.task import Cell, Task
from seqbench.errors import InputError


def cell_of(tried: Cell) -> str:
    """The label of the cell whose rate is tried."""
    return tried.label.removesuffix(label("", tried.learning_rate))


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
