"""Long sequences: time, and peak memory above the process's base, each step in its own process."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.timing import Row, Table

ROOT = Path(__file__).parent.parent


def measure(quick: bool) -> Table:
    """LSTM, T = 10,000 against the bare layer; T = 100,000 against nothing, which it could not."""
    table = Table("Long sequences: time and memory of one LSTM training step")
    T, B, H = (200, 4, 8) if quick else (10_000, 32, 128)
    rounds = [(_child("bare", T, B, H), _child("ours", T, B, H)) for _ in range(1 if quick else 3)]
    bare, ours = ({k: statistics.median(r[i][k] for r in rounds) for k in ("seconds", "megabytes")}
                  for i in (0, 1))  # fmt: skip
    how = f"segments of {rounds[0][1]['segment']}" + (
        ", recomputed" if rounds[0][1]["recompute"] else ""
    )
    work = f"lstm T={T} B={B} H={H}"
    for what, target, unit in (("seconds", 0.5, "x (time)"), ("megabytes", 0.06, "x (memory)")):
        each = sorted(two[1][what] / max(two[0][what], 1e-9) for two in rounds)
        value = ours[what] / max(bare[what], 1e-9)
        table.rows.append(
            Row(work, how, "torch layer", value, None if quick else target, unit,
                spread=(each[0], each[-1]),
                more={what: round(ours[what], 2), f"against_{what}": round(bare[what], 2)})
        )  # fmt: skip
    T = 500 if quick else 100_000
    for side, told, target in (("ours", "loss at the last step", 300),
                               ("every", "loss at every step", 500)):  # fmt: skip
        found = _child(side, T, B, H)
        how = f"{told}, segments of {found['segment']}" + (
            ", recomputed" if found["recompute"] else ""
        )
        table.rows.append(
            Row(f"lstm T={T} B={B} H={H}", how, "–", found["megabytes"],
                None if quick else target, "MB", more={"seconds": round(found["seconds"], 2)})
        )  # fmt: skip
    table.notes.append(
        "Memory is the peak resident size less what the process held before the batch was drawn: "
        "inputs and targets count. The spread here is the smallest and the largest round. At "
        "T = 100,000 the step is a whole one, with clipping left out and Adam."
    )
    return table


def _child(side: str, T: int, B: int, H: int) -> dict:
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.one_step", side, *map(str, (T, B, H))],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    if ran.returncode:
        raise RuntimeError(ran.stderr)
    return json.loads(ran.stdout.splitlines()[-1])
