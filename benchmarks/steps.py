"""One training step: the engine's kernels against torch's layer and jax, and where its time goes.

CPU time, since others may be using the machine.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import torch

from benchmarks import sides
from benchmarks.sides import KINDS, Step, Work
from benchmarks.timing import Row, Table, one_thread, ratio
from seqbench.engine import kernels, steps_numpy

# T, B, H
WORKS = [
    (50, 64, 64), (100, 64, 64), (200, 64, 64), (400, 64, 64), (100, 50, 128), (200, 50, 128),
    (1000, 64, 128), (75, 20, 40), (784, 100, 128), (200, 64, 256),
]  # fmt: skip
TINY = [(20, 4, 8)]
BOUNDARIES = 2  # at least, at which the kernels' side also gives the gradient's norm
OURS, NUMPY, TORCH, AS_IT_COMES, JAX = (
    "kernels", "kernels by numpy", "torch layer", "torch layer, glibc's allocator", "jax.lax.scan",
)  # fmt: skip

Side = Callable[[], float]  # one step -> its CPU seconds


def measure(quick: bool) -> Table:
    """Every work in one run, side after side in turn."""
    table = Table("One training step on a CPU")
    for T, B, H in TINY if quick else WORKS:
        for kind in KINDS:
            _rows(table, Work(kind, T, B, H, BOUNDARIES), quick)
    if not any(row.against == JAX for row in table.rows):
        table.notes.append('Against jax: not measured, jax is not installed ("benchmarks" extra).')
    table.notes += [
        "Forward, loss at the last step, backward; the kernels' side with the gradient's norms at "
        f"{BOUNDARIES} boundaries or more. CPU time, one thread.",
        "All sides have the allocator that seqbench's workers have, but for the one that says so: "
        "torch as it comes, in a process of its own that takes its turn with the others.",
    ]
    return table


def targets(kind: str, T: int, H: int) -> dict[str, float]:
    """Of the ratio to each side; H = 64 and 128, T from 50 to 1,000."""
    if kind == "lstm":
        return {TORCH: 0.85, AS_IT_COMES: 0.5 if T >= 200 else 0.85, JAX: 1.0}
    return {TORCH: 0.45 if H == 64 else 0.5, JAX: 1.0}


def _rows(table: Table, work: Work, quick: bool) -> None:
    cut = work.cut()
    ours, bare = sides.ours(work, cut), sides.bare(work)
    sides.check(work, ours, bare)
    assert len(work.norms) >= work.boundaries
    steps = {OURS: ours, TORCH: bare, NUMPY: _by_numpy(ours)}
    jax_step = sides.jax_scan(work)
    if jax_step is not None:
        torch.testing.assert_close(jax_step(), bare(), rtol=1e-4, atol=1e-5)
        steps[JAX] = jax_step
    with one_thread(), _as_it_comes(work) as other:
        each: dict[str, Side] = {name: _timed(step) for name, step in steps.items()}
        taken = _rounds(each | {AS_IT_COMES: other}, 0 if quick else 6, 2 if quick else 7)
    wanted = targets(work.kind, work.T, work.H) if work.H in (64, 128) and not quick else {}
    for side in taken:
        if side == OURS:
            continue
        value, spread = ratio(taken[OURS], taken[side])
        ms = {"ms": _ms(taken[OURS]), "against_ms": _ms(taken[side]), "rounds": len(taken[OURS])}
        row = Row(str(work), OURS, side, value, wanted.get(side), spread=spread, more=ms)
        table.rows.append(row)


def _rounds(each: dict[str, Side], seconds: float, fewest: int) -> dict[str, list[float]]:
    """CPU seconds of each side, round after round, after one that is not counted."""
    for side in each.values():
        side()
    taken: dict[str, list[float]] = {name: [] for name in each}
    end = time.perf_counter() + seconds
    while len(taken[OURS]) < fewest or time.perf_counter() < end:
        for name, side in each.items():
            taken[name].append(side())
    return taken


def _timed(step: Step) -> Side:
    def side() -> float:
        started = time.process_time()
        step()
        return time.process_time() - started

    return side


def _by_numpy(step: Step) -> Step:
    def by_numpy() -> torch.Tensor:
        with patch.object(kernels, "form", lambda: steps_numpy):
            return step()

    return by_numpy


@contextmanager
def _as_it_comes(work: Work) -> Iterator[Side]:
    """torch's layer in a process with glibc's own allocator, which takes a step at each line."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    what = {key: getattr(work, key) for key in ("kind", "T", "B", "H")}
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.steps", json.dumps(what)],
        cwd=Path(__file__).parent.parent, env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as child:  # fmt: skip
        assert child.stdin is not None
        assert child.stdout is not None

        def side() -> float:
            print(file=child.stdin, flush=True)
            return float(child.stdout.readline())

        yield side
        child.stdin.close()


def _ms(seconds: list[float]) -> float:
    return round(1e3 * statistics.median(seconds), 3)


if __name__ == "__main__":
    with one_thread():
        its_side = _timed(sides.bare(Work(**json.loads(sys.argv[1]))))
        for _ in sys.stdin:
            print(its_side(), flush=True)
