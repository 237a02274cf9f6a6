"""A trial's diagnostics, each at its moments; what they say, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from seqbench import plugins
from seqbench.card.task import Diagnostic, Trial
from seqbench.errors import InputError
from seqbench.measure.diagnostics.moment import Moment

COLUMNS = ["step", "diagnostic", "quantity", "index", "value"]


@dataclass
class Instrument:
    """One diagnostic and its schedule.

    Attributes:
        label: what the results call it.
        measure: the diagnostic itself.
        every: training steps between two calls; None: at every moment of its kind.
        at_steps: called in training steps, not at records.
    """

    label: str
    measure: Any
    every: int | None
    at_steps: bool

    def due(self, step: int) -> bool:
        """Whether its schedule has this step."""
        return self.every is None or step % self.every == 0


def make(asked: Sequence[Diagnostic], problem: Any) -> list[Instrument]:
    """The diagnostics that a card names, looked up, each made.

    Raises:
        InputError: an option's value that it refuses, or it means nothing for this problem.
    """
    made = []
    for one in asked:
        try:
            measure = plugins.load(one.source)(**one.options)
        except InputError as error:
            raise InputError(f"{one.where}: {error}") from None
        if not callable(measure):
            raise InputError(
                f"{one.where}: a {type(measure).__name__} can't be called\n"
                "allowed: a class whose objects can, see docs/task-cards.md"
            )
        if getattr(measure, "over_time", False) and problem.steps == 1:
            raise InputError(
                f"{one.where}: it looks at steps of time, and the problem shows all at once\n"
                "allowed: for networks in depth learning_speed, gradient_norm, signal_to_noise"
            )
        if hasattr(measure, "check"):
            measure.check(problem)
        when = getattr(measure, "when", "record")
        if when not in ("record", "step"):
            raise InputError(f"{one.where}: when = {when!r}\nallowed: 'record', 'step'")
        made.append(Instrument(one.label, measure, one.every, when == "step"))
    return made


class Readings:
    """What a trial's instruments have said so far."""

    def __init__(self, instruments: Sequence[Instrument], trial: Trial) -> None:
        self.instruments = instruments
        self.pictures = {one.label: _pictures(one, trial) for one in instruments}
        self.taken: list[tuple[int, str, str, Any]] = []  # step, diagnostic, quantity, value
        self.waiting: list[tuple[int, str, str, Any]] = []  # the same, values still on the device
        self.done: set[tuple[str, int]] = set()
        self.before: pd.DataFrame | None = None  # what was taken before the trial was resumed

    def state(self) -> dict[str, Any]:
        """What `restore` takes, for a trial that goes on later; less the instruments' own."""
        waiting = _joined(_moved(self.waiting))
        return {"taken": self._taken(), "waiting": waiting, "done": self.done}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.before, self.done = state["taken"], state["done"]
        axes = ["step", "diagnostic", "quantity"]
        self.waiting = [
            (*key, part.set_index("index")["value"])
            for key, part in state["waiting"].groupby(axes, sort=False)
        ]

    def at_record(self, moment: Moment, *, flow: bool, last: bool = False) -> None:
        """Call those that look at the probe batch and whose time it is, once a step each.

        Args:
            flow: the flow is recorded here; those without a schedule of their own are called.
            last: the trial has ended; all are called.
        """
        for one in self.instruments:
            now = last or (one.due(moment.step) if one.every else flow)
            if one.at_steps or not now or (one.label, moment.step) in self.done:
                continue
            self.done.add((one.label, moment.step))
            self.taken += _rows(one, moment)

    def after_backward(self, moment: Moment) -> None:
        """Call those that look at every training step."""
        for one in self.instruments:
            if one.at_steps and one.due(moment.step):
                self.waiting += _rows(one, moment)

    def gather(self) -> None:
        """Move what waits on the device, all at once."""
        self.taken += _moved(self.waiting)
        self.waiting = []

    def table(self) -> pd.DataFrame:
        """All readings: step, diagnostic, quantity, index (a lag, a rank, or 0), value; in
        attrs["pictures"] how each diagnostic is drawn: label -> its Pictures as JSON."""
        self.gather()
        table = self._taken().sort_values("step", kind="stable", ignore_index=True)
        table.attrs["pictures"] = self.pictures  # parquet keeps them beside the readings
        return table

    def _taken(self) -> pd.DataFrame:
        table = _joined(self.taken)
        return table if self.before is None else pd.concat([self.before, table], ignore_index=True)


def _moved(rows: list[tuple[int, str, str, Any]]) -> list[tuple[int, str, str, Any]]:
    """The same, all tensors moved from the device at once."""
    tensors = [value for *_, value in rows if isinstance(value, Tensor)]
    if not tensors:
        return rows
    flat = torch.cat([tensor.double().reshape(-1) for tensor in tensors]).cpu()
    moved = iter(flat.split([tensor.numel() for tensor in tensors]))
    return [
        (*axes, next(moved).view(value.shape) if isinstance(value, Tensor) else value)
        for *axes, value in rows
    ]


def _joined(rows: list[tuple[int, str, str, Any]]) -> pd.DataFrame:
    """Readings as a table, in their order."""
    columns: dict[str, list[np.ndarray]] = {name: [] for name in COLUMNS}
    for step, label, quantity, value in rows:
        index, numbers = _series(value)
        for name, entry in zip(COLUMNS[:3], (step, label, quantity), strict=True):
            columns[name].append(np.full(len(numbers), entry, object))
        columns["index"].append(index)
        columns["value"].append(numbers)
    joined = {name: np.concatenate(parts or [np.empty(0)]) for name, parts in columns.items()}
    types = {"diagnostic": "str", "quantity": "str", "step": "int64", "index": "int64"}
    return pd.DataFrame(joined).astype(types | {"value": "float64"})


def _pictures(one: Instrument, trial: Trial) -> list[str]:
    if not hasattr(one.measure, "pictures"):
        return []
    return [picture.model_dump_json() for picture in one.measure.pictures(trial)]


def _rows(one: Instrument, moment: Moment) -> list[tuple[int, str, str, Any]]:
    said = one.measure(moment)
    if not isinstance(said, Mapping):
        raise TypeError(
            f"diagnostic {one.label} returned {type(said).__name__}; allowed: a dict of numbers"
        )
    return [(moment.step, one.label, str(quantity), value) for quantity, value in said.items()]


def _series(value: Any) -> tuple[np.ndarray, np.ndarray]:
    """Index and numbers of a value: a series keeps its index, all else is counted from 0."""
    if isinstance(value, pd.Series):
        return value.index.to_numpy(), value.to_numpy(float)
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    numbers = np.atleast_1d(np.asarray(value, float)).ravel()
    return np.arange(len(numbers)), numbers
