"""The command that runs a task again."""

from __future__ import annotations

import shlex

from seqbench import task as cards
from seqbench.errors import InputError
from seqbench.task import Task


def reproduce(task: Task) -> tuple[str, bool]:
    """The command, and whether it needs the card to be saved first.

    A bundled card is called by name, with what was asked of it besides; anything else by the card
    that the report shows.
    """
    by_name = _of_bundled(task)
    return (by_name, False) if by_name else (f"seqbench run ./{task.name}.toml", True)


def _of_bundled(task: Task) -> str | None:
    if task.name not in cards.bundled():
        return None
    try:
        card = cards.load(task.name)
    except InputError:  # an installation with a broken card still reports other runs
        return None
    words = ["seqbench", "run", task.name]
    cells = {cell.label: cell for cell in card.cells}
    if any(cells.get(cell.label) != cell or "," in cell.label for cell in task.cells):
        return None
    labels = [cell.label for cell in task.cells]
    if labels != list(cells):
        words += ["--cells", ",".join(labels)]
    if task.lengths != card.lengths:
        words += ["--lengths", ",".join(map(str, task.lengths))]
    if task.seeds != card.seeds:
        words += ["--seeds", str(task.seeds)]
    for table in ("problem", "training", "recording"):
        old, new = getattr(card, table).model_dump(), getattr(task, table).model_dump()
        for key in sorted(new.keys() | old.keys()):
            if new.get(key) == old.get(key):
                continue
            if new.get(key) is None:  # what a card says can't be unsaid on the command line
                return None
            words += ["--set", f"{table}.{key}={_toml(new[key])}"]
    return shlex.join(words)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
