"""Runs the trials of a task: one trial a core, each in a process of its own, largest first.

What is finished stays finished: every trial is written down as it ends, and the same command again
runs only what is missing.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seqbench import results
from seqbench.analysis import rates
from seqbench.card.extend import merge
from seqbench.card.task import Task, Trial
from seqbench.errors import InputError, say
from seqbench.results.checkpoints import (
    drop_checkpoint,
    drop_leftovers,
    read_checkpoint,
    set_checkpoint_aside,
    write_checkpoint,
)
from seqbench.sweep import timing, tuning, watching
from seqbench.sweep.claims import Claims
from seqbench.sweep.executors import (
    Event,
    Executor,
    Finished,
    Job,
    Resumed,
    Saved,
    Started,
    Stepped,
    cluster,
)
from seqbench.sweep.executors.here import Here
from seqbench.sweep.executors.processes import Processes, can_start, cores
from seqbench.sweep.forecast import Cost, Forecast
from seqbench.sweep.plan import Plan, lay_out, plan
from seqbench.sweep.progress import Display, display

PATIENCE = 1.0  # seconds between two looks at what another command is running
WORTH = 300  # training steps of a trial that is timed before: that costs as much as about 20


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
    timeout: float | None = None,
    dask: str | None = None,
    tensorboard: str | Path | None = None,
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
        timeout: seconds after which a trial is ended as an error; default never.
        dask: address of a Dask scheduler whose workers run the trials; default this machine.
        tensorboard: folder for TensorBoard's event files; default none.

    Returns:
        The run, opened.

    Raises:
        InputError: anything in the card or the arguments that can't be.
    """
    planned = plan(
        task, out, cells=cells, lengths=lengths, seeds=seeds, steps=steps, overrides=overrides
    )
    means = Means(workers, device, timeout, dask, Path(tensorboard) if tensorboard else None)
    return carry_out(planned, means, quiet=quiet)


@dataclass(frozen=True)
class Means:
    """What trials are run with.

    Attributes:
        workers: how many at a time; None: one a core.
        device: "cpu", "cuda", or "auto": cuda where there is one.
        timeout: seconds after which a trial is ended as an error; None: never.
        dask: address of a Dask scheduler; None: this machine.
        tensorboard: folder for TensorBoard's event files; None: none are written.
    """

    workers: int | None = None
    device: str = "cpu"
    timeout: float | None = None
    dask: str | None = None
    tensorboard: Path | None = None

    def at_a_time(self, trials: Sequence[Trial]) -> int:
        """How many of these trials are run at a time."""
        room = cluster.room(self.dask, self.device) if self.dask else cores()
        most = min(self.workers or room, room) if self.dask else self.workers or room
        return max(1, min(most, len(trials)))

    def checked(self) -> Means:
        """The same with the device that "auto" stands for.

        Raises:
            InputError: no such device here, less than one worker, or no time.
        """
        if self.workers is not None and self.workers < 1:
            raise InputError(f"--workers {self.workers}\nallowed: 1 or more")
        if self.timeout is not None and not self.timeout > 0:
            raise InputError(f"--timeout {self.timeout:g}\nallowed: seconds, more than 0")
        if self.dask and self.device == "auto":
            raise InputError("--device auto with --dask\nallowed: cpu, cuda")
        if self.tensorboard:
            watching.check_tensorboard(self.tensorboard)
        device = self.device if self.dask else check_device(self.device)
        return replace(self, device=device)


def carry_out(
    planned: Plan,
    means: Means = Means(),
    *,
    quiet: bool = False,
    costs: Mapping[str, Cost] | None = None,
) -> results.Results:
    """Run what a plan says is missing, learning rates first, and open the run.

    Args:
        costs: what kinds of trials cost, where that was timed before.

    Raises:
        InputError: no such device, or the folder can't be written.
        KeyboardInterrupt: passes through once the workers are stopped; what is finished is kept.
    """
    means = means.checked()
    if costs is None:
        costs = {} if quiet or means.dask else forecast_costs(planned, means)
    if planned.first:
        best = choose_rates(planned, means, quiet, costs)
        planned = lay_out(planned.path, tuning.with_rates(planned.task, best), planned.shard)
    for fault in planned.damaged:
        say(f"{str(fault).splitlines()[0]}; the trial is run again, its files are kept beside it")
    if planned.missing or results.read_task(planned.path) != planned.stored:
        with writing(planned.path):
            _run_missing(planned, means, quiet, costs)
    return results.load(planned.path, pack=True)


def forecast_costs(planned: Plan, means: Means) -> dict[str, Cost]:
    """What kinds of trials cost, of those that are worth the time to find out; says what comes of
    it."""
    missing = [trial for phase in timing.phases(planned) for trial in phase.missing]
    at_once = means.at_a_time(missing)
    worth = [trial for trial in missing if trial.training.steps >= WORTH]
    found = timing.costs(worth, at_once, means.device)
    if found:
        for line in timing.lines(planned, found, at_once):
            say(line)
    return found


