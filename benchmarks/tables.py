"""The tables there are, by the name that --only takes."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks import draws, gpu, kernels, memory, recording, startup, steps, trials
from benchmarks.timing import Table

TABLES: dict[str, Callable[[bool], Table]] = {
    "startup": startup.measure,
    "steps": steps.cpu,
    "kernels": kernels.measure,
    "compiled": steps.compiled,
    "long": memory.measure,
    "trial": trials.overhead,
    "workers": trials.workers,
    "recording": recording.measure,
    "lengths": steps.lengths,
    "draws": draws.measure,
    "gpu": gpu.steps,
    "gpu-trials": gpu.trials,
}
