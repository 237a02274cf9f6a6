"""Runs trials: here, or as `python -m seqbench.sweep.worker`, one JSON job a line on stdin.

A worker is a fresh interpreter that knows nothing of whoever started it: a job holds the trial's
configuration and the cell's resolved spec. It answers with JSON lines on stdout, and ends when its
stdin does, in the middle of a trial too, so that no worker outlives its sweep.
"""

from __future__ import annotations

import json
import os
import platform
import queue
import sys
import threading
import traceback
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from seqbench import plugins, results
from seqbench.card.status import Status
from seqbench.card.task import Trial
from seqbench.sweep.plan import origins
from seqbench.training import loop as training


def execute(
    path: Path,
    trial: Trial,
    cell: type | str,
    device: str,
    progress: Callable[[int, float], None] = lambda step, loss: None,
) -> dict[str, Any]:
    """Run one trial and write it down, whatever becomes of it.

    Args:
        path: the run's folder.
        cell: the class, or its resolved spec.
        progress: called with (step, loss) at every evaluation.

    Returns:
        The summary; status "error" and the message if the trial raised.
    """
    record: dict[str, Any] = {"cell": cell if isinstance(cell, str) else "given as a class"}
    frames: dict[str, Any] = {}
    try:
        cls = plugins.load(cell) if isinstance(cell, str) else cell
        label = trial.cell.label
        record["origins"] = origins({label: cell}, trial.problem, trial.recording, _origin)
        outcome = training.run(trial, cls, device=device, progress=progress)
        record["summary"] = outcome.summary
        frames = {"curves": outcome.curves, "flow": outcome.flow}
        if len(outcome.diagnostics):
            frames["diagnostics"] = outcome.diagnostics
    except Exception as error:
        message = _printable(plugins.own_words(error))
        record["summary"] = {"status": Status.ERROR, "error": message}
        record["traceback"] = _printable(traceback.format_exc())
    record |= {"versions": versions(), "machine": machine(device)}
    results.write_trial(path, trial, record, frames)
    return record["summary"]


# Once a process, as a module is imported: what is edited later is not what is run here.
_origin = cache(plugins.origin)


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def versions() -> dict[str, str]:
    """What the numbers may depend on."""
    from seqbench import __version__

    packages = {name: version(name) for name in ("torch", "numpy", "pandas")}
    return {"seqbench": __version__, "python": platform.python_version(), **packages}


def machine(device: str) -> dict[str, Any]:
    """The kind of machine, without its name."""
    import torch

    told = {
        "system": platform.system(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "vector_instructions": torch.backends.cpu.get_cpu_capability(),
        "device": device,
    }
    if device == "cuda":
        told["gpu"] = torch.cuda.get_device_name()
    return told


def main() -> None:
    """Serve jobs until stdin ends."""
    # What a cell prints must not end up among the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    jobs: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            jobs.put(line)
        os._exit(0)

    def answer(**message: Any) -> None:
        answers.write(json.dumps(message) + "\n")

    threading.Thread(target=read, daemon=True).start()
    while True:
        job = json.loads(jobs.get())
        summary = execute(
            Path(job["path"]),
            Trial.model_validate(job["trial"]),
            job["cell"],
            job["device"],
            lambda step, loss: answer(step=step, loss=loss),
        )
        answer(status=summary["status"], summary=summary)


if __name__ == "__main__":
    main()
