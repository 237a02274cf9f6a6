"""A run on disk <-> pandas.

    runs/adding/task.toml                      the task as it was resolved
    runs/adding/trials/lstm-T100-s0-3f9ac1/    curves.parquet, flow.parquet, perhaps
                                               diagnostics.parquet, lengths.parquet; trial.json
                                               (last)
    runs/adding/tuning/                        a run itself: see seqbench.sweep.tuning

Parquet and JSON only: opening a run that somebody sent you never runs code.
"""

from __future__ import annotations

import json
import math
import os
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pandas as pd

from seqbench.card import task as cards
from seqbench.card.status import RECORDED, Status
from seqbench.card.task import SCHEMA, Task, Trial
from seqbench.errors import InputError

SUMMARY_COLUMNS = ["status", "steps", "solved_at", "parameters", "seconds", "loss", "score"]
SUMMARY_COLUMNS += ["baseline", "baseline_score", "error"]
AXES = ["cell", "length", "seed"]
TRIAL_COLUMNS = ["task", *AXES, *SUMMARY_COLUMNS]
CURVE_COLUMNS = [*AXES, "step", "loss", "score", "gradient_norm"]
FLOW_COLUMNS = [*AXES, *["step", "source", "anchor", "layer", "time", "lag", "state"]]
FLOW_COLUMNS += ["log10_norm", "log10_p10", "log10_p90", "n_zero", "n_nonfinite"]
DIAGNOSTIC_COLUMNS = [*AXES, "step", "diagnostic", "quantity", "index", "value"]
LENGTH_COLUMNS = [*AXES, "step", "evaluated_length", "data", "loss", "score"]
LENGTH_COLUMNS += ["baseline", "baseline_score"]
# What this version reads. It writes the first; the others' numbers were made by other code, whose
# rounding was another: 1 by torch's own layers on the CPU, the flow in float32.
READABLE = (SCHEMA, 1)
TUNING = "tuning"  # the folder in a run that holds the trials of its learning rates
# Sorted alike, whatever order the trials finished in; cells keep the card's order.
_TYPES = {"steps": "Int64", "solved_at": "Int64", "parameters": "Int64"}


@dataclass(frozen=True)
class Results:
    """A run, opened.

    Attributes:
        path: the run's folder.
        task: its card as it was resolved.
        trials: a row a trial of the task.
        curves: a row a trial and evaluation.
        flow: a row a trial, recorded step, source, anchor, layer, boundary and part of the state.
        diagnostics: a row a trial and reading; empty where the card asks for none.
        lengths: a row a trial, recorded step and evaluated length; data: "fresh" sequences, or the
            "test" part of finite data; empty where the card asks for no other lengths.
        records: folder -> what trial.json says, for those that have one.
    """

    path: Path
    task: Task
    trials: pd.DataFrame
    curves: pd.DataFrame
    flow: pd.DataFrame
    diagnostics: pd.DataFrame
    lengths: pd.DataFrame
    records: dict[str, dict[str, Any]]

    @cached_property
    def tuning(self) -> Results | None:
        """The trials that the learning rates were chosen by; None where none were."""
        if self.task.tuning is None or read_task(self.path / TUNING) is None:
            return None
        return load(self.path / TUNING)

    def to_csv(self, folder: str | Path) -> None:
        """Write trials.csv, curves.csv, flow.csv and, where there are any, diagnostics.csv.

        Raises:
            InputError: the folder can't be written.
        """
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name in ("trials", "curves", "flow", "diagnostics"):
                table: pd.DataFrame = getattr(self, name)
                if name != "diagnostics" or len(table):
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


def load(path: str | Path) -> Results:
    """Open a run's folder.

    Raises:
        InputError: no run there, or files of a schema this version can't read.
    """
    path = Path(path)
    task = read_task(path)
    if task is None:
        raise InputError(
            f"{path} is not a run: it has no task.toml\nallowed: a folder that `seqbench run` wrote"
        )
    records, rows, curves, flows, diagnostics, lengths = {}, [], [], [], [], []
    for trial in task.trials():
        record = read_record(path, trial)
        axes = {"cell": trial.cell.label, "length": trial.length, "seed": trial.seed}
        rows.append({"task": task.name, **axes, **_summary(record)})
        if record is None:
            continue
        records[trial.folder] = record
        folder = path / "trials" / trial.folder_under(record["schema"])
        if record["summary"]["status"] != Status.ERROR:
            curves.append(_read(folder / "curves.parquet").assign(**axes))
            flows.append(_read(folder / "flow.parquet").assign(**axes))
            if (folder / "diagnostics.parquet").is_file():
                diagnostics.append(_read(folder / "diagnostics.parquet").assign(**axes))
            if (folder / "lengths.parquet").is_file():
                lengths.append(_read(folder / "lengths.parquet").assign(**axes))
    return Results(
        path=path,
        task=task,
        trials=pd.DataFrame(rows)[TRIAL_COLUMNS].astype(_TYPES),
        curves=_join(curves, CURVE_COLUMNS),
        flow=_join(flows, FLOW_COLUMNS),
        diagnostics=_join(diagnostics, DIAGNOSTIC_COLUMNS),
        lengths=_join(lengths, LENGTH_COLUMNS),
        records=records,
    )


