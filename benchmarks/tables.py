"""The tables there are, by the name that --only takes."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks import (
    draws,
    gpu,
    memory,
    parts,
    recomputed,
    recording,
    startup,
    steps,
    together,
    trials,
)
from benchmarks.timing import Table

TABLES: dict[str, Callable[[bool], Table]] = {
    "startup": startup.measure,
    "steps": steps.measure,
    "parts": parts.measure,
    "long": memory.measure,
    "recomputed": recomputed.measure,
    "trial": trials.overhead,
    "workers": trials.workers,
    "recording": recording.measure,
    "draws": draws.measure,
    "together": together.measure,
    "gpu": gpu.steps,
    "gpu-trials": gpu.trials,
}
