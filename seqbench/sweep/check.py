"""The door: what a task names is looked up, checked and fixed here, and nowhere later.

Somebody's classes are imported and built in a process of its own: they can neither end this one nor
change it. Those that were given as classes are here already.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from seqbench import plugins
from seqbench.card.tables import Cell, Named
from seqbench.card.task import Task
from seqbench.errors import InputError
from seqbench.sweep.executors.remote import Died, call, call_here

LOOK = "seqbench.sweep.look:work"
SILENCE = 120.0  # seconds that importing and building one thing may take


def checked(task: Task, reference: Cell) -> Task:
    """A task whose trials carry all that they need: its classes found, its widths fixed.

    Args:
        reference: the first cell of the card, whether it is among the task's or not.

    Raises:
        InputError: a name, an option, a length or a class that can't be.
    """
    matched = any(_is_matched(cell, task) for cell in task.cells)
    sources = _sources([*task.named(), *([reference] if matched else [])])
    found = _findings(task, sources, reference)
    task = task.standing_for(sources, found["origins"])
    widths = found["widths"]
    cells = [
        cell.model_copy(
            update={"hidden_size": widths.get(cell.label, cell.hidden_size), "match": None}
        )
        for cell in task.cells
    ]
    training = task.training.model_copy(update={"match": "width"})
    return task.model_copy(update={"cells": cells, "training": training})


def resolve(task: Task) -> Task:
    """The task with its names looked up; nothing is imported.

    Raises:
        InputError: no such name, with the nearest one, or no such file.
    """
    return task.standing_for(_sources(task.named()))


def _sources(tables: Iterable[Named]) -> dict[str, str | type]:
    """What each table's name stands for; a class that was given as one stands for itself."""
    return {
        table.where: table.source
        if table.is_resolved
        else plugins.resolve(table.spec, table.registry)
        for table in tables
    }


def _is_matched(cell: Cell, task: Task) -> bool:
    return not cell.hidden_size and (cell.match or task.training.match) == "parameters"


def _findings(task: Task, sources: dict[str, str | type], reference: Cell) -> dict[str, Any]:
    """What `seqbench.sweep.look` says of the classes, from where looking does no harm."""
    asked = {"task": task.model_dump(), "reference": reference.model_dump(), "sources": sources}
    given = any(isinstance(source, type) for source in sources.values())
    found: dict[str, Any] = {}
    try:
        for head, _ in call_here(LOOK, asked) if given else call(LOOK, asked, SILENCE):
            found = head
    except Died as how:
        raise InputError(
            f"{found.get('at', 'the card')}: {how}\nallowed: classes that can be imported and built"
        ) from None
    return found