def _read(file: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(file)
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        raise _damaged(file, str(error).splitlines()[0]) from None


def _join(frames: list[pd.DataFrame], first: list[str]) -> pd.DataFrame:
    if not frames:
        return pd.DataFrame(columns=first)
    table = pd.concat(frames, ignore_index=True)
    table.attrs = next((frame.attrs for frame in frames if frame.attrs), {})
    return table[first + [name for name in table if name not in first]]


def _summary(record: dict[str, Any] | None) -> dict[str, Any]:
    if record is None:
        return dict.fromkeys(SUMMARY_COLUMNS) | {"status": Status.INTERRUPTED.value}
    summary = record["summary"]
    numbers = ("seconds", "loss", "score", "baseline", "baseline_score")
    told = {name: summary.get(name) for name in SUMMARY_COLUMNS}
    return told | {name: math.nan for name in numbers if told[name] is None}


def read_task(path: Path) -> Task | None:
    """The card that a run was started with; None where there is no run."""
    file = path / "task.toml"
    if not file.is_file():
        return None
    return cards.parse(file.read_text(encoding="utf-8", errors="replace"), str(file))


def read_finished(path: Path, trials: Iterable[Trial]) -> dict[str, dict[str, Any]]:
    """The records of those trials that have a result, by their folders; a trial that ended in error
    has none and is run again.

    Raises:
        InputError: see `read_record`.
    """
    records = {trial.folder: read_record(path, trial) for trial in trials}
    return {
        folder: record
        for folder, record in records.items()
        if record is not None and record["summary"]["status"] != Status.ERROR
    }


def read_record(path: Path, trial: Trial) -> dict[str, Any] | None:
    """What a finished trial's trial.json says; None if the trial has not finished.

    A trial of an earlier schema counts: its "schema" says so, and its folder is named after it.

    Raises:
        InputError: the file is damaged, or of a schema that this version can't read.
    """
    files = {
        schema: path / "trials" / trial.folder_under(schema) / "trial.json" for schema in READABLE
    }
    schema, file = next(((s, file) for s, file in files.items() if file.is_file()), (0, path))
    if not schema:
        return None
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        raise _damaged(file, "not JSON") from None
    if not isinstance(record, dict) or "schema" not in record:
        raise _damaged(file, "not a trial's record")
    if record["schema"] != schema:
        allowed = " and ".join(map(str, READABLE))
        raise InputError(
            f"{file}: schema = {record.get('schema')!r}\nallowed: {allowed}, which this version "
            "of seqbench reads"
        )
    status = record["summary"].get("status") if isinstance(record.get("summary"), dict) else None
    if record.get("key") != trial.key_under(schema) or status not in RECORDED:
        raise _damaged(file, "not this trial's record")
    return record


def _damaged(file: Path, what: str) -> InputError:
    return InputError(
        f"{file} is damaged: {what}\n"
        "remove its folder and run the task again to have the trial back"
    )


def as_parquet(frame: pd.DataFrame) -> bytes:
    """A table as the file that a trial keeps it in."""
    return frame.to_parquet(index=False, compression="zstd")


def write_trial(
    path: Path, trial: Trial, record: dict[str, Any], tables: Mapping[str, bytes]
) -> None:
    """Write a finished trial, trial.json last: there is all of it, or it has not finished.

    Args:
        record: summary, versions, machine; configuration and schema are added here.
        tables: name -> parquet, each becomes NAME.parquet.
    """
    folder = path / "trials" / trial.folder
    if not folder.resolve().is_relative_to(path.resolve()):
        raise InputError(f"{folder} leads out of {path}\nallowed: a folder that is no link")
    folder.mkdir(parents=True, exist_ok=True)
    for stray in folder.glob(".*.tmp"):  # of somebody who was killed while writing
        stray.unlink(missing_ok=True)
    for name, content in tables.items():
        write_atomically(folder / f"{name}.parquet", partial(Path.write_bytes, data=content))
    whole = {"schema": SCHEMA, "key": trial.key, "configuration": trial.model_dump(), **record}
    text = json.dumps(_without_nan(whole), indent=1, allow_nan=False)
    write_atomically(folder / "trial.json", lambda file: file.write_text(text, encoding="utf-8"))


def write_task(path: Path, task: Task) -> None:
    """Write a run's task.toml."""
    path.mkdir(parents=True, exist_ok=True)
    text = task.to_toml()
    write_atomically(path / "task.toml", lambda file: file.write_text(text, encoding="utf-8"))


def write_atomically(target: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a temporary file of its own beside the target, flush it, and rename it."""
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        write(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _without_nan(value: Any) -> Any:
    # JSON has no NaN; a number that is none is null.
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
