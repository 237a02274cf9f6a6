"""What a sweep expects of itself, kept in its folder for whoever asks from another terminal.

runs/adding/.outlook.json     written every few seconds while trials run, and left behind by a
                              sweep that was stopped
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveInt, ValidationError

from seqbench.card.task import Trial
from seqbench.results import write_atomically
from seqbench.sweep.forecast import Cost, Forecast

FILE = ".outlook.json"


class Outlook(BaseModel):
    """An estimate, and what it was made of.

    Attributes:
        at: when, in seconds since 1970.
        left: seconds, at most; None: not known yet.
        workers: trials at a time.
        costs: kind of trial -> what it costs, corrected by what trials have taken.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    at: float
    left: NonNegativeFloat | None
    workers: PositiveInt
    costs: dict[str, dict[str, NonNegativeFloat]]

    def left_now(self) -> float | None:
        """Seconds from now on, while the sweep runs."""
        if self.left is None:
            return None
        return max(0.0, self.left - max(0.0, time.time() - self.at))

    def left_of(self, trials: list[Trial]) -> float | None:
        """Seconds that these trials take from their beginning, at most."""
        known = {kind: Cost(**cost) for kind, cost in self.costs.items()}
        return Forecast(trials, known, self.workers).left() if known else None


def write(path: Path, forecast: Forecast) -> None:
    """Keep a forecast in a run's folder; where that can't be, nothing stops."""
    left = forecast.left()
    costs = {} if left is None else forecast.corrected()
    told = Outlook(
        at=time.time(),
        left=left,
        workers=forecast.workers,
        costs={kind: vars(cost) for kind, cost in costs.items()},
    )
    with suppress(OSError):
        write_atomically(path / FILE, lambda file: file.write_text(told.model_dump_json()))


def read(path: Path) -> Outlook | None:
    """What is kept there; None where there is nothing, or nothing that can be."""
    try:
        return Outlook.model_validate_json((path / FILE).read_text("utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError):
        return None


def drop(path: Path) -> None:
    """There is nothing left to expect."""
    with suppress(OSError):
        (path / FILE).unlink(missing_ok=True)
