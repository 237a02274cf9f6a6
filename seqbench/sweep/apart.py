"""Somebody's code that no sweep runs: `flow`, `check`, `show`, each in a process of its own.

What ends that process, or never comes to an end in it, is told as a mistake in the class.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from seqbench.errors import InputError
from seqbench.measure.seen import Gate, Untrained
from seqbench.problems.example import Example
from seqbench.results import from_parquet
from seqbench.sweep.check import SILENCE
from seqbench.sweep.executors.messages import Message
from seqbench.sweep.executors.remote import Died, call

FEW = 10  # steps that are tried first
TIMES = 50.0  # as long as that, by their number, may the whole sequence take


def untrained(cells: Sequence[str], **asked: Any) -> Untrained:
    """`seqbench.measure.untrained.look`.

    Raises:
        InputError: what that raises, and a cell that ends the process or hangs.
    """
    told = _call("seqbench.sweep.apart:look", {"cells": list(cells), **asked}, ", ".join(cells))
    *_, (found, parts) = told
    table = from_parquet(parts["table"])
    gates = {cell: Gate(*gate) for cell, gate in found["gates"].items()}
    return Untrained(table, found["float32_zeros"], gates, found["unreached"])


def look(asked: dict[str, Any]) -> Iterator[Message]:
    """In that process."""
    from seqbench.measure import untrained

    started, few = time.monotonic(), min(asked["length"], FEW)
    untrained.look(**asked | {"length": few})
    each = (time.monotonic() - started) / few
    yield {"patience": SILENCE + TIMES * each * asked["length"]}, {}
    seen = untrained.look(**asked)
    found = {"float32_zeros": seen.float32_zeros, "unreached": seen.unreached}
    yield found | {"gates": seen.gates}, {"table": seen.table.to_parquet()}


def examined(function: str, subject: str, **asked: Any) -> Iterator[tuple[str, str]]:
    """The results of checks: status, and the text for a person.

    Args:
        function: "examine" or "examine_problem", of `seqbench.testing.examination`.

    Raises:
        InputError: what that raises, and a class that ends the process or hangs.
    """
    asked |= {"function": function, "subject": subject}
    for head, _ in _call("seqbench.testing.examination:work", asked, subject):
        if "text" in head:
            yield head["status"], head["text"]


def shown(problem: str, **asked: Any) -> tuple[Example, dict[str, tuple[float, float]]]:
    """The first sequence that a problem draws, and its baselines: name -> loss, score.

    Raises:
        InputError: no such problem or option, and a problem that ends the process or hangs.
    """
    *_, (found, parts) = _call("seqbench.sweep.apart:draw", asked | {"problem": problem}, problem)
    inputs = from_parquet(parts["inputs"]).to_numpy()
    needs = {int(anchor): steps for anchor, steps in found["needs"].items()}
    words = {name: found[name] for name in ("channels", "shown", "targets")}
    return Example(inputs=inputs, needs=needs, **words), found["baselines"]


def draw(asked: dict[str, Any]) -> Iterator[Message]:
    """In that process."""
    from seqbench import plugins
    from seqbench.problems.draw_example import example

    problem, options = asked["problem"], asked["options"]
    cls = plugins.load(plugins.resolve(problem, "problems"))
    plugins.check_options(cls, options, ("length",), f"problem {problem}")
    try:
        made = cls(asked["length"], **options)
        sequence = vars(example(made, asked["seed"]))
        baselines = {name: (told.loss, told.score) for name, told in made.baselines.items()}
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(
            f"problem {problem}: {plugins.own_words(error)}\n"
            f"allowed: a problem that seqbench check-problem {problem} finds no fault with"
        ) from None
    inputs = pd.DataFrame(sequence.pop("inputs")).rename(columns=str)
    yield sequence | {"baselines": baselines}, {"inputs": inputs.to_parquet()}


def _call(function: str, asked: dict[str, Any], subject: str) -> Iterator[Message]:
    at = ""
    try:
        json.dumps(asked)
    except TypeError:
        raise InputError(
            f"{subject}: {asked['options']}\nallowed: texts, numbers, true or false, lists, tables"
        ) from None
    try:
        for head, parts in call(function, asked, SILENCE):
            at = head.get("at", at)
            yield head, parts
    except Died as how:
        where = f"{subject}: {at}" if at else subject
        raise InputError(
            f"{where}: {how}\nallowed: code that leaves its process alone and comes to an end"
        ) from None
