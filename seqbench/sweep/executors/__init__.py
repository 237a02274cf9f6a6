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
    """

    trial: Trial
    device: str = "cpu"


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
class Finished:
    """The job has ended, whatever became of it.

    Attributes:
        record: what trial.json will say: summary, and where the numbers come from.
        tables: name -> parquet; none where the trial ended in error.
    """

    job: Job
    record: dict[str, Any]
    tables: Mapping[str, bytes] = field(default_factory=dict)


Event = Started | Stepped | Finished


class Executor(Protocol):
    """Runs jobs somewhere."""

    def run(self, jobs: Iterable[Job]) -> Generator[Event, None, None]:
        """Every job is started and finished once, in any order; closing the iterator ends what is
        still running. Jobs are taken as workers become free."""
        ...
