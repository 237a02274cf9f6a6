"""Trials in worker processes on this machine, each in a process of its own."""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from seqbench.sweep import provenance
from seqbench.sweep.executors import Event, Finished, Job, Saved, Started, server
from seqbench.sweep.executors.child import Child
from seqbench.sweep.worker import heard, request

LOOK = 1.0  # seconds
TRIES = 2  # a worker that dies costs its trial one more


@dataclass
class _Attempt:
    """A job and the process that has it."""

    job: Job
    number: int
    child: Child
    deadline: float
    last: Finished | None = field(default=None)


class Processes:
    """Runs jobs in worker processes.

    Args:
        count: how many at a time.
        timeout: seconds after which a trial is ended as an error; None: never.
        function: what they do; takes the request of a job, its last message has "record".
        wanted: asked every second: whether to go on; None: to the end.
    """

    def __init__(
        self,
        count: int,
        timeout: float | None = None,
        function: str = "seqbench.sweep.worker:work",
        wanted: Callable[[], bool] | None = None,
    ) -> None:
        self.count, self.timeout, self.function, self.wanted = count, timeout, function, wanted
        self.attempts: list[_Attempt] = []
        self.selector = selectors.DefaultSelector()

    def run(self, jobs: Iterable[Job]) -> Generator[Event, None, None]:
        """See `Executor.run`."""
        waiting = iter(jobs)
        try:
            while self.wanted is None or self.wanted():
                while len(self.attempts) < self.count and (job := next(waiting, None)):
                    self._start(job, 1)
                    yield Started(job)
                if not self.attempts:
                    return
                yield from self._listen()
                for attempt in list(self.attempts):
                    yield from self._settle(attempt)
        finally:
            for attempt in list(self.attempts):
                self._end(attempt)

    def _start(self, job: Job, number: int) -> None:
        how = server.FRESH if job.device == "cuda" else server.TRAIN
        child = Child(self.function, request(job), how)
        deadline = time.monotonic() + self.timeout if self.timeout else float("inf")
        attempt = _Attempt(job, number, child, deadline)
        self.attempts.append(attempt)
        for channel, read in child.channels().items():
            self.selector.register(channel, selectors.EVENT_READ, (attempt, read))

    def _end(self, attempt: _Attempt) -> None:
        for channel in attempt.child.channels():
            self.selector.unregister(channel)
        attempt.child.close()
        self.attempts.remove(attempt)

    def _listen(self) -> Iterator[Event]:
        """Wait for what the workers say, or for the first deadline."""
        first = min(attempt.deadline for attempt in self.attempts)
        patience = max(0.0, first - time.monotonic())
        if self.wanted:
            patience = min(patience, LOOK)
        for key, _ in self.selector.select(None if patience == float("inf") else patience):
            attempt, read = key.data
            if attempt.child.ended is None:
                for message in read():
                    if "complete" not in message[0]:
                        yield from self._heard(attempt, heard(attempt.job, message))

    def _heard(self, attempt: _Attempt, event: Event) -> Iterator[Event]:
        match event:
            case Finished():
                attempt.last = event
                return
            case Saved(_, checkpoint) if checkpoint:  # another try goes on from there
                attempt.job = replace(attempt.job, checkpoint=checkpoint)
        yield event

    def _settle(self, attempt: _Attempt) -> Iterator[Event]:
        """What becomes of a job whose worker has finished, died or run out of time."""
        late = time.monotonic() >= attempt.deadline
        if attempt.last is None and attempt.child.ended is None and not late:
            return
        self._end(attempt)
        if attempt.last is not None:
            yield attempt.last
        elif late:
            yield failed(attempt.job, f"no result after {self.timeout:g} s (--timeout)")
        elif attempt.number < TRIES:
            self._start(attempt.job, attempt.number + 1)
        else:
            how = attempt.child.ended or "its worker ended without a result"
            yield failed(attempt.job, f"{how} (tried {attempt.number} times)")


def failed(job: Job, error: str) -> Finished:
    """What a job leaves behind whose worker left nothing."""
    record: dict[str, Any] = {"summary": {"status": "error", "error": error}}
    return Finished(job, record | {"versions": provenance.versions()}, by_itself=False)


def cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def can_start() -> bool:
    """Whether this system can start worker processes as we do."""
    return hasattr(os, "fork")
