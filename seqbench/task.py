"""A task card -> Task -> its trials.

Leaf of the imports: neither torch nor pandas is needed to read a card.
"""

from __future__ import annotations

import copy
import difflib
import hashlib
import json
import re
import tomllib
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from seqbench.errors import InputError
from seqbench.explain import explain

# Part of every trial's key: raise it when the same configuration would give other numbers, or files
# that older code can't read.
SCHEMA = 1

# A loss has passed a baseline when it is below this share of it. Evaluation noise alone crosses the
# baseline itself, and 0.9 of it about once in 5,000 evaluations (adding, 1,000 sequences: one
# standard deviation is 2.8 %).
PASSED = 0.8

NotNegative = Field(default=0.0, ge=0.0)


_STRICT = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", **_STRICT)


class _OpenTable(_Table):
    """Keys that are no fields are somebody's options: plain TOML values, but for dates."""

    model_config = ConfigDict(extra="allow", **_STRICT)

    @model_validator(mode="after")
    def _plain_options(self) -> _OpenTable:
        for key, value in (self.model_extra or {}).items():
            try:
                json.dumps(value, allow_nan=False)
            except (TypeError, ValueError):
                raise ValueError(
                    f"{key} = {value!r} is no text, finite number, true or false, list or table"
                ) from None
        return self


class ProblemTable(_OpenTable):
    """[problem]: which one, and its options."""

    name: str
    protocol: str | None = None

    @property
    def options(self) -> dict[str, Any]:
        """What the problem's constructor takes besides the length."""
        given = {} if self.protocol is None else {"protocol": self.protocol}
        return given | (self.model_extra or {})


class Cell(_OpenTable):
    """One entry of `cells`; keys that are not fields here go to the cell's constructor."""

    use: str
    label: str = Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]+$")
    hidden_size: PositiveInt | None = None
    learning_rate: PositiveFloat | None = None
    layers: PositiveInt = 1
    kind: Literal["cell", "layer"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, given: Any) -> Any:
        if isinstance(given, str):
            given = {"use": given}
        if isinstance(given, dict) and isinstance(given.get("use"), str):
            return {"label": given["use"].rpartition(":")[2]} | given
        return given

    @property
    def options(self) -> dict[str, Any]:
        """What the cell's constructor takes besides input_size and hidden_size."""
        return self.model_extra or {}


class Training(_Table):
    """[training]: the budget and the optimiser, the same for every cell that does not override."""

    steps: PositiveInt = 5000
    batch_size: PositiveInt = 64
    hidden_size: PositiveInt = 128
    optimizer: Literal["adam", "rmsprop", "sgd"] = "adam"
    learning_rate: PositiveFloat = 1e-3
    clip_norm: float = NotNegative
    clip_value: float = NotNegative
    eval_every: PositiveInt = 100
    eval_size: PositiveInt = 1000
    stop_when_solved: bool = True
    segment: PositiveInt | Literal["auto"] = "auto"
    recompute: bool | Literal["auto"] = "auto"
    truncate: int = Field(default=0, ge=0)
    compile: bool = False

    @model_validator(mode="after")
    def _one_clip(self) -> Training:
        if self.clip_norm and self.clip_value:
            raise ValueError("clip_norm and clip_value can't both be set")
        return self


class Recording(_Table):
    """[recording]: when the gradient flow is measured, and at how many boundaries."""

    every: PositiveInt = 500
    boundaries: PositiveInt | Literal["all"] = 64


