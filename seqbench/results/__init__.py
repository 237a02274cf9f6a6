"""A run on disk <-> pandas.

    runs/adding/task.toml                      the task as it was resolved
    runs/adding/trials/lstm-T100-s0-3f9ac1/    curves.parquet, flow.parquet, perhaps
                                               diagnostics.parquet, lengths.parquet; trial.json
                                               (last)
    runs/adding/packed/                        copies, where there are many trials: see `packs`
    runs/adding/tuning/                        a run itself: see seqbench.sweep.tuning

Parquet and JSON only: opening a run that somebody sent you never runs code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, overload

import pandas as pd

from seqbench.card.status import Status
from seqbench.card.task import Task, Trial
from seqbench.errors import InputError
from seqbench.results.files import (
    Damaged,
    as_parquet,
    from_parquet,
    read_record,
    read_task,
    remove_strays,
    set_aside,
    write_atomically,
    write_task,
    write_trial,
)
from seqbench.results.opened import open_trials
from seqbench.results.schema import (
    AXES,
    CURVE_COLUMNS,
    DIAGNOSTIC_COLUMNS,
    FLOW_COLUMNS,
    LENGTH_COLUMNS,
    SUMMARY_COLUMNS,
    TRIAL_COLUMNS,
)

__all__ = [
    "AXES",
    "CURVE_COLUMNS",
    "DIAGNOSTIC_COLUMNS",
    "FLOW_COLUMNS",
    "LENGTH_COLUMNS",
    "SUMMARY_COLUMNS",
    "TRIAL_COLUMNS",
    "TUNING",
    "Damaged",
    "Results",
    "as_parquet",
    "from_parquet",
    "load",
    "read_finished",
    "read_record",
    "read_task",
    "remove_strays",
    "set_aside",
    "write_atomically",
    "write_task",
    "write_trial",
]

TUNING = "tuning"  # the folder in a run that holds the trials of its learning rates
# Sorted alike, whatever order the trials finished in; cells keep the card's order.
_TYPES = {"steps": "Int64", "solved_at": "Int64", "parameters": "Int64"}


class Table:
    """An attribute that is a DataFrame, or read when it is first asked for."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: object | None, owner: type) -> pd.DataFrame:
        if instance is None:
            raise AttributeError(self.name)  # no default
        given = instance.__dict__[self.name]
        if callable(given):
            given = instance.__dict__[self.name] = given()
        return given

    def __set__(self, instance: object, value: pd.DataFrame | Callable[..., pd.DataFrame]) -> None:
        instance.__dict__[self.name] = value


@dataclass(frozen=True)
class Results:
    """A run, opened.

    The tables but for `trials` are read when they are first asked for.

    Attributes:
        path: the run's folder.
        task: its card as it was resolved.
        trials: a row a trial of the task.
        curves: a row a trial and evaluation.
        flow: a row a trial, recorded step, source, anchor, layer, boundary and part of the state.
        diagnostics: a row a trial and reading; empty where the card asks for none.
        lengths: a row a trial, recorded step and evaluated length; data: "fresh" sequences, or the
            "test" part of finite data, or all its "training" data; else empty.
        records: folder -> what trial.json says, for those that have one.
        parts: the runs that this one was put together of, by name; none for a run itself.
        called: what else than its folder's name it is called among others.
    """

    path: Path
    task: Task
    trials: pd.DataFrame
    curves: Table = Table()
    flow: Table = Table()
    diagnostics: Table = Table()
    lengths: Table = Table()
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    parts: dict[str, Results] = field(default_factory=dict)
    called: str = ""

    @property
    def name(self) -> str:
        """What it is called among others: its folder's name, where it is called nothing else."""
        return self.called or self.path.resolve().name or self.task.name

    @cached_property
    def output_flow(self) -> pd.DataFrame:
        """The rows of `flow` of the output flow of the whole state, read without the others."""
        given, where = self.__dict__["flow"], {"source": "output", "state": "all"}
        if callable(given):
            return given(**where)
        return given[(given["source"] == where["source"]) & (given["state"] == where["state"])]

    @cached_property
    def tuning(self) -> Results | None:
        """The trials that the learning rates were chosen by; None where none were."""
        if self.task.tuning is None or read_task(self.path / TUNING) is None:
            return None
        return load(self.path / TUNING)

    def to_csv(self, folder: str | Path) -> None:
        """Write trials.csv, curves.csv, flow.csv and, where there are any, diagnostics.csv and
        lengths.csv.

        Raises:
            InputError: the folder can't be written.
        """
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name in ("trials", "curves", "flow", "diagnostics", "lengths"):
                table: pd.DataFrame = getattr(self, name)
                if len(table) or name not in ("diagnostics", "lengths"):
                    table.to_csv(folder / f"{name}.csv", index=False)
        except OSError as error:
            raise InputError(
                f"{folder}: can't be written: {error.strerror or error}\n"
                "allowed: a folder that you may write to"
            ) from None

    def __repr__(self) -> str:
        counts = self.trials["status"].value_counts().to_dict()
        told = ", ".join(f"{count} {status}" for status, count in counts.items())
        return f"<Results of {self.task.name} in {self.path}: {told}>"


