"""What a command asks for, checked: before anything runs or is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seqbench import plugins, results
from seqbench.analysis import rates as tried_rates
from seqbench.card import task as cards
from seqbench.card.extend import merge
from seqbench.card.status import Status
from seqbench.card.task import Cell, ProblemTable, Recording, Task, Trial
from seqbench.errors import InputError
from seqbench.sweep import tuning
from seqbench.sweep import widths as match


@dataclass
class Plan:
    """What a command asks for, checked, before anything runs or is written.

    Attributes:
        path: the run's folder.
        task: what is asked.
        stored: the task of the folder afterwards: what was there and what is asked.
        missing: trials that are not finished, largest first.
        cells: label -> resolved spec, or a class that was given as one.
        first: what has to be run before, to choose learning rates; None if they are known. The
            trials of cells that wait for theirs are among the missing, without a rate.
    """

    path: Path
    task: Task
    stored: Task
    missing: list[Trial]
    cells: dict[str, str | type] = field(default_factory=dict)
    first: Plan | None = None


def plan(
    task: str | Path | Task,
    out: str | Path | None = None,
    *,
    cells: str | Sequence[str | type] | None = None,
    lengths: Iterable[int] | None = None,
    seeds: int | None = None,
    steps: int | None = None,
    overrides: dict[str, Any] | None = None,
) -> Plan:
    """Check everything that `run` is asked, and find out what is missing; writes nothing.

    Raises:
        InputError: what can't be, and what is allowed.
    """
    given = {
        "lengths": None if lengths is None else [int(length) for length in lengths],
        "seeds": seeds,
        "training.steps": steps,
    }
    said = {key: value for key, value in given.items() if value is not None}
    changes = {
        key: cards.absolute(value, Path.cwd()) if isinstance(value, str) else value
        for key, value in ((overrides or {}) | said).items()
    }
    where = task.name if isinstance(task, Task) else str(task)
    if isinstance(task, Task):
        asked = cards.parse(task.to_toml(), where, changes)
    else:
        asked = cards.load(where, changes)
    reference, specs = asked.cells[0], {}
    if isinstance(cells, str):
        cells = split_labels(cells, [cell.label for cell in asked.cells])
    if cells is not None:
        chosen, specs = choose(asked, cells)
        asked = asked.model_copy(update={"cells": chosen})
    try:
        for cell in asked.cells:
            specs.setdefault(cell.label, plugins.resolve(cell.use, "cells"))
        check(asked, specs)
        asked = match.with_widths(asked, reference, specs)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return lay_out(Path(out) if out is not None else Path("runs") / asked.name, asked, specs)


def lay_out(
    path: Path, asked: Task, specs: dict[str, str | type], *, choose_now: bool = False
) -> Plan:
    """What of a checked task is missing in a folder.

    Args:
        asked: its widths are resolved.
        specs: label -> resolved spec or class.
        choose_now: choose learning rates from what there is, even where a tuning trial has no
            result.

    Raises:
        InputError: the folder belongs to another task, or a cell has changed since.
    """
    stored = results.read_task(path)
    asked, first = with_rates(path, asked, stored, specs, choose_now)
    whole = asked if stored is None else merge(stored, asked, str(path))
    now = origins(specs, asked.problem, asked.recording)
    missing = []
    for trial in asked.trials():
        record = results.read_record(path, trial)
        if not is_result(record):
            missing.append(trial)
        else:
            check_unchanged(path, trial, record, now)
    missing.sort(key=lambda trial: (trial.length, trial.hidden_size), reverse=True)
    return Plan(path, asked, whole, missing, specs, first)


def with_rates(
    path: Path,
    task: Task,
    stored: Task | None,
    specs: dict[str, str | type],
    choose_now: bool,
) -> tuple[Task, Plan | None]:
    """The task with the learning rates that are known by now, and what must be run for the others.

    A choice that the run's task.toml has is final; else it is made once all trials of the cell at
    all rates are there.
    """
    if task.tuning is None:
        return task, None
    rates = {cell.label: cell.learning_rate for cell in (stored.cells if stored else [])}
    rates |= {cell.label: cell.learning_rate for cell in task.cells if cell.learning_rate}
    untried = [cell for cell in task.cells if not rates.get(cell.label)]
    first = None
    if untried:
        labels = {
            tried_rates.label(cell.label, rate): cell.label
            for cell in untried
            for rate in task.tuning.learning_rates
        }
        first = lay_out(path / results.TUNING, tuning.grid(task, untried),
                        {tried: specs[label] for tried, label in labels.items()})  # fmt: skip
        waiting = {labels[trial.cell.label] for trial in first.missing}
        if choose_now or len(waiting) < len(untried):
            chosen = tried_rates.best(tried_rates.table(results.load(first.path)))
            rates |= {cell.label: chosen[cell.label] for cell in untried
                      if choose_now or cell.label not in waiting}  # fmt: skip
        if choose_now or not waiting:
            first = None
    cells = [cell.model_copy(update={"learning_rate": rates.get(cell.label)})
             for cell in task.cells]  # fmt: skip
    return task.model_copy(update={"cells": cells}), first


def choose(task: Task, wanted: Iterable[str | type]) -> tuple[list[Cell], dict[str, type]]:
    """The card's cells of these labels or names; anything else becomes a cell of its own.

    Returns:
        The cells, and label -> class for those given as a class.
    """
    chosen: list[Cell] = []
    classes: dict[str, type] = {}
    for want in wanted:
        if isinstance(want, type):
            label = want.__name__
            classes[label] = want
            chosen.append(Cell(use=f"{want.__module__}:{want.__qualname__}", label=label))
            continue
        found = [c for c in task.cells if c.label == want] or [
            c for c in task.cells if c.use == want
        ]
        chosen += found or [Cell.model_validate(cards.absolute(want, Path.cwd()))]
    if not chosen:
        raise InputError("--cells: none is named\nallowed: labels, names or specs, as in rnn,lstm")
    labels = [cell.label for cell in chosen]
    for i, cell in enumerate(chosen):
        if labels.count(cell.label) > 1 and cell.label != cell.use:  # two classes of one name
            chosen[i] = cell.model_copy(update={"label": cell.use})
    labels = [cell.label for cell in chosen]
    for label in labels:
        if labels.count(label) > 1:
            raise InputError(f"cells: {label!r} is asked for twice\nallowed: each cell once")
    return chosen, classes


def split_labels(text: str, labels: Iterable[str]) -> list[str]:
    """Words between commas; a card's label that has commas itself is one of them."""
    found, rest = [], text.strip()
    while rest:
        label = max((x for x in labels if (rest + ",").startswith(x + ",")), key=len, default=None)
        word = rest.partition(",")[0] if label is None else label
        found.append(word.strip())
        rest = rest[len(word) + 1 :].strip()
    return [word for word in found if word]


