"""What a trial costs, found out by doing a little of it: a few steps, an evaluation, a record."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import torch

from seqbench.card.task import Trial
from seqbench.engine.reproducible import reproducible
from seqbench.problems.batch import Problem, capabilities
from seqbench.training.batches import generator, make_problem, seed_for
from seqbench.training.evaluation import CHUNK
from seqbench.training.lengths import EVERYTHING
from seqbench.training.loop import Run, make_model

WARM = 0.5  # seconds: what takes less is done once more, and the first time does not count
STEPS = 20  # timed at most


def timed(trial: Trial, device: str = "cpu") -> dict[str, float]:
    """Seconds of each thing that a trial does; nothing of it is kept.

    Args:
        trial: its names are looked up.

    Returns:
        setup: once. step: a training step, with what is read at steps. evaluation. record: of the
        flow, with what is read beside it. lengths: an evaluation at other lengths. last: finite
        data, once at the end. What the cell raises passes through.
    """
    training = trial.training
    size = min(training.eval_size, CHUNK)
    small = trial.model_copy(update={"training": training.model_copy(update={"eval_size": size})})
    share = training.eval_size / size
    with reproducible(device):
        began = time.perf_counter()
        problem = make_problem(trial)
        model = make_model(trial, problem).to(device)
        torch.manual_seed(seed_for("training", trial))
        run = Run(small, problem, model, torch.device(device))
        found = {"setup": time.perf_counter() - began}
        found["evaluation"] = share * _seconds(lambda: run.look(0))
        found |= _readings(run)
        found["record"] += _seconds(lambda: run.record(len(run.watch.flow)))
        found["step"] += _step(run)
        found["lengths"] = 0.0
        if run.lengths.others:
            found["lengths"] = share * _seconds(
                lambda: run.lengths.look(model, len(run.lengths.rows))
            )
        found["last"] = found["evaluation"] * _at_the_end(trial, problem) / training.eval_size
    return found


def _at_the_end(trial: Trial, problem: Problem) -> int:
    """How many sequences a trial is evaluated on once more when it has ended."""
    can, count = capabilities(problem), 0
    if can.held_out:
        count += can.held_out("test", EVERYTHING, generator("test", trial)).inputs.shape[1]
    if can.training_set:
        count += can.training_set().inputs.shape[1]
    return count


def _readings(run: Run) -> dict[str, float]:
    """What diagnostics cost at each record, and at each step; they are called no more."""
    found = {"record": 0.0, "step": 0.0}
    for one in run.readings.instruments:
        if one.at_steps:
            run.step(0)  # there are gradients to look at
        seconds = _seconds(partial(one.measure, run.moment(0)))
        often = one.at_steps or one.every
        found["step" if often else "record"] += seconds / (one.every or 1)
    run.readings.instruments = []
    return found


def _step(run: Run) -> float:
    """A training step."""
    first = _once(partial(run.step, 1))
    if first > WARM:
        return first
    count = max(2, min(STEPS, int(WARM / first)))

    def steps() -> None:
        for _ in range(count):
            run.step(1)

    return _once(steps) / count


def _seconds(do: Callable[[], object]) -> float:
    first = _once(do)
    return first if first > WARM else _once(do)


def _once(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter() - began
