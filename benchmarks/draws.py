"""What drawing a batch costs, of the training step that uses it."""

from __future__ import annotations

import statistics

import torch

from benchmarks.timing import Row, Table, interleaved
from seqbench.card import task as cards
from seqbench.engine.cut import choose
from seqbench.sweep.check import resolve
from seqbench.training.batches import Batches, make_problem
from seqbench.training.loop import make_model, reproducible
from seqbench.training.objective import gradient_of_loss

TARGET = 0.05


def measure(quick: bool) -> Table:
    """Each card of a problem, at its shortest length, with its cheapest cell."""
    table = Table("Drawing a batch")
    names = [name for name in cards.bundled() if cards.load(name).training.eval_size == 500]
    for name in names[:2] if quick else names:
        table.rows.append(_row(name, quick))
    return table


def _row(name: str, quick: bool) -> Row:
    task = resolve(cards.load(name))
    trial = min(task.trials(), key=lambda trial: trial.length)
    trial = trial.model_copy(update={"cell": trial.cell.model_copy(update={"learning_rate": 1e-3})})
    problem = make_problem(trial)
    with reproducible("cpu"):
        model = make_model(trial, problem)
        batches = Batches(trial, problem)
        batch = batches.next()
        cut = choose(model, batch.inputs, trial.training)
        optimizer = torch.optim.Adam(model.parameters(), fused=True)

        def step() -> None:
            optimizer.zero_grad(set_to_none=True)
            gradient_of_loss(model, problem, batch, cut)
            optimizer.step()

        each = {"draw": batches.next, "step": step}
        taken = interleaved(each, seconds=0.1 if quick else 3, fewest=2 if quick else 30)
    draw, whole = (statistics.median(taken[side]) for side in ("draw", "step"))
    shares = [d / (d + s) for d, s in zip(taken["draw"], taken["step"], strict=True)]
    low, _, high = statistics.quantiles(shares, n=4)
    work = f"{name}, {trial.cell.label} T={trial.length} B={trial.training.batch_size}"
    return Row(work, "drawing the batch", "the training step, drawing included",
               draw / (draw + whole), TARGET, "x", spread=(low, high))  # fmt: skip
