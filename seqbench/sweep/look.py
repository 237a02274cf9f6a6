"""What somebody's classes are like, found out by importing and building them.

Runs in a process of its own where it can (see `seqbench.sweep.check`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from seqbench import plugins
from seqbench.card.tables import Cell
from seqbench.card.task import Task, Trial
from seqbench.errors import InputError
from seqbench.measure.diagnostics import instruments
from seqbench.problems.batch import Problem, missing
from seqbench.sweep import provenance
from seqbench.sweep.executors.messages import Message
from seqbench.sweep.widths import matched
from seqbench.training.batches import make_problem
from seqbench.training.lengths import other_problems
from seqbench.training.loop import make_model

# What the suite hands to a constructor itself.
RESERVED = {"cells": ("input_size", "hidden_size"), "problems": ("length",), "diagnostics": ()}


@dataclass
class Findings:
    """What there is to know of a task's classes.

    Attributes:
        widths: cell's label -> hidden_size, for those that are to have as many parameters as the
            reference.
        origins: what messages call a table -> where its class comes from.
        at: what is being looked at.
    """

    widths: dict[str, int] = field(default_factory=dict)
    origins: dict[str, dict[str, Any]] = field(default_factory=dict)
    at: str = ""


def work(asked: dict[str, Any]) -> Iterator[Message]:
    """Look at the classes of a task, in a process of its own; yields `Findings` as they come."""

    sources, found = asked["sources"], Findings()
    task = Task.model_validate(asked["task"]).standing_for(sources)
    reference = Cell.model_validate(asked["reference"])
    if reference.where in sources:
        reference = reference.standing_for(sources[reference.where])
    for _ in look(task, reference, found):
        yield vars(found), {}
    yield vars(found), {}


def look(task: Task, reference: Cell, found: Findings) -> Iterator[None]:
    """Import what a resolved task names and build it once, so that a mistake shows before anything
    runs; find widths; yields before each step.

    Raises:
        InputError: an option, a length or a class that can't be.
    """
    for table in task.named():
        found.at = "problem" if table is task.problem else table.where
        yield
        cls = plugins.load(table.source)
        plugins.check_options(cls, table.options, RESERVED[table.registry], found.at)
        found.origins |= {table.where: provenance.origin(table.source)}
    trials = task.trials()
    found.at = task.problem.where
    yield
    problems = {one.length: _problem(one) for one in trials if one.cell == trials[0].cell}
    for length, problem in problems.items():
        other_problems(trials[0].model_copy(update={"length": length}), problem)
    _made("recording.diagnostics", instruments.make, task.recording.diagnostics, problem)
    for cell in task.cells:
        found.at = cell.where
        yield
        first = next(trial for trial in trials if trial.cell == cell)
        try:
            make_model(first, problems[first.length])
        except InputError as error:
            raise InputError(f"{cell.where}: {error}") from None
        except (Exception, SystemExit):  # its trials end in "error", with its own words
            continue
    for label, width in matched(task, reference):
        found.widths[label] = width
        yield


def _problem(trial: Trial) -> Problem:
    """Made, and able to say of itself what the suite asks of a problem."""
    problem: Problem = _made(trial.problem.where, make_problem, trial)
    if lacking := missing(problem):
        raise InputError(
            f"problem.name = {trial.problem.name!r} is no problem: it has no {', '.join(lacking)}\n"
            "allowed: a class as docs/adding-a-problem.md says; seqbench check-problem says more"
        )
    return problem


def _made(where: str, make: Callable[..., Any], *given: Any) -> Any:
    """What somebody's class raises while it is made is told with its place."""
    try:
        return make(*given)
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(
            f"{where}: {plugins.own_words(error)}\nallowed: a class that can be made of its options"
        ) from None
