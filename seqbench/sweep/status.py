"""How a run stands, seen from its folder alone: while it runs, and after whatever ended it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from seqbench import results
from seqbench.card.status import Status
from seqbench.card.task import Trial
from seqbench.errors import InputError
from seqbench.results.checkpoints import saved_steps
from seqbench.sweep.claims import running
from seqbench.sweep.progress import duration, name, size


def lines(path: Path) -> list[str]:
    """What is done, what is being run, what failed, what is missing, how long that may take.

    Raises:
        InputError: no run there, or files of a schema that this version can't read.
    """
    task = results.read_task(path)
    if task is None:
        raise InputError(f"{path} is not a run: it has no task.toml\nallowed: a run's folder")
    counts: Counter[str] = Counter()
    told, seconds, work, left = [], 0.0, 0.0, 0.0
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
            left += size(trial)
        else:
            word = record["summary"]["status"]
            seconds += record["summary"].get("seconds") or 0.0
            work += size(trial, record["summary"].get("steps") or 0)
        counts[word] += 1
        saved = "" if record else _saved(path, trial)
        if word == "running" or saved:
            told.append(f"{word}: {name(trial)}{saved}")
        if record and word == Status.ERROR:
            told.append(f"{name(trial)}: {' '.join(str(record['summary']['error']).split())}")
    head = ", ".join(f"{count} {word}" for word, count in counts.items())
    whole = [f"{task.name}: {len(trials)} trials: {head}"]
    if left and work:
        at_once = max(1, len(now))
        most = duration(left * seconds / work / at_once)
        whole.append(f"at most {most} left, {at_once} at a time")
    elif left:
        whole.append("time left: not known yet")
    return whole + told


def _saved(path: Path, trial: Trial) -> str:
    """What there is of a trial that has not finished."""
    steps = saved_steps(path, trial)
    if not steps:
        return ""
    *resumed, last = steps
    told = "".join(f", resumed at step {step:,}" for step in resumed[-1:])
    return f"{told}, checkpoint at step {last:,}"