class Trial(_Table):
    """One training run: everything that its numbers depend on, and nothing else."""

    problem: ProblemTable
    cell: Cell
    length: PositiveInt
    seed: int = Field(ge=0)
    training: Training
    recording: Recording

    @property
    def hidden_size(self) -> int:
        """The cell's own width, or the task's."""
        return self.cell.hidden_size or self.training.hidden_size

    @property
    def learning_rate(self) -> float:
        """The cell's own rate, or the task's."""
        return self.cell.learning_rate or self.training.learning_rate

    @property
    def key(self) -> str:
        """Hash of the configuration and the schema version, 16 hexadecimal digits.

        Defaults are left out, so that a later version's new option does not orphan old trials; a
        default that changes is a change of schema.
        """
        set_by_card = self.model_dump(exclude_defaults=True)
        text = json.dumps({"schema": SCHEMA, **set_by_card}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def folder(self) -> str:
        """The trial's folder inside a run."""
        slug = re.sub(r"[^a-z0-9]+", "-", self.cell.label.lower())[:60].strip("-") or "cell"
        return f"{slug}-T{self.length}-s{self.seed}-{self.key[:6]}"


class Task(_Table):
    """A card, checked.

    Attributes:
        name, lengths, seeds, cells, problem, training, recording: what is run; `seeds` trials of
            each cell and length, numbered from 0.
        description, paper, deviations: for people; nothing that is computed depends on them.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    description: str = ""
    paper: str = ""
    deviations: list[str] = []
    lengths: list[PositiveInt] = Field(min_length=1)
    seeds: PositiveInt
    cells: list[Cell] = Field(min_length=1)
    problem: ProblemTable
    training: Training = Training()
    recording: Recording = Recording()

    @field_validator("lengths")
    @classmethod
    def _distinct_lengths(cls, lengths: list[int]) -> list[int]:
        if len(set(lengths)) < len(lengths):
            raise ValueError("a length is given twice")
        return sorted(lengths)

    @field_validator("cells")
    @classmethod
    def _distinct_labels(cls, cells: list[Cell]) -> list[Cell]:
        labels = [cell.label for cell in cells]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"two cells have the label {label!r}; give one a label of its own")
        return cells

    def trials(self) -> list[Trial]:
        """Every cell at every length with every seed, in the card's order."""
        shared = {
            "problem": self.problem,
            "training": self.training,
            "recording": self.recording,
        }
        return [
            Trial(cell=cell, length=length, seed=seed, **shared)
            for cell in self.cells
            for length in self.lengths
            for seed in range(self.seeds)
        ]

    def to_toml(self) -> str:
        """The card as it was resolved; `parse` reads it back to an equal Task."""
        return tomli_w.dumps(self.model_dump(exclude_none=True))


_TABLES = {"problem": ProblemTable, "training": Training, "recording": Recording, "cells": Cell}


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
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{where}: not TOML: {error}\nallowed: a task card in TOML") from None
    for dotted, value in (overrides or {}).items():
        _put(card, dotted, value)
    try:
        return Task.model_validate(card)
    except ValidationError as error:
        raise InputError(f"{where}: {explain(error, Task, _TABLES)}") from None


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
    cells = [
        cell.model_copy(update={"use": absolute(cell.use, path.parent)}) for cell in task.cells
    ]
    problem = task.problem.model_copy(update={"name": absolute(task.problem.name, path.parent)})
    return task.model_copy(update={"cells": cells, "problem": problem})


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
        if not Path(name).is_file():
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
    package = Path(__file__).parent
    installed = package / "tasks"
    folder = installed if installed.is_dir() else package.parent / "tasks"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def merge(stored: Task, asked: Task, where: str) -> Task:
    """The task of a run directory after more is asked of it.

    Cells, lengths and seeds may grow; what is there stays.

    Raises:
        InputError: anything else differs; names the first key.
    """
    if stored.name != asked.name:
        raise _differs(where, "name", stored.name, asked.name)
    for table in ("problem", "training", "recording"):
        old, new = getattr(stored, table).model_dump(), getattr(asked, table).model_dump()
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


def _same(old: Any, new: Any) -> bool:
    """Whether two values give a trial the same key: 1 and 1.0 don't."""
    return json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True)


def _differs(where: str, key: str, old: Any, new: Any) -> InputError:
    return InputError(
        f"{where} belongs to another task: {key} = {old!r} there, {new!r} here\n"
        "allowed: the same task with more cells, lengths or seeds, or another --out"
    )


def _put(card: dict, dotted: str, value: Any) -> None:
    *tables, key = dotted.split(".")
    for name in tables:
        card = card.setdefault(name, {})
        if not isinstance(card, dict):
            raise InputError(f"--set {dotted}: {name} is not a table\nallowed: table.key=value")
    card[key] = copy.deepcopy(value)
