"""What a Dask worker does with a trial: the same as this machine would, if its versions are."""

from __future__ import annotations

import hashlib
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

from seqbench import plugins
from seqbench.card.task import Trial
from seqbench.sweep import provenance
from seqbench.sweep.executors import Finished, Job, Stepped
from seqbench.sweep.executors.processes import Processes
from seqbench.sweep.worker import request

COMPARED = ("seqbench", "torch", "numpy", "numba")  # what numbers depend on, and our own code
EVENTS = 5.0  # seconds between two evaluations that a worker tells of


def parcel(job: Job, topic: str, timeout: float | None) -> dict[str, Any]:
    """All that `execute` needs of a job, for a machine that has none of our files."""
    return {
        "key": f"{topic}-{job.trial.key}",
        "topic": topic,
        "timeout": timeout,
        "versions": versions(),
        "files": _files(job.trial),
        **request(job),
    }


def _files(trial: Trial) -> dict[str, bytes]:
    """The files that a trial names classes of, by their paths."""
    paths = {str(table.source).rpartition(":")[0] for table in trial.named()}
    return {path: Path(path).read_bytes() for path in paths if path.endswith(".py")}


@cache
def versions() -> dict[str, str]:
    """What has to be the same here and on a worker; seqbench with a hash of its files."""
    told, home = provenance.versions(), Path(plugins.__file__).parent
    files = sorted(home.rglob("*.py"))
    code = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:8]
    found = {name: told[name] for name in COMPARED if name in told}
    return found | {"seqbench": f"{told['seqbench']} ({code})"}


def execute(asked: dict[str, Any]) -> dict[str, Any]:
    """Run the trial of a parcel.

    Returns:
        record and tables; or refused: why not.
    """
    from distributed import get_worker

    different = [
        f"{name} {versions().get(name, 'missing')}"
        for name, version in asked["versions"].items()
        if versions().get(name) != version
    ]
    worker, key = get_worker(), asked["key"]
    if different:
        return {"refused": f"the worker {worker.address} has {', '.join(different)}"}

    def is_wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state == "executing"

    with tempfile.TemporaryDirectory() as folder:
        job = Job(_trial(asked, Path(folder)), asked["device"], asked["checkpoint"])
        last, spoken = None, 0.0
        for event in Processes(1, asked["timeout"], wanted=is_wanted).run([job]):
            if isinstance(event, Stepped) and time.monotonic() - spoken > EVENTS:
                worker.log_event(
                    asked["topic"], {"key": key, "step": event.step, "loss": event.loss}
                )
                spoken = time.monotonic()
            elif isinstance(event, Finished):
                last = event
    if last is None:
        return {"refused": "the trial was cancelled"}
    return {"record": last.record, "tables": dict(last.tables), "by_itself": last.by_itself}


def _trial(asked: dict[str, Any], folder: Path) -> Trial:
    """A parcel's trial, the files of its classes written into a folder."""
    files = asked["files"]
    here = {path: folder / str(i) / Path(path).name for i, path in enumerate(files)}
    for path, file in here.items():
        file.parent.mkdir()
        file.write_bytes(files[path])
    found = {}
    for where, source in asked["sources"].items():
        path, _, name = source.rpartition(":")
        found[where] = f"{here[path]}:{name}" if path in here else source
    return Trial.model_validate(asked["trial"]).standing_for(found)
