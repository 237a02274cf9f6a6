"""What a command asks for, checked: before anything runs or is written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqbench import results
from seqbench.analysis import rates as tried_rates
from seqbench.card import task as cards
from seqbench.card.extend import merge
from seqbench.card.select import select
from seqbench.card.status import Status
from seqbench.card.task import Task, Trial
from seqbench.errors import InputError
from seqbench.sweep import provenance, tuning
from seqbench.sweep.check import checked


@dataclass
class Plan:
    """What a command asks for, checked, before anything runs or is written.

    Attributes:
        path: the run's folder.
        task: what is asked.
        stored: the task of the folder afterwards: what was there and what is asked.
        missing: trials that are not finished, largest first; they carry all that they need.
        first: what has to be run before, to choose learning rates; None if they are known. The
            trials of cells that wait for theirs are among the missing, without a rate.
    """

    path: Path
    task: Task
    stored: Task
    missing: list[Trial]
    first: Plan | None = None


def plan(
    task: str | Path | Task,
    out: str | Path | None = None,
    *,
    cells: str | Sequence[str | type] | None = None,
    lengths: Iterable[int] | None = None,
    seeds: int | None = None,
    steps: int | None = None,
    overrides: dict[str, Any] | None = None,
) -> Plan:
    """Check everything that `run` is asked, and find out what is missing; writes nothing.

    Raises:
        InputError: what can't be, and what is allowed.
    """
    given = {
        "lengths": None if lengths is None else [int(length) for length in lengths],
        "seeds": seeds,
        "training.steps": steps,
    }
    said = {key: value for key, value in given.items() if value is not None}
    changes = {
        key: cards.absolute(value, Path.cwd()) if isinstance(value, str) else value
        for key, value in ((overrides or {}) | said).items()
    }
    where = task.name if isinstance(task, Task) else str(task)
    if isinstance(task, Task):
        card = cards.parse(task.to_toml(), where, changes)
    else:
        card = cards.load(where, changes)
    selected = select(card, cells)
    try:
        asked = checked(selected, card.cells[0])
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return lay_out(Path(out) if out is not None else Path("runs") / asked.name, asked)


def lay_out(path: Path, asked: Task, *, choose_now: bool = False) -> Plan:
    """What of a checked task is missing in a folder.

    Args:
        asked: its names are looked up, its widths fixed.
        choose_now: choose learning rates from what there is, even where a tuning trial has no
            result.

    Raises:
        InputError: the folder belongs to another task, or a cell has changed since.
    """
    stored = results.read_task(path)
    asked, first = with_rates(path, asked, stored, choose_now)
    whole = asked if stored is None else merge(stored, asked, str(path))
    now = provenance.origins(asked.named())
    missing = []
    for trial in asked.trials():
        record = results.read_record(path, trial)
        if not is_result(record):
            missing.append(trial)
        else:
            provenance.check_unchanged(path, trial, record, now)
    missing.sort(key=lambda trial: (trial.length, trial.hidden_size), reverse=True)
    return Plan(path, asked, whole, missing, first)


def with_rates(
    path: Path, task: Task, stored: Task | None, choose_now: bool
) -> tuple[Task, Plan | None]:
    """The task with the learning rates that are known by now, and what must be run for the others.

    A choice that the run's task.toml has is final; else it is made once all trials of the cell at
    all rates are there.
    """
    if task.tuning is None:
        return task, None
    rates = {cell.label: cell.learning_rate for cell in (stored.cells if stored else [])}
    rates |= {cell.label: cell.learning_rate for cell in task.cells if cell.learning_rate}
    untried = [cell for cell in task.cells if not rates.get(cell.label)]
    first = None
    if untried:
        first = lay_out(path / results.TUNING, tuning.grid(task, untried))
        waiting = {tuning.cell_of(trial.cell) for trial in first.missing}
        if choose_now or len(waiting) < len(untried):
            chosen = tried_rates.best(tried_rates.table(results.load(first.path)))
            known = [cell.label for cell in untried if choose_now or cell.label not in waiting]
            rates |= {label: chosen[label] for label in known}
        if choose_now or not waiting:
            first = None
    cells = [
        cell.model_copy(update={"learning_rate": rates.get(cell.label)}) for cell in task.cells
    ]
    return task.model_copy(update={"cells": cells}), first


def is_result(record: dict[str, Any] | None) -> bool:
    """Whether what trial.json says is one; a trial that ended in error is run again."""
    return record is not None and record["summary"]["status"] != Status.ERROR
