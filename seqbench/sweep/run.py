"""Runs the trials of a task: one trial a core, each in a process of its own, largest first.

What is finished stays finished: every trial is written down as it ends, and the same command again
runs only what is missing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from seqbench import results
from seqbench.analysis import rates
from seqbench.card.extend import merge
from seqbench.card.task import Task
from seqbench.errors import InputError
from seqbench.sweep import tuning
from seqbench.sweep.executors import Executor, Finished, Job, Started, Stepped
from seqbench.sweep.executors.here import Here
from seqbench.sweep.executors.processes import Processes
from seqbench.sweep.plan import Plan, lay_out, plan
from seqbench.sweep.progress import display, size


def run(
    task: str | Path | Task,
    out: str | Path | None = None,
    *,
    cells: str | Sequence[str | dict | type] | None = None,
    lengths: Iterable[int] | None = None,
    seeds: int | None = None,
    steps: int | None = None,
    overrides: dict[str, Any] | None = None,
    workers: int | None = None,
    device: str = "cpu",
    quiet: bool = False,
) -> results.Results:
    """Run a task, or what is missing of it.

    Args:
        task: a bundled name, the path of a card, or a Task.
        out: the run's folder; default runs/NAME.
        cells: labels or names of the card's cells, other specs, tables as a card has them, or
            classes (those run in this process), as a list or as text with commas; default: the
            card's.
        lengths, seeds, steps: in place of the card's.
        overrides: dotted key -> value, in place of the card's.
        workers: how many trials at a time; default one a core.
        device: "cpu", "cuda", or "auto" (cuda where there is one).
        quiet: show no progress.

    Returns:
        The run, opened.

    Raises:
        InputError: anything in the card or the arguments that can't be.
    """
    planned = plan(
        task, out, cells=cells, lengths=lengths, seeds=seeds, steps=steps, overrides=overrides
    )
    return carry_out(planned, workers=workers, device=device, quiet=quiet)


def carry_out(
    planned: Plan, *, workers: int | None = None, device: str = "cpu", quiet: bool = False
) -> results.Results:
    """Run what a plan says is missing, learning rates first, and open the run.

    Raises:
        InputError: no such device, or the folder can't be written.
        KeyboardInterrupt: passes through once the workers are stopped; what is finished is kept.
    """
    device = check_device(device)
    check_workers(workers)
    if planned.first:
        best = choose_rates(planned, workers=workers, device=device, quiet=quiet)
        planned = lay_out(planned.path, tuning.with_rates(planned.task, best))
    make_folder(planned)
    jobs = [Job(trial, device) for trial in planned.missing]
    with display(len(jobs), sum(size(job.trial) for job in jobs), quiet) as shown:
        for executor, theirs in executors(jobs, workers):
            for event in executor.run(theirs):
                match event:
                    case Started(job):
                        shown.start(job.trial)
                    case Stepped(job, step, loss):
                        shown.step(job.trial, step, loss)
                    case Finished(job, record, tables):
                        results.write_trial(planned.path, job.trial, record, tables)
                        shown.finish(job.trial, record["summary"])
    return results.load(planned.path)


def choose_rates(
    planned: Plan, *, workers: int | None, device: str, quiet: bool
) -> dict[str, float]:
    """Run the grid of learning rates, wider where the best one lies at its edge: cell -> rate."""
    first, told = planned.first, "first the learning rates"
    while first:
        if not quiet and first.missing:
            values = sorted({trial.learning_rate for trial in first.missing})
            tried = ", ".join(f"{rate:g}" for rate in values)
            count = len(first.missing)
            print(f"{told}, of {tried}: {count} trials", file=sys.stderr, flush=True)
        found = rates.table(carry_out(first, workers=workers, device=device, quiet=quiet))
        wider = tuning.widened(planned.task, found)
        first = lay_out(planned.path / results.TUNING, wider) if wider else None
        told = "the best one lies at the edge: further learning rates"
    best = rates.best(found)
    return {cell.label: best[cell.label] for cell in tuning.untried(planned.task)}


def check_device(device: str) -> str:
    """ "cpu" or "cuda" from what was asked.

    Raises:
        InputError: another word, or no such device here.
    """
    if device not in ("cpu", "cuda", "auto"):
        raise InputError(f"--device {device}\nallowed: cpu, cuda, auto")
    if device == "cpu":
        return device
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        raise InputError("--device cuda: torch finds no such device here\nallowed: cpu, auto")
    return "cpu"


def check_workers(workers: int | None) -> None:
    """Raises InputError for less than one worker."""
    if workers is not None and workers < 1:
        raise InputError(f"--workers {workers}\nallowed: 1 or more")


def make_folder(planned: Plan) -> None:
    """Write the run's task.toml, which also shows that the folder can be written.

    Raises:
        InputError: it can't.
    """
    try:
        # Once more: another command may have added to the task since the plan was made.
        stored = results.read_task(planned.path)
        whole = merge(stored, planned.stored, str(planned.path)) if stored else planned.stored
        results.write_task(planned.path, whole)
        (planned.path / "trials").mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(
            f"--out {planned.path}: can't be written: {error.strerror}\n"
            "allowed: a folder that you may write to"
        ) from None


def cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def executors(
    jobs: Sequence[Job], workers: int | None, timeout: float | None = None
) -> Iterator[tuple[Executor, list[Job]]]:
    """Who runs which jobs: cells that were given as classes are known to this process alone."""
    here = [job for job in jobs if isinstance(job.trial.cell.source, type) or not can_start()]
    away = [job for job in jobs if job not in here]
    if away:
        yield Processes(min(workers or cores(), len(away)), timeout), away
    if here:
        yield Here(), here


def can_start() -> bool:
    """Whether this system can start worker processes as we do."""
    return hasattr(os, "fork")
