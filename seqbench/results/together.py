"""Several runs of one problem -> one: the cells of all of them, side by side."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from seqbench.card.tables import Cell
from seqbench.card.task import Task
from seqbench.errors import InputError
from seqbench.results import Results
from seqbench.results.shards import merged

TABLES = ("trials", "curves", "flow", "diagnostics", "lengths")


def names(runs: Sequence[Results]) -> list[str]:
    """What each run is called beside the others: its folder's name, numbered where two share it."""
    called = [run.name for run in runs]
    return [
        name if called.count(name) == 1 else f"{name}-{1 + called[:i].count(name)}"
        for i, name in enumerate(called)
    ]


def by_problem(runs: Sequence[Results]) -> dict[str, Results]:
    """The runs of each problem (name and options) as one, in the order of the first of each; shards
    of one task are one run.

    Returns:
        The names of the runs, joined by "+" -> the run, or several `together`.
    """
    problems: dict[str, dict[str, Results]] = {}
    runs = merged(runs)
    for name, run in zip(names(runs), runs, strict=True):
        problems.setdefault(_problem(run), {})[name] = run
    return {"+".join(group): together(group) for group in problems.values()}


def together(runs: Mapping[str, Results]) -> Results:
    """Runs of one problem as one, which knows its `parts`.

    A label that several runs have says its run. Each cell stands under its run's name, and carries
    the width, the rate and the clip of its run. Runs of other versions of torch, or of other
    machines, say so there, and no seconds are left to be compared.

    Args:
        runs: by what they are called; one alone stays as it is.

    Raises:
        InputError: they are of different problems.
    """
    first, *others = runs.values()
    if not others:
        return first
    for other in others:
        if _problem(other) != _problem(first):
            raise InputError(
                f"{first.path} is about {first.task.problem.name} with "
                f"{first.task.problem.options}, {other.path} about {other.task.problem.name} with "
                f"{other.task.problem.options}\nallowed: runs of one problem"
            )
    labels = _labels(runs)
    made_by = {name: _made_by(run) for name, run in runs.items()}
    alike = len({one for each in made_by.values() for one in each}) < 2
    cells = [
        _cell(cell, run.task, first.task, labels[name, cell.label], _heading(name, made_by, alike))
        for name, run in runs.items()
        for cell in run.task.cells
    ]
    task = _task([run.task for run in runs.values()], cells, "+".join(runs))
    tables = {table: _joined(runs, table, labels) for table in TABLES}
    if not alike:
        tables["trials"] = tables["trials"].assign(seconds=float("nan"))
    records = _records(runs, task, labels)
    return Results(path=first.path, task=task, records=records, parts=dict(runs), **tables)


def _problem(run: Results) -> str:
    return json.dumps(run.task.problem.model_dump(), sort_keys=True)


def _labels(runs: Mapping[str, Results]) -> dict[tuple[str, str], str]:
    """(run, its label) -> the label beside the others."""
    count = Counter(cell.label for run in runs.values() for cell in run.task.cells)
    return {
        (name, cell.label): cell.label if count[cell.label] == 1 else f"{cell.label} ({name})"
        for name, run in runs.items()
        for cell in run.task.cells
    }


def _made_by(run: Results) -> list[str]:
    """The versions of torch and the machines that the trials were run by, each once."""
    told = [
        ", ".join(
            [f"torch {record.get('versions', {}).get('torch', 'unknown')}"]
            + [
                f"{key.replace('_', ' ')} {value}"
                for key, value in sorted(record["machine"].items())
            ]
        )
        for record in run.records.values()
        if record.get("machine")
    ]
    return list(dict.fromkeys(told))


def _heading(name: str, made_by: Mapping[str, list[str]], alike: bool) -> str:
    return name if alike else f"{name} ({'; '.join(made_by[name]) or 'machine unknown'})"


def _cell(cell: Cell, own: Task, first: Task, label: str, heading: str) -> Cell:
    """A cell that says itself what its run's card said for all."""
    group = f"{heading}: {cell.group}" if cell.group else heading
    update: dict[str, Any] = {"label": label, "group": group}
    for key in ("hidden_size", "learning_rate", "clip_norm"):
        mine = getattr(cell, key)
        mine = getattr(own.training, key) if mine is None else mine
        if mine != getattr(first.training, key):
            update[key] = mine
    return cell.model_copy(update=update)


def _task(tasks: Sequence[Task], cells: list[Cell], name: str) -> Task:
    first = tasks[0]
    seeds = min(task.first_seed for task in tasks)
    steps = max(task.training.steps for task in tasks)
    asked = {one.label: one for task in reversed(tasks) for one in task.recording.diagnostics}
    return first.model_copy(
        update={
            "name": name,
            "cells": cells,
            "lengths": sorted({length for task in tasks for length in task.lengths}),
            "evaluate_lengths": sorted({n for task in tasks for n in task.evaluate_lengths}),
            "first_seed": seeds,
            "seeds": max(task.first_seed + task.seeds for task in tasks) - seeds,
            "training": first.training.model_copy(update={"steps": steps}),
            "recording": first.recording.model_copy(update={"diagnostics": [*asked.values()]}),
            "tuning": None,
            "published": [],
        }
    )


def _joined(
    runs: Mapping[str, Results], table: str, labels: Mapping[tuple[str, str], str]
) -> pd.DataFrame:
    frames = []
    for name, run in runs.items():
        frame: pd.DataFrame = getattr(run, table)
        known = {cell.label: labels[name, cell.label] for cell in run.task.cells}
        frames.append(frame.assign(cell=frame["cell"].map(known)))
    filled = [frame for frame in frames if len(frame)] or frames[:1]
    whole = pd.concat(filled, ignore_index=True)
    whole.attrs = {key: value for frame in reversed(frames) for key, value in frame.attrs.items()}
    return whole


def _records(
    runs: Mapping[str, Results], task: Task, labels: Mapping[tuple[str, str], str]
) -> dict[str, dict[str, Any]]:
    """By the folder that each trial would have here."""
    found = {
        (labels[name, trial.cell.label], trial.length, trial.seed): run.records[trial.folder]
        for name, run in runs.items()
        for trial in run.task.trials()
        if trial.folder in run.records
    }
    each = ((trial, (trial.cell.label, trial.length, trial.seed)) for trial in task.trials())
    return {trial.folder: found[key] for trial, key in each if key in found}
