"""The command that runs a task again."""

from __future__ import annotations

import shlex

from seqbench.card import task as cards
from seqbench.card.extend import differences, reopened
from seqbench.card.task import Task
from seqbench.errors import InputError


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
    task = reopened(task, card)
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
    for key, _, now in differences(card, task):
        if now is None:  # what a card says can't be unsaid on the command line
            return None
        words += ["--set", f"{key}={_toml(now)}"]
    return shlex.join(words)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