@overload
def load(path: str | Path, *, pack: bool = False) -> Results: ...


@overload
def load(
    path: list[str] | list[Path] | tuple[str | Path, ...], *, pack: bool = False
) -> list[Results]: ...


def load(
    path: str | Path | list[str] | list[Path] | tuple[str | Path, ...], *, pack: bool = False
) -> Results | list[Results]:
    """Open a run's folder; of several, each.

    Args:
        pack: whether to write packs (see `packs`) where there are many trials that are in none.

    Raises:
        InputError: no run there, or files of a schema this version can't read.
    """
    if not isinstance(path, str | Path):
        return [load(one, pack=pack) for one in path]
    path = Path(path)
    task = read_task(path)
    if task is None:
        raise InputError(
            f"{path} is not a run: it has no task.toml\nallowed: a folder that `seqbench run` wrote"
        )
    opened = open_trials(path, task.trials(), pack=pack)
    return Results(
        path=path,
        task=task,
        trials=summed_up(task, opened.records),
        curves=partial(opened.table, "curves"),
        flow=partial(opened.table, "flow"),
        diagnostics=partial(opened.table, "diagnostics"),
        lengths=partial(opened.table, "lengths"),
        records=opened.records,
    )


def read_finished(
    path: Path, trials: Iterable[Trial], damaged: list[Damaged] | None = None
) -> dict[str, dict[str, Any]]:
    """The records of those trials that have a result, by their folders; a trial that ended in error
    has none and is run again.

    Args:
        damaged: takes up what is wrong with trials whose files are; they have no result either.

    Raises:
        InputError: files of another schema.
        Damaged: a file is torn, or says what can't be; where nothing takes it up.
    """
    records = open_trials(path, trials, damaged).records
    return {
        folder: record
        for folder, record in records.items()
        if record["summary"]["status"] != Status.ERROR
    }


def summed_up(task: Task, records: Mapping[str, dict[str, Any]]) -> pd.DataFrame:
    """The trials of a task, a row each.

    Args:
        records: as in `Results`.
    """
    rows = [
        {"task": task.name, "cell": trial.cell.label, "length": trial.length, "seed": trial.seed}
        | _summary(records.get(trial.folder))
        for trial in task.trials()
    ]
    return pd.DataFrame(rows)[TRIAL_COLUMNS].astype(_TYPES)


def _summary(record: dict[str, Any] | None) -> dict[str, Any]:
    if record is None:
        return dict.fromkeys(SUMMARY_COLUMNS) | {"status": Status.INTERRUPTED.value}
    summary = record["summary"]
    numbers = ("seconds", "loss", "score", "baseline", "baseline_score")
    told = {name: summary.get(name) for name in SUMMARY_COLUMNS}
    return told | {name: math.nan for name in numbers if told[name] is None}
