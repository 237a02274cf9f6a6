"""python -m benchmarks [--only NAME,...] [--quick] [--out DIR]"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from seqbench.sweep.executors.child import ONE_THREAD

SETTINGS = ONE_THREAD | {
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}


def main(words: list[str] | None = None) -> int:
    """Measure, print, record; one table after the other, so that what is measured stays."""
    from benchmarks import record
    from benchmarks.tables import TABLES

    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", metavar="NAME,...", help=f"of {', '.join(TABLES)}")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: only that it works")
    parser.add_argument("--out", type=Path, help="default: benchmarks/results; not with --quick")
    asked = parser.parse_args(words)
    names = asked.only.split(",") if asked.only else list(TABLES)
    for name in names:
        if name not in TABLES:
            parser.error(f"--only {name}: no such table; allowed: {', '.join(TABLES)}")
    if asked.quick and asked.out is None:
        parser.error("--quick: its figures mean nothing; allowed: with --out DIR")
    folder = asked.out or Path(__file__).parent / "results"
    missed = 0
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        started = time.perf_counter()
        table = TABLES[name](asked.quick)
        record.write(folder, name, table, time.perf_counter() - started, asked.quick)
        record.write_page(folder, TABLES)
        print(f"\n{table.title}\n", *record.lines(table.rows), *table.notes, sep="\n", flush=True)
        missed += sum(row.met is False for row in table.rows)
    print(f"\n{missed} targets missed; recorded in {folder}")
    return 0


if __name__ == "__main__":
    if not SETTINGS.items() <= os.environ.items():  # the allocator's are read when a process starts
        os.execve(sys.executable, sys.orig_argv, os.environ | SETTINGS)
    sys.exit(main())
