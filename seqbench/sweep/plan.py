"""What a command asks for, checked: before anything runs or is written."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from seqbench import results
from seqbench.card import task as cards
from seqbench.card.extend import merge
from seqbench.card.select import select
from seqbench.card.task import SCHEMA, Task, Trial
from seqbench.errors import InputError
from seqbench.sweep import provenance, tuning
from seqbench.sweep.check import checked

MOST_SHARDS = 100_000


class Shard(NamedTuple):
    """The number-th of so many equal parts of a task's trials, from 1."""

    number: int
    of: int


def shard(text: str) -> Shard:
    """From "i/n".

    Raises:
        InputError: it is none.
    """
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of) <= MOST_SHARDS):
        raise InputError(f"--shard {text}\nallowed: i/n with 1 <= i <= n, as in 2/8")
    return Shard(int(number), int(of))


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
        shard: the part of the trials that is asked for; the missing ones are of it.
        damaged: what is wrong with files of trials that are missing therefore.
    """

    path: Path
    task: Task
    stored: Task
    missing: list[Trial]
    first: Plan | None = None
    shard: Shard | None = None
    damaged: list[results.Damaged] = field(default_factory=list)


def plan(
    task: str | Path | Task,
    out: str | Path | None = None,
    *,
    cells: str | Sequence[str | dict | type] | None = None,
    lengths: Iterable[int] | None = None,
    seeds: int | None = None,
    steps: int | None = None,
    overrides: dict[str, Any] | None = None,
    shard: Shard | None = None,
) -> Plan:
    """Check everything that `run` is asked, and find out what is missing; writes nothing.

    Raises:
        InputError: what can't be, and what is allowed.
    """
    given = {
        "lengths": None if lengths is None else _whole_numbers(lengths),
        "seeds": seeds,
        "training.steps": steps,
    }
    said = {key: value for key, value in given.items() if value is not None}
    changes = {
        key: cards.absolute(value, Path.cwd()) if isinstance(value, str) else value
        for key, value in ((overrides or {}) | said).items()
    }
    card = _read(task, changes)
    selected = select(card, cells)
    try:
        asked = checked(selected, card.cells[0])
    except InputError as error:
        where = task.name if isinstance(task, Task) else str(task)
        blamed = f"{where}: " if _can_not_be(_read(task, {})) else ""
        raise InputError(f"{blamed}{error}") from None
    path = Path(out) if out is not None else Path("runs") / asked.name
    return lay_out(path, asked, shard)


def _read(task: str | Path | Task, changes: dict[str, Any]) -> Task:
    if isinstance(task, Task):
        return cards.parse(task.to_toml(), task.name, changes)
    return cards.load(str(task), changes)


def _can_not_be(card: Task) -> bool:
    """Whether it is the card's own mistake, and not one of what was asked for beside it."""
    try:
        checked(card, card.cells[0])
    except InputError:
        return True
    return False


def _whole_numbers(lengths: Any) -> list[int]:
    """Raises InputError for what is no list of whole numbers, such as text or a number alone."""
    wrong = InputError(f"lengths = {lengths!r}\nallowed: whole numbers, as in [50, 100]")
    if isinstance(lengths, str):
        raise wrong
    try:
        return [operator.index(length) for length in lengths]  # numpy's whole numbers too
    except TypeError:
        raise wrong from None


def lay_out(path: Path, asked: Task, shard: Shard | None = None) -> Plan:
    """What of a checked task is missing in a folder.

    Args:
        asked: its names are looked up, its widths fixed.
        shard: which part of its trials; None: all. Learning rates are everybody's to find.

    Raises:
        InputError: the folder belongs to another task, or a cell has changed since.
    """
    stored = results.read_task(path)
    asked, grid = tuning.with_known_rates(asked, stored)
    first = lay_out(path / results.TUNING, grid) if grid else None
    whole = asked if stored is None else merge(stored, asked, str(path))
    trials = asked.trials()
    damaged: list[results.Damaged] = []
    finished = results.read_finished(path, trials, damaged)
    _check_schema(path, finished)
    provenance.check_unchanged(path, asked.named(), finished)
    trials.sort(key=lambda trial: (trial.length, trial.hidden_size), reverse=True)
    if shard:
        trials = trials[shard.number - 1 :: shard.of]
    missing = [trial for trial in trials if trial.folder not in finished]
    return Plan(path, asked, whole, missing, first, shard, damaged)


def _check_schema(path: Path, finished: Mapping[str, Mapping[str, Any]]) -> None:
    """One run, one schema: other numbers must not come to stand beside those that are there."""
    earlier = {record["schema"] for record in finished.values()} - {SCHEMA}
    if earlier:
        raise InputError(
            f"{path}: its trials are of schema {min(earlier)}: this version's numbers are rounded "
            "differently\nallowed: another folder (--out); `seqbench report` reads this one"
        )