def choose_rates(
    planned: Plan, means: Means, quiet: bool, costs: Mapping[str, Cost]
) -> dict[str, float]:
    """Run the grid of learning rates, wider where the best one lies at its edge: cell -> rate."""
    first, told = planned.first, "first the learning rates"
    while first:
        if not quiet and first.missing:
            values = sorted({trial.learning_rate for trial in first.missing})
            tried = ", ".join(f"{rate:g}" for rate in values)
            count = len(first.missing)
            say(f"{told}, of {tried}: {count} trials")
        opened = carry_out(first, means, quiet=quiet, costs=costs)
        found = rates.table(opened)
        wider = tuning.widened(planned.task, found)
        first = lay_out(planned.path / results.TUNING, wider) if wider else None
        told = "the best one lies at the edge: further learning rates"
    best = rates.best(found)
    return {cell.label: best[cell.label] for cell in tuning.untried(planned.task)}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """A folder that can't be written, or no longer, is the user's to know."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"--out {path}: can't be written: {error.strerror or error}\n"
            "allowed: a folder that you may write to, with space left; what is finished is kept"
        ) from None


def _run_missing(planned: Plan, means: Means, quiet: bool, costs: Mapping[str, Cost]) -> None:
    planned.path.mkdir(parents=True, exist_ok=True)
    with Claims(planned.path) as claims:
        make_folder(planned, claims)
        drop_leftovers(planned.path, planned.task.trials())
        missing = planned.missing
        forecast = Forecast(missing, costs, means.at_a_time(missing))
        with display(forecast, planned.path, quiet) as shown:
            while missing:
                elsewhere: list[Trial] = []
                for executor, trials in executors(missing, means):
                    jobs = _claimed(planned.path, trials, claims, means.device, shown, elsewhere)
                    events = executor.run(jobs)
                    if means.tensorboard:
                        events = watching.recorded(events, means.tensorboard)
                    _watch(events, planned.path, claims, shown)
                missing = elsewhere
                if missing:
                    shown.wait(len(missing))
                    time.sleep(PATIENCE)


def _claimed(
    path: Path,
    trials: Sequence[Trial],
    claims: Claims,
    device: str,
    shown: Display,
    elsewhere: list[Trial],
) -> Iterator[Job]:
    """The trials that nobody else runs; the others go to `elsewhere`."""
    for trial in trials:
        if not claims.claim(trial):
            elsewhere.append(trial)
        elif _has_result(path, trial):  # by somebody else, since the plan was made
            claims.release(trial)
            shown.spare(trial)
        else:
            yield Job(trial, device, read_checkpoint(path, trial))


def _has_result(path: Path, trial: Trial) -> bool:
    """Whether there is one; files that are none of ours are set aside for those that will come."""
    damaged: list[results.Damaged] = []
    if results.read_finished(path, [trial], damaged):
        return True
    if damaged:
        results.set_aside(path, trial)
    return False


def _watch(
    events: Generator[Event, None, None], path: Path, claims: Claims, shown: Display
) -> None:
    """Show what happens, and write down what comes of it."""
    with closing(events):
        for event in events:
            match event:
                case Started(job):
                    shown.start(job.trial)
                case Stepped(job, step, loss):
                    shown.step(job.trial, step, loss)
                case Resumed(job, step, fault):
                    if fault:
                        fault = f"{fault}; kept as {set_checkpoint_aside(path, job.trial).name}"
                    shown.resume(job.trial, step, fault)
                case Saved(job, checkpoint, fault):
                    shown.complain(job.trial, fault or _kept(path, job.trial, checkpoint))
                case Finished(job, record, tables, by_itself):
                    results.write_trial(path, job.trial, record, tables)
                    if by_itself:
                        drop_checkpoint(path, job.trial)
                    claims.release(job.trial)
                    shown.finish(job.trial, record["summary"])


def _kept(path: Path, trial: Trial, checkpoint: bytes) -> str:
    """Write a checkpoint; why that can't be, which is no reason to stop."""
    try:
        write_checkpoint(path, trial, checkpoint)
    except OSError as error:
        return error.strerror or str(error)
    return ""


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


def make_folder(planned: Plan, claims: Claims) -> None:
    """Write the run's task.toml, which also shows that the folder can be written."""
    with claims.task():
        # Once more: another command may have added to the task since the plan was made.
        stored = results.read_task(planned.path)
        whole = merge(stored, planned.stored, str(planned.path)) if stored else planned.stored
        results.write_task(planned.path, whole)
        results.remove_strays(planned.path)
    (planned.path / "trials").mkdir(exist_ok=True)


def executors(trials: Sequence[Trial], means: Means) -> Iterator[tuple[Executor, list[Trial]]]:
    """Who runs what: cells that were given as classes are known to this process alone."""
    here: list[Trial] = []
    away: list[Trial] = []
    for trial in trials:
        given = isinstance(trial.cell.source, type) or not (means.dask or can_start())
        (here if given else away).append(trial)
    if away and means.dask:
        yield cluster.Cluster(means.dask, means.workers, means.timeout), away
    elif away:
        yield Processes(means.at_a_time(away), means.timeout), away
    if here:
        yield Here(), here
