"""Whole trials: what all besides the training steps costs, and two workers against one."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks import sides
from benchmarks.timing import Row, Table, interleaved, one_thread, ratio
from seqbench.card import task as cards
from seqbench.card.task import Trial
from seqbench.results import write_trial
from seqbench.sweep.check import resolve
from seqbench.sweep.executors import Job, server
from seqbench.sweep.run import run
from seqbench.sweep.worker import execute

KINDS = tuple(sides.KINDS)


def _trial(kind: str, length: int, steps: int, **changes) -> Trial:
    fixed = {"training.steps": steps, "training.stop_when_solved": False, "lengths": [length]}
    task = cards.load("adding", {**fixed, "cells": [kind], "seeds": 1, **changes})
    return resolve(task).trials()[0]


def overhead(quick: bool) -> Table:
    """A trial of the adding card against its training steps alone, before and after it."""
    table = Table("A whole trial against its bare training steps")
    server.preload()  # as in the process that trials are forked from
    server.preload_training()
    steps, length = (4, 20) if quick else (2000, 100)
    changes = {"training.eval_size": 20, "training.hidden_size": 8} if quick else {}
    for kind in KINDS[:1] if quick else KINDS:
        trial = _trial(kind, length, steps, **changes)
        training = trial.training
        work = sides.Work(kind, length, training.batch_size, trial.hidden_size, 0)
        with one_thread():
            cut = work.cut()
            each = {"ours": sides.ours_without_norms(work, cut), "bare": sides.bare(work)}
            count = max(steps // 8, 2)
            block = {"fewest": count, "most": count, "seconds": 0, "clock": time.process_time}
            before = interleaved(each, **block)
        with tempfile.TemporaryDirectory() as folder:
            started = time.process_time()
            *_, finished = execute(Job(trial))
            write_trial(Path(folder), trial, finished.record, finished.tables)
            whole = time.process_time() - started
        summary = finished.record["summary"]
        if summary["status"] == "error":
            raise RuntimeError(summary["error"])
        with one_thread():
            after = interleaved(each, **block)
        told = f"adding, {kind} T={length}, {steps:,} steps"
        for name, label, target in (
            ("ours", "its training steps (segments)", 1.10),
            ("bare", "as many steps of the torch layer", None),
        ):
            times = before[name] + after[name]
            value = whole / (steps * sorted(times)[len(times) // 2])
            _, spread = ratio([whole] * len(times), [steps * t for t in times])
            table.rows.append(
                Row(told, "data, optimiser, evaluation, recording, writing", label, value,
                    None if quick else target, spread=spread, more={"seconds": round(whole, 1)})
            )  # fmt: skip
    table.notes.append(
        "The steps alone are forward, loss and backward on a batch that is there already: an "
        "eighth of the trial's number before it and an eighth after it, and their median. CPU time."
    )
    return table


def workers(quick: bool) -> Table:
    """The same six trials by one worker and by two, each from a start of its own."""
    table = Table("Two workers against one")
    seeds, steps = (2, 2) if quick else (6, 800)
    small = {"training.hidden_size": 8, "training.eval_size": 20, "lengths": [20]} if quick else {}
    changes = {"lengths": [100], "training.stop_when_solved": False, **small}
    taken: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(1 if quick else 2):
        for count, seconds in taken.items():
            with tempfile.TemporaryDirectory() as folder:
                started = time.perf_counter()
                run("adding", Path(folder) / "run", cells=["gru"], seeds=seeds, steps=steps,
                    overrides=changes, workers=count, quiet=True)  # fmt: skip
                seconds.append(time.perf_counter() - started)
    value, spread = ratio(taken[1], taken[2])
    table.rows.append(
        Row(f"adding, gru, {seeds} trials of {steps} steps", "two workers", "one worker", value,
            None if quick else 1.8, "x (trials per minute)", at_least=True, spread=spread,
            more={"seconds": [round(s, 1) for s in taken[2]],
                  "against_seconds": [round(s, 1) for s in taken[1]]})
    )  # fmt: skip
    return table
