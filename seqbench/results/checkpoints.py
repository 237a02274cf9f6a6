"""A trial's checkpoint: the file `checkpoint` in its folder, gone once the trial has ended.

A line of JSON that says what it belongs to, and bytes that only training understands.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from seqbench.card.task import Trial
from seqbench.results import read_finished
from seqbench.results.files import folder_of, write_atomically

FILE = "checkpoint"
FORMAT = 1  # of what training keeps: raise it when older states can't be gone on from
LONGEST = 1 << 20  # bytes of its first line


class Head(BaseModel):
    """The first line of a checkpoint; see `seal`."""

    model_config = ConfigDict(strict=True)

    format: int
    key: str
    step: int
    resumed: list[int]
    digest: str
    about: dict[str, Any]


class Unfit(Exception):
    """A checkpoint that a trial can't go on from; its message says why."""


def seal(
    trial: Trial, step: int, payload: bytes, about: dict[str, Any], resumed: list[int]
) -> bytes:
    """A checkpoint's bytes.

    Args:
        step: training steps taken.
        payload: the trial's state.
        about: what else its numbers depend on, and what must be the same where it goes on.
        resumed: the steps at which it was gone on from others before.
    """
    head = {"format": FORMAT, "key": trial.key, "step": step, "resumed": resumed}
    head |= {"digest": hashlib.sha256(payload).hexdigest(), "about": about}
    return json.dumps(head).encode() + b"\n" + payload


def unseal(content: bytes, trial: Trial, about: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """The head and the state of a checkpoint.

    Raises:
        Unfit: it is torn, another trial's, or of other code or another device.
    """
    head = _head(content[:LONGEST])
    payload = content[content.index(b"\n") + 1 :] if head else b""
    if not head or head["digest"] != hashlib.sha256(payload).hexdigest():
        raise Unfit("it is damaged")
    if head["format"] != FORMAT:
        raise Unfit("it is of another version of seqbench")
    if head["key"] != trial.key:
        raise Unfit("it is another trial's")
    for name in about:
        if head["about"].get(name) != about[name]:
            raise Unfit(f"it was made with another {name}")
    return head, payload


def read_checkpoint(path: Path, trial: Trial) -> bytes:
    """The bytes of a trial's checkpoint; none where it has none."""
    file = _file(path, trial)
    return file.read_bytes() if file.is_file() else b""


def saved_steps(path: Path, trial: Trial) -> list[int]:
    """The training steps at which a trial was resumed, and the one that it would go on from; none
    where it has no checkpoint."""
    try:
        with open(_file(path, trial), "rb") as file:
            head = _head(file.readline(LONGEST))
    except OSError:
        return []
    return [*head["resumed"], head["step"]] if head else []


def write_checkpoint(path: Path, trial: Trial, content: bytes) -> None:
    """Put a checkpoint in the place of the one before."""
    folder = folder_of(path, trial)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / FILE, partial(Path.write_bytes, data=content))


def drop_checkpoint(path: Path, trial: Trial) -> None:
    """The trial has ended."""
    _file(path, trial).unlink(missing_ok=True)


def drop_leftovers(path: Path, trials: Iterable[Trial]) -> None:
    """The checkpoints of trials that have a result, left by whoever was killed just then."""
    for trial in trials:
        if _file(path, trial).is_file() and read_finished(path, [trial], []):
            drop_checkpoint(path, trial)


def set_checkpoint_aside(path: Path, trial: Trial) -> Path:
    """Keep it under another name, which is returned."""
    file = _file(path, trial)
    return file.rename(file.with_name(f"{FILE}.unfit-{uuid.uuid4().hex[:6]}"))


def _file(path: Path, trial: Trial) -> Path:
    return path / "trials" / trial.folder / FILE


def _head(content: bytes) -> dict[str, Any] | None:
    line, end, _ = content.partition(b"\n")
    try:
        head = json.loads(line) if end else None
    except (ValueError, RecursionError):
        return None
    try:
        return Head.model_validate(head).model_dump()
    except ValidationError:
        return None
