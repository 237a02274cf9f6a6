"""The same on a GPU, against cuDNN; and many small trials at once on one device."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import torch

from benchmarks import sides
from benchmarks.sides import KINDS, Work
from benchmarks.timing import Row, Table, interleaved, ratio

WORKS = [(1000, 64, 128), (1000, 64, 512)]


def steps(quick: bool) -> Table:
    """Norms at 32 boundaries or more."""
    table = Table("One training step on a GPU")
    if not torch.cuda.is_available():
        table.notes.append("Not measured: there is no GPU here.")
        return table
    for T, B, H in WORKS:
        for kind in KINDS:
            work = Work(kind, T, B, H, 10 if quick else 32, "cuda")
            cut = work.cut()
            ours, bare = sides.ours(work, cut), sides.bare(work)
            sides.check(work, ours, bare)
            taken = interleaved(
                {"ours": ours, "bare": bare}, seconds=0.1 if quick else 10,
                wait=torch.cuda.synchronize,
            )  # fmt: skip
            value, spread = ratio(taken["ours"], taken["bare"])
            how = f"segments of {cut.segment}"
            table.rows.append(Row(str(work), how, "cuDNN layer", value, 1.1, spread=spread))
    table.notes.append(f"On {torch.cuda.get_device_name()}.")
    return table


def trials(quick: bool) -> Table:
    """Trials per minute with several workers that share the device, against one."""
    from seqbench.sweep.run import run

    table = Table("Many small trials at once on one GPU")
    if not torch.cuda.is_available():
        table.notes.append("Not measured: there is no GPU here.")
        return table
    seeds, steps = (2, 2) if quick else (8, 300)
    taken = {}
    for count in (1, 2, 4, 8):
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            run("adding", Path(folder) / "run", cells=["gru"], seeds=seeds, steps=steps,
                overrides={"lengths": [100]}, workers=count, device="cuda", quiet=True)  # fmt: skip
            taken[count] = time.perf_counter() - started
        table.rows.append(
            Row(f"adding, gru T=100, {seeds} trials", f"{count} workers", "1 worker",
                taken[1] / taken[count], unit="x (trials per minute)")
        )  # fmt: skip
    return table
