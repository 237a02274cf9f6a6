"""The door: what a task names is looked up, checked and fixed here, and nowhere later."""

from __future__ import annotations

from seqbench import plugins
from seqbench.card.tables import Cell, Named
from seqbench.card.task import Task
from seqbench.errors import InputError
from seqbench.measure.diagnostics import instruments
from seqbench.sweep.widths import with_widths
from seqbench.training.batches import make_problem
from seqbench.training.lengths import other_problems
from seqbench.training.loop import make_model

# What the suite hands to a constructor itself.
RESERVED = {"cells": ("input_size", "hidden_size"), "problems": ("length",), "diagnostics": ()}


def checked(task: Task, reference: Cell) -> Task:
    """A task whose trials carry all that they need: its classes found, its widths fixed.

    Args:
        reference: the first cell of the card, whether it is among the task's or not.

    Raises:
        InputError: a name, an option, a length or a class that can't be.
    """
    task = resolve(task)
    if not reference.is_resolved:
        reference = _looked_up(reference)
    build_once(task)
    return with_widths(task, reference)


def resolve(task: Task) -> Task:
    """The task with its names looked up; nothing is imported.

    Raises:
        InputError: no such name, with the nearest one, or no such file.
    """
    return task.standing_for({table.where: _looked_up(table).source for table in task.named()})


def _looked_up(table: Named) -> Named:
    """A class that was given as one stands for itself."""
    if table.is_resolved:
        return table
    return table.standing_for(plugins.resolve(table.spec, table.registry))


def build_once(task: Task) -> None:
    """Import what a resolved task names and build it, so that a mistake shows before anything runs.

    Raises:
        InputError: an option, a length or a class that can't be.
    """
    for table in task.named():
        where = "problem" if table is task.problem else table.where
        cls = plugins.load(table.source)
        plugins.check_options(cls, table.options, RESERVED[table.registry], where)
    trials = task.trials()
    problems = {one.length: make_problem(one) for one in trials if one.cell == trials[0].cell}
    for length, problem in problems.items():
        other_problems(trials[0].model_copy(update={"length": length}), problem)
    instruments.make(task.recording.diagnostics, problems[trials[0].length])
    for cell in task.cells:
        first = next(trial for trial in trials if trial.cell == cell)
        try:
            make_model(first, problems[first.length])
        except InputError as error:
            raise InputError(f"{cell.where}: {error}") from None
        except Exception:  # somebody's cell: its trials end in "error", with its own words
            continue
