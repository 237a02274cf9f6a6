"""The files of a run: read, checked, written."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from seqbench.card import task as cards
from seqbench.card.task import SCHEMA, Task, Trial
from seqbench.errors import InputError
from seqbench.results import schema

# What this version reads. It writes the first; the others' numbers were made by other code, whose
# rounding was another: 1 by torch's own layers on the CPU, the flow in float32.
READABLE = (SCHEMA, 1)
CHECKSUM = "checksum"  # the key of a record's own; records of before there was one have none
LARGEST = 64 << 20  # bytes of a trial.json or task.toml


class Damaged(InputError):
    """A trial's file that is none of ours, or no longer."""

    def __init__(self, file: Path, what: str) -> None:
        super().__init__(
            f"{file} is damaged: {what}\nallowed: to run the task again, to have the trial back"
        )


def read_task(path: Path) -> Task | None:
    """The card that a run was started with; None where there is no run."""
    file = path / "task.toml"
    if not file.is_file():
        return None
    if file.stat().st_size > LARGEST:
        raise InputError(f"{file} is too large for a task card\nallowed: at most {LARGEST:,} bytes")
    return cards.parse(file.read_text(encoding="utf-8", errors="replace"), str(file))


def read_record(
    path: Path, trial: Trial, copy: Callable[[Path], str | None] = lambda file: None
) -> dict[str, Any] | None:
    """What a finished trial's trial.json says; None if the trial has not finished.

    A trial of an earlier schema counts: its "schema" says so, and its folder is named after it.

    Args:
        copy: the file's text, where one has been kept elsewhere.

    Raises:
        InputError: it is of a schema that this version can't read.
        Damaged: it is torn, or says what can't be.
    """
    files = ((n, path / "trials" / trial.folder_under(n) / "trial.json") for n in READABLE)
    number, file = next(((n, file) for n, file in files if file.is_file()), (0, path))
    if not number:
        return None
    try:
        record = json.loads(copy(file) or _text(file))
    except (ValueError, RecursionError):
        raise Damaged(file, "not JSON") from None
    if not isinstance(record, dict) or type(record.get("schema")) is not int:
        raise Damaged(file, "not a trial's record")
    if record["schema"] != number:
        allowed = " and ".join(map(str, READABLE))
        raise InputError(
            f"{file}: schema = {record['schema']!r}\nallowed: {allowed}, which this version "
            "of seqbench reads"
        )
    if record.get("key") != trial.key_under(number):
        raise Damaged(file, "not this trial's record")
    try:
        schema.Record.model_validate(record)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Damaged(file, f"{where}: {first['msg']}") from None
    if number == SCHEMA and CHECKSUM in record and record[CHECKSUM] != checksum(record):
        raise Damaged(file, "it does not say what was written")
    return record


def _text(file: Path) -> str:
    if file.stat().st_size > LARGEST:
        raise ValueError("too large")
    return file.read_text(encoding="utf-8")


def set_aside(path: Path, trial: Trial) -> None:
    """Keep what lies where a trial is to be written, under another name."""
    folder = path / "trials" / trial.folder
    if folder.exists():
        folder.rename(folder.with_name(f"{folder.name}.damaged-{uuid.uuid4().hex[:6]}"))


def as_parquet(frame: pd.DataFrame) -> bytes:
    """A table as the file that a trial keeps it in."""
    return frame.to_parquet(index=False, compression="zstd", write_page_checksum=True)


def from_parquet(content: bytes) -> pd.DataFrame:
    """The inverse. On one thread: Arrow's own may abort a process that ends while they do
    (github.com/apache/arrow/issues/34314)."""
    return pd.read_parquet(io.BytesIO(content), use_threads=False)


def remove_strays(folder: Path) -> None:
    """What somebody left behind who was killed while writing; nobody may be writing there now."""
    for stray in folder.glob(".*.tmp"):
        stray.unlink(missing_ok=True)


def folder_of(path: Path, trial: Trial) -> Path:
    """Where a trial is to be written.

    Raises:
        InputError: it is a link out of the run.
    """
    folder = path / "trials" / trial.folder
    if not folder.resolve().is_relative_to(path.resolve()):
        raise InputError(f"{folder} leads out of {path}\nallowed: a folder that is no link")
    return folder


def write_trial(
    path: Path, trial: Trial, record: dict[str, Any], tables: Mapping[str, bytes]
) -> None:
    """Write a finished trial, trial.json last: there is all of it, or it has not finished.

    Args:
        record: summary, versions, machine; configuration and schema are added here.
        tables: name -> parquet, each becomes NAME.parquet.
    """
    folder = folder_of(path, trial)
    folder.mkdir(parents=True, exist_ok=True)
    remove_strays(folder)
    for name, content in tables.items():
        write_atomically(folder / f"{name}.parquet", partial(Path.write_bytes, data=content))
    whole = {"schema": SCHEMA, "key": trial.key, "configuration": trial.model_dump(), **record}
    whole = _without_nan(whole)
    text = json.dumps(whole | {CHECKSUM: checksum(whole)}, indent=1, allow_nan=False)
    write_atomically(folder / "trial.json", lambda file: file.write_text(text, encoding="utf-8"))


def checksum(record: Mapping[str, Any]) -> str:
    """Of what a record says, however it is set out; without the checksum in it."""
    said = {name: value for name, value in record.items() if name != CHECKSUM}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def write_task(path: Path, task: Task) -> None:
    """Write a run's task.toml."""
    path.mkdir(parents=True, exist_ok=True)
    text = task.to_toml()
    write_atomically(path / "task.toml", lambda file: file.write_text(text, encoding="utf-8"))


def write_atomically(target: Path, write: Callable[[Path], object]) -> None:
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
