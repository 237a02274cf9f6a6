"""The seam between a sweep and where its trials are run: jobs in, an iterator of events out.

An executor neither knows a run's folder nor writes to it: what a trial leaves behind comes back in
its last event.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from seqbench.card.task import Trial


@dataclass(frozen=True)
class Job:
    """A trial to be run.

    Attributes:
        trial: its names are looked up.
        device: "cpu" or "cuda".
        checkpoint: what the trial said of itself in a `Saved`, to go on from; empty: none.
    """

    trial: Trial
    device: str = "cpu"
    checkpoint: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Started:
    """A worker has the job."""

    job: Job


@dataclass(frozen=True)
class Stepped:
    """The model has been evaluated after so many training steps."""

    job: Job
    step: int
    loss: float


@dataclass(frozen=True)
class Resumed:
    """The job goes on from its checkpoint, after so many training steps; or the checkpoint is of no
    use, for which it says why, and the job starts anew."""

    job: Job
    step: int
    fault: str = ""


@dataclass(frozen=True)
class Saved:
    """What the job can go on from, should it be stopped; empty where its state can't be kept, with
    the reason."""

    job: Job
    checkpoint: bytes
    fault: str = ""


@dataclass(frozen=True)
class Finished:
    """The job has ended, whatever became of it.

    Attributes:
        record: what trial.json will say: summary, and where the numbers come from.
        tables: name -> parquet; none where the trial ended in error.
        by_itself: it was not ended from outside, and no checkpoint is of use any more.
    """

    job: Job
    record: dict[str, Any]
    tables: Mapping[str, bytes] = field(default_factory=dict)
    by_itself: bool = True


Event = Started | Stepped | Resumed | Saved | Finished


class Executor(Protocol):
    """Runs jobs somewhere."""

    def run(self, jobs: Iterable[Job]) -> Generator[Event, None, None]:
        """Every job is started and finished once, in any order; closing the iterator ends what is
        still running. Jobs are taken as workers become free."""
        ...
