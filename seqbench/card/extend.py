"""A run's folder that is asked for more: what may grow, and what must be as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from seqbench.card.task import NO_NUMBER, Task
from seqbench.errors import InputError


def merge(stored: Task, asked: Task, where: str) -> Task:
    """The task of a run directory after more is asked of it.

    Cells, lengths and seeds may grow; what is there stays.

    Raises:
        InputError: anything else differs; names the first key.
    """
    for key in ("name", "first_seed", "evaluate_lengths"):
        if getattr(stored, key) != getattr(asked, key):
            raise _differs(where, key, getattr(stored, key), getattr(asked, key))
    for key, old, new in differences(stored, asked):
        raise _differs(where, key, old, new)
    cells = {cell.label: cell for cell in stored.cells}
    for cell in asked.cells:
        there = cells.setdefault(cell.label, cell)
        if not _same(*(one.model_dump(exclude=NO_NUMBER["cell"]) for one in (there, cell))):
            raise _differs(
                where,
                f"cells ({cell.label})",
                cells[cell.label].model_dump(exclude_none=True),
                cell.model_dump(exclude_none=True),
            )
        cells[cell.label] = cell  # its group may be another
    return asked.model_copy(
        update={
            "cells": list(cells.values()),
            "lengths": sorted({*stored.lengths, *asked.lengths}),
            "seeds": max(stored.seeds, asked.seeds),
        }
    )


def differences(old: Task, new: Task) -> Iterator[tuple[str, Any, Any]]:
    """(dotted key, old value, new value) for every difference in the tables, but for cells, that
    changes a number."""
    for table in ("problem", "training", "tuning", "recording"):
        spared = NO_NUMBER.get(table, set())
        before, after = (_keys(getattr(task, table), spared) for task in (old, new))
        for key in sorted(before.keys() | after.keys()):
            if not _same(before.get(key), after.get(key)):
                yield f"{table}.{key}", before.get(key), after.get(key)


def reopened(task: Task, card: Task) -> Task:
    """A resolved task with what its card leaves to be found out taken out again: widths and rates;
    groups are the card's.

    Args:
        card: where a cell of the same label says how these are found.
    """
    written = {cell.label: cell for cell in card.cells}
    cells = []
    for cell in task.cells:
        entry = written.get(cell.label, cell)
        update = {"match": entry.match, "group": entry.group}
        if entry.hidden_size is None and "parameters" in (entry.match, card.training.match):
            update["hidden_size"] = None
        if entry.learning_rate is None and card.tuning:
            update["learning_rate"] = None
        cells.append(cell.model_copy(update=update))
    training = task.training.model_copy(update={"match": card.training.match})
    return task.model_copy(update={"cells": cells, "training": training})


def _keys(table: BaseModel | None, spared: set[str]) -> dict[str, Any]:
    return {} if table is None else table.model_dump(exclude=spared)


def _same(old: Any, new: Any) -> bool:
    """Whether two values give a trial the same key: 1 and 1.0 don't."""
    return json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True)


def _differs(where: str, key: str, old: Any, new: Any) -> InputError:
    return InputError(
        f"{where} belongs to another task: {key} = {old!r} there, {new!r} here\n"
        "allowed: the same task with more cells, lengths or seeds, or another --out"
    )
