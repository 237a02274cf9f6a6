"""Which cells of a card are asked for, and others beside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import ValidationError

from seqbench.card import inline
from seqbench.card.mistakes import explain
from seqbench.card.tables import Cell
from seqbench.card.task import Task, absolute
from seqbench.errors import InputError


def select(task: Task, wanted: str | Sequence[str | dict | type] | None) -> Task:
    """The task with the card's cells of these labels or names; anything else is a cell of its own.

    Args:
        wanted: labels, names, specs, tables as a card has them or classes, as a list or as text
            with commas; None: the card's.

    Raises:
        InputError: none at all, one twice, or what can't be a cell.
    """
    if wanted is None:
        return task
    if isinstance(wanted, str):
        wanted = split_labels(wanted, [cell.label for cell in task.cells])
    cells = _told_apart([cell for want in wanted for cell in _found(task, want)])
    if not cells:
        raise InputError("--cells: none is named\nallowed: labels, names or specs, as in rnn,lstm")
    labels = [cell.label for cell in cells]
    for label in labels:
        if labels.count(label) > 1:
            raise InputError(f"cells: {label!r} is asked for twice\nallowed: each cell once")
    return task.model_copy(update={"cells": cells})


def cell(use: str, **more: object) -> Cell:
    """A cell that no card has, of a name or a spec; its file is relative to the working directory.

    Raises:
        InputError: it can't be a cell.
    """
    try:
        return Cell.model_validate({"use": absolute(use, Path.cwd())} | more)
    except ValidationError as error:
        raise InputError(f"cell {use}: {explain(error, Cell, {})}") from None


def split_labels(text: str, labels: Iterable[str]) -> list[str]:
    """Words between commas; a card's label that has commas itself is one of them."""
    found, rest = [], text.strip()
    while rest:
        label = max((x for x in labels if (rest + ",").startswith(x + ",")), key=len, default=None)
        word = inline.first(rest) if label is None else label
        found.append(word.strip())
        rest = rest[len(word) + 1 :].strip()
    return [word for word in found if word]


def _found(task: Task, want: str | dict | type) -> list[Cell]:
    """What is asked for by a label, a name, a spec, a table or a class."""
    if isinstance(want, dict):
        return [cell(**inline.labelled(inline.checked(want)))]
    if isinstance(want, type):
        return [
            cell(f"{want.__module__}:{want.__qualname__}", label=want.__name__).standing_for(want)
        ]
    by_label = [cell for cell in task.cells if cell.label == want]
    return (
        by_label or [one for one in task.cells if one.use == want] or [cell(**inline.entry(want))]
    )


def _told_apart(cells: list[Cell]) -> list[Cell]:
    """Two classes of one name are called by their full names."""
    labels = [cell.label for cell in cells]
    return [
        cell.model_copy(update={"label": cell.use}) if labels.count(cell.label) > 1 else cell
        for cell in cells
    ]