def check(task: Task, cells: dict[str, str | type]) -> None:
    """Import what the task names and build it once, so that a mistake shows before anything runs.

    Raises:
        InputError: an option, a length or a class that can't be.
    """
    from seqbench.measure.diagnostics import instruments
    from seqbench.training.batches import make_problem
    from seqbench.training.loop import make_model

    trials = task.trials()
    problems = {one.length: make_problem(one) for one in trials if one.cell == trials[0].cell}
    instruments.make(task.recording.diagnostics, problems[trials[0].length])
    for cell in task.cells:
        spec = cells[cell.label]
        where = f"cells ({cell.label})"
        cls = plugins.load(spec) if isinstance(spec, str) else spec
        plugins.check_options(cls, cell.options, ("input_size", "hidden_size"), where)
        one = next(trial for trial in trials if trial.cell == cell)
        try:
            make_model(one, problems[one.length], cls)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        except Exception:  # somebody's cell: its trials end in "error", with its own words
            continue


def origins(
    cells: dict[str, str | type],
    problem: ProblemTable,
    recording: Recording,
    origin: Callable[[str | type], dict[str, Any]] = plugins.origin,
) -> dict[str, dict[str, Any]]:
    """Where the classes that a task or a trial names come from, as they are now.

    Args:
        cells: label -> resolved spec, or a class.

    Returns:
        What messages call it -> its `plugins.origin`; without what is seqbench's own.
    """
    named = {f"cells ({label})": cell for label, cell in cells.items()}
    named[f"problem ({problem.name})"] = plugins.resolve(problem.name, "problems")
    for one in recording.diagnostics:
        name = f"recording.diagnostics ({one.label})"
        named[name] = plugins.resolve(one.use, "diagnostics")
    return {name: found for name, spec in named.items() if (found := origin(spec))}


def check_unchanged(
    path: Path, trial: Trial, record: dict[str, Any], now: dict[str, dict[str, Any]]
) -> None:
    """Whether a finished trial's cell, problem and diagnostics are still what it was run with.

    Args:
        now: what `origins` returned.

    Raises:
        InputError: one of them has changed since; says which and what.
    """
    # The first runs noted the hash of the cell's file alone, in the record itself.
    then = record.get("origins", {f"cells ({trial.cell.label})": record})
    for which, origin in then.items():
        changed = plugins.difference(origin, now.get(which, {}))
        if changed:
            raise InputError(
                f"{which}: {changed} since {path} was run with it\n"
                "allowed: what it was run with, another --out, or the same --out less "
                f"{path / 'trials' / trial.folder} and its like"
            )


def is_result(record: dict[str, Any] | None) -> bool:
    """Whether what trial.json says is one; a trial that ended in error is run again."""
    return record is not None and record["summary"]["status"] != Status.ERROR
