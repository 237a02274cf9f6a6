"""The engine's kernels, by numba and by numpy, against torch's layers."""

from __future__ import annotations

import time
from collections.abc import Callable
from unittest.mock import patch

from benchmarks import sides
from benchmarks.sides import KINDS, Work
from benchmarks.timing import Row, Table, interleaved, one_thread, ratio
from seqbench.engine import kernels, steps_numpy

WORKS = [(100, 64, 64), (200, 64, 64), (200, 50, 128), (1000, 64, 128)]


def measure(quick: bool) -> Table:
    """One training step by each, CPU time."""
    table = Table("The engine's kernels")
    for T, B, H in [(20, 4, 8)] if quick else WORKS:
        for kind in KINDS:
            work = Work(kind, T, B, H, 2)
            step = sides.ours_without_norms(work, work.cut())
            each = {
                "kernel, numba": step,
                "kernel, numpy": _patched(step, "form", lambda: steps_numpy),
                "torch's layer in segments": _patched(step, "run", _as_it_is),
            }
            with one_thread():
                taken = interleaved(
                    each | {"bare": sides.bare(work)},
                    seconds=0 if quick else 10,
                    fewest=2 if quick else 5,
                    clock=time.process_time,
                )
            for side in each:
                value, spread = ratio(taken[side], taken["bare"])
                table.rows.append(Row(str(work), side, "torch layer", value, spread=spread))
    table.notes.append("CPU time: others may have been using the machine; see `load`.")
    return table


def _as_it_is(layer, x_TBI, state):
    return layer(x_TBI, state)


def _patched(step: Callable, name: str, by: Callable) -> Callable:
    def run():
        with patch.object(kernels, name, by):
            return step()

    return run
