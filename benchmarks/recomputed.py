"""What it costs to run segments again instead of keeping their graphs."""

from __future__ import annotations

import dataclasses
import time

from benchmarks import sides
from benchmarks.sides import KINDS, Work
from benchmarks.timing import Row, Table, interleaved, one_thread, ratio

WORKS = [(400, 64, 64), (1000, 64, 128)]  # T, B, H


def measure(quick: bool) -> Table:
    """A training step in the same segments, both ways."""
    table = Table("Segments that are run again against segments that are kept")
    for T, B, H in [(20, 4, 8)] if quick else WORKS:
        for kind in KINDS:
            work = Work(kind, T, B, H, 0)
            kept = work.cut()
            again = dataclasses.replace(kept, recompute=True)
            each = {
                "again": sides.ours_without_norms(work, again),
                "kept": sides.ours_without_norms(work, kept),
            }
            with one_thread():
                taken = interleaved(
                    each, seconds=0 if quick else 5, fewest=2 if quick else 9,
                    clock=time.process_time,
                )  # fmt: skip
            value, spread = ratio(taken["again"], taken["kept"])
            table.rows.append(Row(str(work), "run again", "kept", value, spread=spread))
    table.notes.append("CPU time, one thread, segments as the rule cuts them where all are kept.")
    return table
