"""Trials on the workers of a Dask scheduler: `--dask ADDRESS`.

A task is one trial: as JSON and with the sources of the files that it names it goes to a Dask
worker, which runs it as this machine would, in a process of its own. What it leaves behind comes
back with the task's result; evaluations come as events of a topic, some seconds apart. Dask gives
the trials of a worker that is lost to another one.
"""

from __future__ import annotations

import queue
import time
import uuid
from collections.abc import Generator, Iterable
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

from seqbench.errors import InputError, reason, say, words
from seqbench.sweep.executors import Event, Finished, Job, Started, Stepped, on_cluster
from seqbench.sweep.executors.processes import failed

GPU = "GPU"  # the resource that a worker with one offers
PATIENCE = 30.0  # seconds until a scheduler answers
LOOK = 1.0  # seconds between two looks at who is there


class Cluster:
    """Runs jobs on the workers of a scheduler, as many as they have threads (on a GPU: as they
    offer resources of that name).

    Args:
        address: of the scheduler, tcp://HOST:PORT.
        most: how many at a time at most; None: as many as there is room for.
        timeout: seconds after which a trial is ended as an error; None: never.
    """

    def __init__(self, address: str, most: int | None, timeout: float | None) -> None:
        self.address, self.most, self.timeout = address, most, timeout
        self.jobs: dict[str, Job] = {}  # by the task's key
        self.told: queue.SimpleQueue[Any] = queue.SimpleQueue()  # futures that are done, events
        self.topic = f"seqbench-{uuid.uuid4().hex}"

    def run(self, jobs: Iterable[Job]) -> Generator[Event, None, None]:
        """See `Executor.run`.

        Raises:
            InputError: there is no such scheduler, or no longer; a worker is not what it must be.
        """
        waiting, futures, silent = iter(jobs), {}, False
        client = connect(self.address)
        try:
            client.subscribe_topic(self.topic, self.told.put)
            job = next(waiting, None)
            while job or self.jobs:
                while job and len(self.jobs) < self._most(slots(client, job.device)):
                    future = self._submit(client, job)
                    futures[future.key] = future
                    yield Started(job)
                    job = next(waiting, None)
                if not self.jobs and not silent:
                    what = f" with resources {GPU}=1" if job and job.device == "cuda" else ""
                    say(f"{self.address} has no workers{what} yet: waiting for them")
                    silent = True
                for told in self._heard():
                    if isinstance(told, Finished):
                        futures.pop(f"{self.topic}-{told.job.trial.key}", None)
                    yield told
        except OSError as error:
            raise InputError(
                f"--dask {self.address}: the scheduler is gone: {reason(error)}\n"
                "allowed: the same command again; what is finished is kept"
            ) from None
        finally:
            with suppress(Exception):  # a scheduler that is gone has no tasks
                client.cancel(list(futures.values()), force=True)
            client.close(timeout=LOOK)

    def _most(self, there: int) -> int:
        return min(there, self.most or there)

    def _submit(self, client: Any, job: Job) -> Any:
        key = f"{self.topic}-{job.trial.key}"
        self.jobs[key] = job
        resources = {GPU: 1} if job.device == "cuda" else None
        parcel = on_cluster.parcel(job, self.topic, self.timeout)
        future = client.submit(on_cluster.execute, parcel, key=key, pure=False, resources=resources)
        future.add_done_callback(self.told.put)
        return future

    def _heard(self) -> Generator[Event, None, None]:
        """What has come since; waits a moment for it."""
        told, deadline = [], time.monotonic() + LOOK
        with suppress(queue.Empty):
            told.append(self.told.get(timeout=LOOK))
            while time.monotonic() < deadline:
                told.append(self.told.get_nowait())
        for one in told:
            if isinstance(one, tuple):  # (time, what a worker said)
                said = one[1]
                if said["key"] in self.jobs:
                    yield Stepped(self.jobs[said["key"]], said["step"], said["loss"])
            elif one.key in self.jobs and not one.cancelled():
                yield self._ended(one)

    def _ended(self, future: Any) -> Finished:
        from distributed import KilledWorker

        job = self.jobs.pop(future.key)
        try:
            told = future.result(timeout=PATIENCE)
        except KilledWorker as error:
            return failed(job, f"its workers are gone: {reason(error)}")
        except Exception as error:  # before a trial was run: those come as records
            told = {"refused": f"a worker can't run trials: {words(error)}"}
        if "refused" in told:
            ours = ", ".join(f"{name} {version}" for name, version in on_cluster.versions().items())
            raise InputError(
                f"--dask {self.address}: {told['refused']}\nallowed: workers with {ours}"
            )
        record = told["record"] | {"cell": job.trial.cell.source}
        return Finished(job, record, told["tables"], told["by_itself"])


def connect(address: str) -> Any:
    """A client of the scheduler there.

    Raises:
        InputError: nobody answers, or the package is not installed.
    """
    if not find_spec("distributed"):
        raise InputError(
            f"--dask {address}: the package distributed is not installed\n"
            "allowed: after pip install 'seqbench[cluster]'"
        )
    from distributed import Client

    try:
        return Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"--dask {address}: no scheduler answers there: {reason(error)}\n"
            "allowed: the address of a running one, as in tcp://127.0.0.1:8786"
        ) from None


def room(address: str, device: str) -> int:
    """How many trials there is room for, on the workers that are there now."""
    client = connect(address)
    try:
        return slots(client, device)
    finally:
        client.close()


def slots(client: Any, device: str) -> int:
    """See `room`."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    if device == "cuda":
        return sum(int(worker["resources"].get(GPU, 0)) for worker in workers)
    return sum(worker["nthreads"] for worker in workers)
