"""What was measured, on disk: a JSON file for each table, and one Markdown page of all of them."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.timing import Row, Table

PACKAGES = ("torch", "numpy", "jax", "jaxlib")
HEAD = """# Benchmarks

Written by `python -m benchmarks`; [docs/engine.md](../../docs/engine.md) explains it. A value is a
ratio of medians, smaller is better unless it says otherwise; in brackets the quartiles of the
rounds. Both sides ran in turn in one run, on one thread, subnormal numbers flushed to zero. `load`
is the system's load average when a table was done: well above 1, others were using the machine.
"""


def environment() -> dict[str, Any]:
    """The kind of machine, the versions and the commit."""
    import torch

    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": _commit(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "vector_instructions": torch.backends.cpu.get_cpu_capability(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str:
    def git(*words: str) -> str:
        where = Path(__file__).parent
        return subprocess.run(
            ["git", *words], cwd=where, capture_output=True, text=True
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "../seqbench", ".")
        return (git("rev-parse", "--short=12", "HEAD") or "unknown") + ("+changes" * bool(changed))
    except OSError:
        return "unknown"


def write(folder: Path, name: str, table: Table, seconds: float, quick: bool) -> None:
    """One table's JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [dataclasses.asdict(row) | {"met": row.met} for row in table.rows]
    found = {
        "title": table.title,
        "quick": quick,
        "seconds": round(seconds, 1),
        "environment": environment(),
        "notes": table.notes,
        "rows": rows,
    }
    (folder / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")


def write_page(folder: Path, names: Iterable[str]) -> None:
    """README.md of all tables that are in the folder, in this order."""
    parts = [HEAD]
    for name in names:
        path = folder / f"{name}.json"
        if path.exists():
            parts.append(_section(name, json.loads(path.read_text())))
        else:
            parts.append(f"## {name}\n\nNot measured yet: `python -m benchmarks --only {name}`.\n")
    (folder / "README.md").write_text("\n".join(parts))


def _section(name: str, found: dict[str, Any]) -> str:
    told = [f"## {found['title']}\n"]
    if found["quick"]:
        told.append("**A try-out with tiny sizes: no figure here means anything.**\n")
    fields = [field.name for field in dataclasses.fields(Row)]
    told += lines([Row(**{key: row[key] for key in fields}) for row in found["rows"]])
    told += ["", *(f"{note}\n" for note in found["notes"])]
    where = ", ".join(f"{key} {value}" for key, value in found["environment"].items() if value)
    told.append(f"`python -m benchmarks --only {name}`: {where}.\n")
    return "\n".join(told)


def lines(rows: list[Row]) -> list[str]:
    """A Markdown table."""
    if not rows:
        return []
    told = ["| work | side | against | value | target | met | |",
            "| --- | --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for row in rows:
        spread = f" ({row.spread[0]:.2f}–{row.spread[1]:.2f})" if row.spread else ""
        sign = "≥" if row.at_least else "≤"
        target = "–" if row.target is None else f"{sign} {row.target:g}"
        met = {True: "yes", False: "**no**", None: "–"}[row.met]
        more = ", ".join(f"{key} {_short(value)}" for key, value in row.more.items())
        told.append(
            f"| {row.work} | {row.side} | {row.against} | {_short(row.value)} {row.unit}{spread} "
            f"| {target} | {met} | {more} |"
        )
    return told


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
    return str(value)
