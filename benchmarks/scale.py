"""A run of very many trials, made up: what it costs to open it, to resume it, to ask how it
stands, to report on it. `python -m benchmarks.scale FOLDER [--trials N]`

A real trial of each cell and length is trained; the next seeds have its tables with noise, the
others those of one of these.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seqbench import results, run
from seqbench.card.task import SCHEMA, Task, Trial, parse

CELLS, LENGTHS = ("rnn", "lstm", "gru", "irnn"), (10, 25, 50, 100, 200, 400)
CARD = f"""
name = "scale"
lengths = {list(LENGTHS)}
seeds = 1
cells = {json.dumps(CELLS)}
[problem]
name = "adding"
[training]
steps = 20
hidden_size = 8
batch_size = 8
eval_every = 1
eval_size = 50
[recording]
every = 4
boundaries = 16
"""
VARIANTS = 42  # of a trial's tables


def write(folder: Path, trials: int) -> int:
    """Write a finished run of about so many trials; returns how many."""
    one = parse(CARD, "scale")
    run(one, folder, quiet=True)
    task = one.model_copy(update={"seeds": max(1, round(trials / len(one.trials())))})
    known = {(trial.cell.label, trial.length): trial for trial in one.trials()}
    real = {key: _real(folder, trial) for key, trial in known.items()}
    draws = np.random.default_rng(0)
    written: dict[tuple, Path] = {}
    for trial in task.trials():
        key, there = (trial.cell.label, trial.length), folder / "trials" / trial.folder
        variant = (*key, trial.seed % VARIANTS)
        if variant in written:
            _write(there, trial, real[key][0], written[variant])
        elif trial.seed:
            _write(there, trial, *_other(*real[key], draws))
        written.setdefault(variant, there)
    results.write_task(folder, task)
    return len(task.trials())


def _real(folder: Path, trial: Trial) -> tuple[dict, dict[str, pa.Table]]:
    """A trained trial's record and tables."""
    there = folder / "trials" / trial.folder
    record = json.loads((there / "trial.json").read_text())
    del record["checksum"]
    return record, {file.stem: pq.read_table(file) for file in there.glob("*.parquet")}


def _other(record: dict, tables: dict[str, pa.Table], draws: np.random.Generator) -> tuple:
    """The same with other losses and norms: as hard to compress as those of another trial."""
    factor = float(np.exp(draws.normal(0, 0.1)))
    changed = dict(tables)
    for name, column in (("curves", "loss"), ("flow", "log10_norm"), ("flow", "whitened")):
        table = changed[name]
        values = table[column].to_numpy() + draws.normal(0, 0.1, len(table))
        place = table.schema.get_field_index(column)
        changed[name] = table.set_column(place, column, pa.array(values))
    return record | {"summary": record["summary"] | {"loss": factor}}, changed


def _write(there: Path, trial: Trial, record: dict, tables: dict[str, pa.Table] | Path) -> None:
    """As `results.write_trial`, not waiting for the disk; another trial's tables are linked."""
    there.mkdir()
    if isinstance(tables, Path):
        for file in tables.glob("*.parquet"):
            os.link(file, there / file.name)
    else:
        for name, table in tables.items():
            file = there / f"{name}.parquet"
            pq.write_table(table, file, compression="zstd", write_page_checksum=True)
    told = record | {"schema": SCHEMA, "key": trial.key, "configuration": trial.model_dump()}
    (there / "trial.json").write_text(json.dumps(told, indent=1))


def command(*words: object) -> tuple[float, float, float]:
    """Seconds, seconds of CPU, and largest memory, in MB, of a command in a fresh interpreter."""
    measured = (
        "import resource, subprocess, sys\n"
        "status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(status, used.ru_utime + used.ru_stime, used.ru_maxrss)"
    )
    started = time.perf_counter()
    ran = subprocess.run(
        [sys.executable, "-c", measured, sys.executable, *map(str, words)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    status, cpu, kilobytes = ran.stdout.split()
    if status != "0":
        raise SystemExit(f"{words}: status {status}\n{ran.stderr}")
    return time.perf_counter() - started, float(cpu), int(kilobytes) / 1024


def main() -> None:
    """Write the run, unless it is there, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trials", type=int, default=10_008)
    asked = parser.parse_args()
    task: Task | None = results.read_task(asked.folder)
    if task is None:
        started = time.perf_counter()
        count = write(asked.folder, asked.trials)
        print(f"written: {count} trials in {time.perf_counter() - started:.0f} s")
    card = asked.folder / "task.toml"
    seqbench = ["-m", "seqbench"]
    load = "import sys, seqbench; print(seqbench.load(sys.argv[1]).flow.shape)"
    for name, words in {
        "import": ["-c", "import seqbench.results"],
        "load, without packs": ["-c", load, asked.folder],
        "resume, and pack": [*seqbench, "run", card, "--out", asked.folder],
        "load, all of the flow": ["-c", load, asked.folder],
        "resume": [*seqbench, "run", card, "--out", asked.folder],
        "status": [*seqbench, "status", asked.folder],
        "report": [*seqbench, "report", asked.folder],
    }.items():
        seconds, cpu, memory = command(*words)
        print(f"{name}: {seconds:.1f} s, {cpu:.1f} s of CPU, {memory:,.0f} MB", flush=True)


if __name__ == "__main__":
    main()
