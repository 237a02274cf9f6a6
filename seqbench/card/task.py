"""A task card -> Task -> its trials.

Leaf of the imports: neither torch nor pandas is needed to read a card.
"""

from __future__ import annotations

import copy
import difflib
import hashlib
import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import tomli_w
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from seqbench.card.mistakes import explain
from seqbench.card.tables import (
    Cell,
    Diagnostic,
    Named,
    PositiveInt,
    ProblemTable,
    Published,
    Recording,
    Table,
    Training,
    Tuning,
    each_once,
    labels_differ,
)
from seqbench.errors import InputError

# Part of every trial's key: raise it when the same configuration would give other numbers, or files
# that older code can't read.
SCHEMA = 2

# A loss has passed a baseline when it is below this share of it. Evaluation noise alone crosses the
# baseline itself, and 0.9 of it about once in 5,000 evaluations (adding, 1,000 sequences: one
# standard deviation is 2.8 %).
PASSED = 0.8

# What no number depends on: the heading of a cell in a report, how often a trial is saved.
NO_NUMBER = {"cell": {"group"}, "training": {"checkpoint_every"}}

MOST_TRIALS = 100_000  # of a task

AnyNamed = TypeVar("AnyNamed", bound=Named)


class Trial(Table):
    """One training run: everything that its numbers depend on, and nothing else."""

    problem: ProblemTable
    cell: Cell
    length: PositiveInt
    seed: int = Field(ge=0)
    training: Training
    recording: Recording
    evaluate_lengths: list[PositiveInt] = Field(default=[])

    @property
    def hidden_size(self) -> int:
        """The cell's own width, or the task's."""
        return self.cell.hidden_size or self.training.hidden_size

    @property
    def learning_rate(self) -> float:
        """The cell's own rate, or the task's."""
        return self.cell.learning_rate or self.training.learning_rate

    @property
    def clip_norm(self) -> float:
        """The cell's own bound, or the task's; 0: none."""
        own = self.cell.clip_norm
        return self.training.clip_norm if own is None else own

    def named(self) -> list[Named]:
        """The tables that name a class."""
        return [self.cell, self.problem, *self.recording.diagnostics]

    def standing_for(self, sources: Sources) -> Trial:
        """The same trial, its names looked up."""
        tables = _looked_up(self, [self.cell], sources, {})
        return self.model_copy(update=tables | {"cell": tables.pop("cells")[0]})

    @property
    def key(self) -> str:
        """Hash of the configuration and the schema version, 16 hexadecimal digits.

        Defaults are left out, so that a later version's new option does not orphan old trials; a
        default that changes is a change of schema. Left out too is what changes no number.
        """
        return self.key_under(SCHEMA)

    def key_under(self, schema: int) -> str:
        """The key that the version of this schema gave the same configuration."""
        set_by_card = self.model_dump(exclude_defaults=True, exclude=NO_NUMBER)
        text = json.dumps({"schema": schema, **set_by_card}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def folder(self) -> str:
        """The trial's folder inside a run."""
        return self.folder_under(SCHEMA)

    def folder_under(self, schema: int) -> str:
        """The folder that the version of this schema put it into."""
        slug = re.sub(r"[^a-z0-9]+", "-", self.cell.label.lower())[:60].strip("-") or "cell"
        return f"{slug}-T{self.length}-s{self.seed}-{self.key_under(schema)[:6]}"


Sources = Mapping[str, str | type]  # what messages call a table that names a class -> the class
Origins = Mapping[str, dict[str, Any]]  # the same -> where the class comes from


def _looked_up(whole: Trial | Task, cells: list[Cell], sources: Sources, origins: Origins) -> dict:
    """The tables that name a class, each standing for what `sources` has for it."""

    def look_up(table: AnyNamed) -> AnyNamed:
        return table.standing_for(sources[table.where], origins.get(table.where))

    diagnostics = [look_up(one) for one in whole.recording.diagnostics]
    recording = whole.recording.model_copy(update={"diagnostics": diagnostics})
    cells = [look_up(cell) for cell in cells]
    return {"cells": cells, "problem": look_up(whole.problem), "recording": recording}


class Task(Table):
    """A card, checked.

    Attributes:
        name, lengths, seeds, cells, problem, training, recording: what is run; `seeds` trials of
            each cell and length, numbered from first_seed.
        evaluate_lengths: lengths at which each trained model is evaluated too.
        tuning: how each cell that has no learning rate of its own gets one; None: they all have the
            one of [training].
        description, paper, deviations, published: for people; nothing that is computed depends on
            them.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    description: str = ""
    paper: str = ""
    deviations: list[str] = Field(default=[])
    published: list[Published] = Field(default=[])
    lengths: list[PositiveInt] = Field(min_length=1, max_length=1000)
    evaluate_lengths: list[PositiveInt] = Field(default=[])
    seeds: PositiveInt
    first_seed: int = Field(default=0, ge=0)
    cells: list[Cell] = Field(min_length=1, max_length=1000)
    problem: ProblemTable
    training: Training = Training()
    tuning: Tuning | None = None
    recording: Recording = Recording()

    _each_length_once = field_validator("lengths", "evaluate_lengths")(each_once)

    @field_validator("cells")
    @classmethod
    def _distinct_labels(cls, cells: list[Cell]) -> list[Cell]:
        return labels_differ(cells, "cells")

    @model_validator(mode="after")
    def _consistent(self) -> Task:
        trials = len(self.cells) * len(self.lengths) * self.seeds
        if trials > MOST_TRIALS:
            raise ValueError(f"that makes {trials:,} trials; at most {MOST_TRIALS:,} in one task")
        if self.tuning and self.first_seed + self.seeds > self.tuning.first_seed:
            raise ValueError("the seeds reach tuning.first_seed; the two must not overlap")
        if self.training.clip_value and any(cell.clip_norm for cell in self.cells):
            raise ValueError("training.clip_value and a cell's clip_norm can't both be set")
        return self

    def trials(self) -> list[Trial]:
        """Every cell at every length with every seed, in the card's order."""
        shared: dict[str, Any] = {
            "problem": self.problem,
            "training": self.training,
            "recording": self.recording,
            "evaluate_lengths": self.evaluate_lengths,
        }
        return [
            Trial(cell=cell, length=length, seed=seed, **shared)
            for cell in self.cells
            for length in self.lengths
            for seed in range(self.first_seed, self.first_seed + self.seeds)
        ]

    def named(self) -> list[Named]:
        """The tables that name a class."""
        return [*self.cells, self.problem, *self.recording.diagnostics]

    def standing_for(self, sources: Sources, origins: Origins | None = None) -> Task:
        """The same task, its names looked up."""
        return self.model_copy(update=_looked_up(self, self.cells, sources, origins or {}))

    def to_toml(self) -> str:
        """The card as it was resolved; `parse` reads it back to an equal Task."""
        return tomli_w.dumps(self.model_dump(exclude_none=True))


_TABLES: dict[str, type[BaseModel]] = {
    "problem": ProblemTable,
    "training": Training,
    "tuning": Tuning,
    "published": Published,
    "recording": Recording,
    "cells": Cell,
    "diagnostics": Diagnostic,
}


def parse(text: str, where: str, overrides: dict[str, Any] | None = None) -> Task:
    """Check a card.

    Args:
        text: TOML.
        where: the file, for messages.
        overrides: dotted key -> value, put in place of what the card says.

    Raises:
        InputError: not TOML, or not a card; names the file, the key, the value, what is allowed.
    """
    try:
        card = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # tables in tables, numbers of 5,000 digits
        raise InputError(f"{where}: not TOML: {error}\nallowed: a task card in TOML") from None
    changed = copy.deepcopy(card)
    for dotted, value in (overrides or {}).items():
        _put(changed, dotted, value)
    try:
        return Task.model_validate(changed)
    except RecursionError:
        raise InputError(f"{where}: too deep\nallowed: tables in tables, but not so many") from None
    except ValidationError as error:
        # The file is not to blame for what was asked for beside it.
        blamed = "" if overrides and _is_valid(card) else f"{where}: "
        raise InputError(f"{blamed}{explain(error, Task, _TABLES)}") from None


def _is_valid(card: dict[str, Any]) -> bool:
    try:
        Task.model_validate(card)
    except ValidationError:
        return False
    return True


def load(name: str, overrides: dict[str, Any] | None = None) -> Task:
    """Read a card: a bundled name, or a path (anything with a slash or ending in .toml).

    Files of cells and problems in it are made absolute, relative to the card.

    Raises:
        InputError: no such card (lists the bundled ones), or what `parse` refuses.
    """
    path = find(name)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: can't be read: {error}\nallowed: a task card in TOML") from None
    task = parse(text, str(path), overrides)
    base = path.parent
    problem = task.problem.model_copy(update={"name": absolute(task.problem.name, base)})
    changes = {"cells": _with_absolute_files(task.cells, base), "problem": problem}
    if task.recording.diagnostics:
        diagnostics = _with_absolute_files(task.recording.diagnostics, base)
        changes["recording"] = task.recording.model_copy(update={"diagnostics": diagnostics})
    return task.model_copy(update=changes)


def _with_absolute_files(brought: list, base: Path) -> list:
    return [one.model_copy(update={"use": absolute(one.use, base)}) for one in brought]


def absolute(spec: str, base: Path) -> str:
    """ "file.py:Class" with the file made absolute; any other spec as it is."""
    where, colon, attribute = spec.rpartition(":")
    if not colon or not where.endswith(".py"):
        return spec
    return f"{(base / Path(where).expanduser()).resolve()}:{attribute}"


def find(name: str) -> Path:
    """Where a card lies: the path itself, or the bundled card of that name.

    Raises:
        InputError: no such file or no such bundled card.
    """
    if "/" in name or "\\" in name or name.endswith(".toml"):
        if not os.path.isfile(name):  # a name may be too long to be one
            raise InputError(
                f"there is no task card {name}\nallowed: a TOML file, or a bundled "
                f"name: {', '.join(bundled())}"
            )
        return Path(name)
    cards = bundled()
    if name not in cards:
        near = difflib.get_close_matches(name, cards, n=1)
        raise InputError(
            f"unknown task {name!r}" + (f"; did you mean {near[0]!r}?" if near else "") + "\n"
            f"allowed: {', '.join(cards)}, or the path of a card (with a slash, or .toml)"
        )
    return cards[name]


def bundled() -> dict[str, Path]:
    """The cards that ship with seqbench, by name: in the wheel, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "tasks"
    folder = installed if installed.is_dir() else package.parent / "tasks"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def _put(card: dict, dotted: str, value: Any) -> None:
    *tables, key = dotted.split(".")
    for name in tables:
        card = card.setdefault(name, {})
        if not isinstance(card, dict):
            raise InputError(f"--set {dotted}: {name} is not a table\nallowed: table.key=value")
    card[key] = value
