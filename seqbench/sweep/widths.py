"""Equal parameters: the width at which a cell's model has about as many as the reference's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from seqbench import plugins
from seqbench.card.tables import Cell
from seqbench.card.task import Task
from seqbench.errors import InputError
from seqbench.training.batches import make_problem
from seqbench.training.loop import make_model

WIDEST = 2**16


def matched(task: Task, reference: Cell) -> Iterator[tuple[str, int]]:
    """Each `match` of a task carried out.

    Args:
        task: its cells are those that are asked for, looked up.
        reference: the first cell of the card, asked for or not, at its own or the task's width.

    Yields:
        The cell's label and its width.

    Raises:
        InputError: the reference itself is to be matched, a cell can't be built at some width, or
            none comes near.
    """
    if reference.match == "parameters":
        raise InputError(
            f"cells ({reference.label}): match = 'parameters' in the first cell\n"
            "allowed: in all others; they are matched to the first"
        )
    target = None
    for cell in task.cells:
        if cell.hidden_size or cell == reference:
            continue
        if (cell.match or task.training.match) == "parameters":
            target = target or _count(task, reference)
            yield cell.label, nearest_width(partial(_count_at, task, cell), target)


def nearest_width(count: Callable[[int], int], target: int) -> int:
    """The width whose count is nearest to `target`; the smaller one of two that are as near.

    Args:
        count: width -> number of parameters, growing with the width.

    Raises:
        InputError: the count stays below the target at any width.
    """
    above = 1
    while count(above) < target:
        if above >= WIDEST:
            raise InputError(
                f"match = 'parameters': {target:,} are not reached at a width of {above:,}\n"
                "allowed: cells that grow with hidden_size"
            )
        above *= 2
    below = above // 2  # its count is below the target; so is a width of 0
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (middle, above) if count(middle) < target else (below, middle)
    if below and target - count(below) <= count(above) - target:
        return below
    return above


def _count_at(task: Task, cell: Cell, width: int) -> int:
    return _count(task, cell.model_copy(update={"hidden_size": width, "match": None}))


def _count(task: Task, cell: Cell) -> int:
    """Parameters of the model, readout included."""
    trial = task.model_copy(update={"cells": [cell]}).trials()[0]
    try:
        model = make_model(trial, make_problem(trial))
    except (Exception, SystemExit) as error:
        raise InputError(
            f"cells ({cell.label}): it can't be built {trial.hidden_size} wide, to match "
            f"parameters: {plugins.own_words(error)}\nallowed: hidden_size in place of match"
        ) from None
    return sum(parameter.numel() for parameter in model.parameters())
