"""How a run stands, seen from its folder alone: while it runs, and after whatever ended it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from seqbench import results
from seqbench.card.status import Status
from seqbench.card.task import Trial
from seqbench.errors import InputError
from seqbench.results.checkpoints import saved_steps
from seqbench.sweep import outlook
from seqbench.sweep.claims import running
from seqbench.sweep.progress import duration, name


def lines(path: Path) -> list[str]:
    """What is done, what is being run, what failed, what is missing, how long that may take; of
    the learning rates that are tried first, too.

    Raises:
        InputError: no run there, or files of a schema that this version can't read.
    """
    phases = [phase for phase in (path / results.TUNING, path) if results.read_task(phase)]
    if not phases:
        raise InputError(f"{path} is not a run: it has no task.toml\nallowed: a run's folder")
    return [line for phase in phases for line in _of_phase(phase)]


def _of_phase(path: Path) -> list[str]:
    task = results.read_task(path)
    assert task is not None
    counts: Counter[str] = Counter()
    told, missing = [], []
    trials = task.trials()
    now = running(path, trials)
    for trial in trials:
        try:
            record = results.read_record(path, trial)
        except results.Damaged as fault:
            told.append(str(fault).splitlines()[0])
            record = None
        if record is None:
            word = "running" if trial in now else "not finished"
            missing.append(trial)
        else:
            word = record["summary"]["status"]
        counts[word] += 1
        saved = "" if record else _saved(path, trial)
        if word == "running" or saved:
            told.append(f"{word}: {name(trial)}{saved}")
        if record and word == Status.ERROR:
            told.append(f"{name(trial)}: {' '.join(str(record['summary']['error']).split())}")
    head = ", ".join(f"{count} {word}" for word, count in counts.items())
    whole = [f"{task.name}: {len(trials)} trials: {head}"]
    return [*whole, *([_time_left(path, missing, bool(now))] if missing else []), *told]


def _time_left(path: Path, missing: list[Trial], runs: bool) -> str:
    """As the command that runs says it, or the one that ran last would."""
    seen = outlook.read(path)
    seconds = None
    if seen:
        seconds = seen.left_now() if runs else seen.left_of(missing)
    if seen is None or seconds is None:
        return "time left: not known yet" if runs else "time left: not known"
    when = "" if runs else "once it runs again, "
    return f"{when}at most {duration(seconds)} left, {seen.workers} at a time"


def _saved(path: Path, trial: Trial) -> str:
    """What there is of a trial that has not finished."""
    steps = saved_steps(path, trial)
    if not steps:
        return ""
    *resumed, last = steps
    told = "".join(f", resumed at step {step:,}" for step in resumed[-1:])
    return f"{told}, checkpoint at step {last:,}"
