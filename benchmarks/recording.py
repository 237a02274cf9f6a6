"""What it costs to watch: one probe pass against a training step, and trials with and without."""

from __future__ import annotations

from unittest.mock import patch

import torch

from benchmarks.timing import Row, Table, interleaved, ratio
from seqbench.card import task as cards
from seqbench.card.task import Trial
from seqbench.engine.reproducible import reproducible
from seqbench.measure.flow import probe_flow
from seqbench.sweep.check import resolve
from seqbench.training import loop as training
from seqbench.training.batches import make_problem

# (card, cell, length, steps at most)
WORKS = [
    ("quickstart", "rnn", 10, 1000),
    ("adding", "lstm", 200, 500),
    ("copy", "rnn", 5, 1000),
    ("copy", "lstm", 40, 500),
]
MOST = 1.05


def measure(quick: bool) -> Table:
    """Both questions, for each work."""
    table = Table("What recording costs")
    for card, cell, length, steps in WORKS[:1] if quick else WORKS:
        trial = _trial(card, cell, length, 4 if quick else steps)
        work = f"{card}, {cell} T={length}"
        table.rows.append(_pass_against_step(trial, work, quick))
        table.rows.append(_with_against_without(trial, work, quick))
    table.notes += [
        "A probe pass is one record of the flow: output flow from every anchor and direction, and "
        "loss flow, on 32 sequences; recording at every step would cost so many steps each time.",
        "The trials are the cards' own, cut off at the number of steps told, before which records "
        "are densest: 0, 10, 30, 100, 300 and every so many as the card says.",
    ]  # fmt: skip
    return table


def _trial(card: str, cell: str, length: int, steps: int) -> Trial:
    task = cards.load(card, {"training.steps": steps, "lengths": [length], "seeds": 1})
    return next(trial for trial in resolve(task).trials() if trial.cell.label == cell)


def _pass_against_step(trial: Trial, work: str, quick: bool) -> Row:
    with reproducible("cpu"):
        problem = make_problem(trial)
        model = training.make_model(trial, problem)
        run = training.Run(trial, problem, model, torch.device("cpu"))
        boundaries = trial.recording.boundaries
        taken = interleaved(
            {
                "probe": lambda: probe_flow(model, problem, run.probe, run.u_CO, boundaries),
                "step": lambda: run.step(1),
            },
            seconds=0 if quick else 4,
        )
    value, spread = ratio(taken["probe"], taken["step"])
    return Row(work, "one probe pass", "one training step", value, spread=spread)


def _with_against_without(trial: Trial, work: str, quick: bool) -> Row:
    records = []

    def watched() -> None:
        records.append(training.run(trial).flow["step"].nunique())

    flow = training.run(trial).flow.drop(columns="step").head(1)

    def unwatched() -> None:
        with patch.object(training, "probe_flow", lambda *_: flow):
            training.run(trial)

    both = {"with": watched, "without": unwatched}
    taken = interleaved(both, seconds=0, fewest=2 if quick else 5)
    value, spread = ratio(taken["with"], taken["without"])
    told = f"{work}, at most {trial.training.steps:,} steps"
    return Row(told, "whole trial", "the same without records", value, None if quick else MOST,
               spread=spread, more={"records": records[-1]})  # fmt: skip
