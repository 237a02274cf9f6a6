"""Runs of bundled tasks that travel with seqbench, to compare a new cell with.

    seqbench/results/references/adding/    task.toml, records.json, curves.parquet, flow.parquet,
                                           perhaps diagnostics.parquet, lengths.parquet

Thinner than a run: of the flow the joint state's output flow alone, of the records what a report
says. Seconds are left out, since they say nothing on another machine.

    python -m seqbench.results.reference runs/quickstart runs/adding

packs runs anew.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from seqbench.errors import InputError
from seqbench.results import (
    CURVE_COLUMNS,
    DIAGNOSTIC_COLUMNS,
    FLOW_COLUMNS,
    LENGTH_COLUMNS,
    Results,
    as_parquet,
    load,
    read_task,
    summed_up,
    write_atomically,
    write_task,
)

FOLDER = Path(__file__).with_name("references")
LEVELS = ["log10_norm", "log10_p10", "log10_p90", "whitened", "whitened_p10", "whitened_p90"]
STEP = 2.0**-10  # decades that levels are rounded to: they take a third of the bytes
TABLES = {
    "curves": CURVE_COLUMNS,
    "flow": FLOW_COLUMNS,
    "diagnostics": DIAGNOSTIC_COLUMNS,
    "lengths": LENGTH_COLUMNS,
}
RECORD = ("schema", "key", "summary", "versions", "machine")  # what is kept of a trial.json


def bundled() -> list[str]:
    """The tasks that have a reference."""
    return sorted(path.parent.name for path in FOLDER.glob("*/task.toml"))


def find(given: str | Path) -> Results:
    """A run's folder, or the reference of a bundled task by its name.

    Raises:
        InputError: neither, or a run that can't be read.
    """
    if read_task(Path(given)) is None and str(given) in bundled():
        return unpack(FOLDER / str(given))
    try:
        return load(given)
    except InputError as error:
        told = f"{error}, or a reference: {', '.join(bundled())}"
        raise (InputError(told) if read_task(Path(given)) is None else error) from None


def pack(run: Results, folder: Path) -> None:
    """Write a finished run thin.

    Raises:
        InputError: a trial has no result: a reference has no holes.
    """
    missing = len(run.trials) - len(run.records)
    if missing:
        raise InputError(f"{run.path}: {missing} trials have no result\nallowed: a finished run")
    write_task(folder, run.task)
    flow = run.flow[(run.flow["source"] == "output") & (run.flow["state"] == "all")]
    if "whitened" in flow:  # which has a spread of its own
        flow = flow.drop(columns=["log10_p10", "log10_p90"])
    levels = [name for name in flow if name in LEVELS]
    flow = flow.assign(**(flow[levels] / STEP).round() * STEP)
    for name in TABLES:
        table = flow if name == "flow" else getattr(run, name)
        if len(table):
            content = as_parquet(_smaller(table.reset_index(drop=True)))
            write_atomically(folder / f"{name}.parquet", partial(Path.write_bytes, data=content))
    text = json.dumps({key: _thin(one) for key, one in run.records.items()})
    write_atomically(folder / "records.json", lambda file: file.write_text(text, encoding="utf-8"))


def _thin(record: dict[str, Any]) -> dict[str, Any]:
    kept = {key: record[key] for key in RECORD if key in record}
    return kept | {"summary": {**record["summary"], "seconds": None}}


def _smaller(table: pd.DataFrame) -> pd.DataFrame:
    """Numbers in as few bytes as they need: a report shows three digits."""
    floats = dict.fromkeys(table.select_dtypes("float64"), "float32")
    texts = dict.fromkeys(table.select_dtypes(["object", "string"]), "category")
    return table.astype(floats | texts)


def unpack(folder: Path) -> Results:
    """Open what `pack` wrote."""
    task = read_task(folder)
    assert task is not None  # bundled
    records = json.loads((folder / "records.json").read_text(encoding="utf-8"))
    return Results(
        path=folder,
        task=task,
        trials=summed_up(task, records),
        **{name: _table(folder / f"{name}.parquet", columns) for name, columns in TABLES.items()},
        records=records,
        called=f"reference {folder.name}",
    )


def _table(file: Path, columns: list[str]) -> pd.DataFrame:
    if not file.is_file():
        return pd.DataFrame(columns=columns)
    table = pd.read_parquet(file)
    floats = dict.fromkeys(table.select_dtypes("float32"), "float64")
    texts = dict.fromkeys(table.select_dtypes("category"), "str")
    return table.astype(floats | texts)


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        pack(load(path), FOLDER / path.resolve().name)
