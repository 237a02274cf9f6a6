"""A run's folder that is asked for more: what may grow, and what must be as it was."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from seqbench.errors import InputError
from seqbench.task import Task


def merge(stored: Task, asked: Task, where: str) -> Task:
    """The task of a run directory after more is asked of it.

    Cells, lengths and seeds may grow; what is there stays.

    Raises:
        InputError: anything else differs; names the first key.
    """
    for key in ("name", "first_seed"):
        if getattr(stored, key) != getattr(asked, key):
            raise _differs(where, key, getattr(stored, key), getattr(asked, key))
    for table in ("problem", "training", "tuning", "recording"):
        old, new = (_keys(getattr(task, table)) for task in (stored, asked))
        for key in sorted(old.keys() | new.keys()):
            if not _same(old.get(key), new.get(key)):
                raise _differs(where, f"{table}.{key}", old.get(key), new.get(key))
    cells = {cell.label: cell for cell in stored.cells}
    for cell in asked.cells:
        if not _same(cells.setdefault(cell.label, cell).model_dump(), cell.model_dump()):
            raise _differs(
                where,
                f"cells ({cell.label})",
                cells[cell.label].model_dump(exclude_none=True),
                cell.model_dump(exclude_none=True),
            )
    return asked.model_copy(
        update={
            "cells": list(cells.values()),
            "lengths": sorted({*stored.lengths, *asked.lengths}),
            "seeds": max(stored.seeds, asked.seeds),
        }
    )


def _keys(table: BaseModel | None) -> dict[str, Any]:
    return {} if table is None else table.model_dump()


def _same(old: Any, new: Any) -> bool:
    """Whether two values give a trial the same key: 1 and 1.0 don't."""
    return json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True)


def _differs(where: str, key: str, old: Any, new: Any) -> InputError:
    return InputError(
        f"{where} belongs to another task: {key} = {old!r} there, {new!r} here\n"
        "allowed: the same task with more cells, lengths or seeds, or another --out"
    )
