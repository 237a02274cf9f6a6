"""What was run, in a sentence."""

from __future__ import annotations

from seqbench.analysis.study import Study
from seqbench.card import task as cards
from seqbench.card.extend import differences, reopened
from seqbench.card.status import Status
from seqbench.card.task import Task
from seqbench.reporting.blocks import Text
from seqbench.reporting.words import count, join
from seqbench.results import Results


class Head:
    """Stands under the title."""

    title = ""

    def blocks(self, study: Study) -> list[Text]:
        """One paragraph."""
        parts = study.results.parts
        runs = parts or {"": study.results}
        told = []
        for name, run in runs.items():
            words = [f"{name}:" if name else "", what_was_run(run), changes(run.task)]
            told.append(" ".join(filter(None, words)))
        differ = _differences([run.task for run in runs.values()], list(runs))
        return [Text([*told, *([differ] if differ else [])], "note")]


def what_was_run(results: Results) -> str:
    """One sentence: problem, protocol, how much was run, and how the trials ended."""
    task, statuses = results.task, results.trials["status"].value_counts()
    options = ", ".join(f"{key} {value}" for key, value in task.problem.options.items())
    ended = [f"{int(statuses[one]):,} {one.word}" for one in Status if one in statuses]
    name = task.problem.name.rpartition(":")[2]
    size = (
        f"{count(len(task.cells), 'cell')} × {count(len(task.lengths), 'length')} × "
        f"{count(task.seeds, 'seed')}"
    )
    return (
        f"The {name} problem{f' ({options})' if options else ''}: {size}, "
        f"{count(len(results.trials), 'trial')} of at most {task.training.steps:,} training steps: "
        f"{join(ended)}.{truncation(task)}"
    )


def _differences(tasks: list[Task], names: list[str]) -> str:
    """In what the trainings of several runs differ from the first's."""
    told = [
        f"{key} = {there!r} in {name}, {here!r} in {names[0]}"
        for task, name in zip(tasks[1:], names[1:], strict=True)
        for key, here, there in differences(tasks[0], task)
        if key.startswith("training.")
    ]
    return f"Not the same in all: {join(told)}." if told else ""


def truncation(task: Task) -> str:
    """A sentence that the gradient was cut off, since that changes what is learned; or nothing."""
    windows, segment = task.training.truncate, task.training.segment
    if not windows:
        return ""
    each = "chosen by rule" if segment == "auto" else f"of {count(segment, 'step')}"
    return (
        " Truncated back-propagation: in training no gradient was handed on between windows of "
        f"{count(windows, 'segment')} {each}, counted from the end of the sequence; the measured "
        "flow is not truncated."
    )


def changes(task: Task) -> str:
    """What a run has changed of the bundled card of its name; empty if nothing."""
    if task.name not in cards.bundled():
        return ""
    card = cards.load(task.name)
    task = reopened(task, card)
    keys = ("lengths", "seeds", "cells")
    changed = [key for key in keys if getattr(card, key) != getattr(task, key)]
    changed += [key for key, _, _ in differences(card, task)]
    if not changed:
        return ""
    return (
        f"This run differs from the bundled card in {join(changed)}; the description and the "
        "deviations are the bundled card's."
    )
