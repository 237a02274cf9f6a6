"""The folders of a task's shards -> one run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from seqbench.results import Results, schema, summed_up


def merged(runs: Sequence[Results]) -> list[Results]:
    """Runs of one task that share no finished trial, as one; all others as they are.

    Returns:
        In the order of the first of each; tables in the order of the task's trials, as if they had
        been run into one folder.
    """
    groups: list[list[Results]] = []
    for run in runs:
        group = next((group for group in groups if _belongs(run, group)), None)
        if group is None:
            groups.append([run])
        else:
            group.append(run)
    return [_merged(group) if len(group) > 1 else group[0] for group in groups]


def _belongs(run: Results, group: Sequence[Results]) -> bool:
    return run.task == group[0].task and not any(
        run.records.keys() & other.records.keys() for other in group
    )


def _merged(group: Sequence[Results]) -> Results:
    first = group[0]
    records = {folder: record for run in group for folder, record in run.records.items()}
    task, trials = first.task, first.task.trials()
    return Results(
        path=first.path,
        task=task,
        trials=summed_up(task, records),
        curves=partial(_table, group, "curves"),
        flow=partial(_table, group, "flow"),
        diagnostics=partial(_table, group, "diagnostics"),
        lengths=partial(_table, group, "lengths"),
        records={one.folder: records[one.folder] for one in trials if one.folder in records},
        called=first.called,
    )


def _table(group: Sequence[Results], name: str, **where: str) -> pd.DataFrame:
    """One of the tables; of the flow with `where`, the rows of `Results.output_flow`."""
    frames = [getattr(run, "output_flow" if where else name) for run in group]
    whole = pd.concat([frame for frame in frames if len(frame)] or frames[:1])
    trials = group[0].task.trials()
    places = {(one.cell.label, one.length, one.seed): i for i, one in enumerate(trials)}
    rows = zip(*(whole[axis] for axis in schema.AXES), strict=True)
    order = np.argsort([places[row] for row in rows], kind="stable")
    found = whole.iloc[order].reset_index(drop=True)
    found.attrs = next((frame.attrs for frame in frames if frame.attrs), {})
    return found
