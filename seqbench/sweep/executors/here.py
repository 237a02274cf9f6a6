"""Trials in this process, one after the other: for classes that only this process has."""

from __future__ import annotations

from collections.abc import Generator, Iterable

from seqbench.sweep.executors import Event, Job, Started
from seqbench.sweep.worker import execute


class Here:
    """Runs jobs in this process."""

    def run(self, jobs: Iterable[Job]) -> Generator[Event, None, None]:
        """See `Executor.run`."""
        for job in jobs:
            yield Started(job)
            yield from execute(job)
