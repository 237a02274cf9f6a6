"""One training run: a model, a problem at one length, a seed; watched while it learns.

Shapes: T steps, B sequences, I inputs, H outputs of the layer, O outputs of the readout.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn

from seqbench import plugins
from seqbench.card.status import Status
from seqbench.card.task import PASSED, Trial
from seqbench.engine.cut import choose
from seqbench.engine.reproducible import reproducible
from seqbench.measure.diagnostics import instruments
from seqbench.measure.diagnostics.instruments import Readings
from seqbench.measure.diagnostics.moment import Moment
from seqbench.measure.flow import probe_flow
from seqbench.measure.probe import PROBE_SIZE, cotangents
from seqbench.measure.state import precision
from seqbench.models.deep import Layers
from seqbench.models.demands import check_trainable
from seqbench.models.initial import glorot_readout, learn_starts
from seqbench.models.kinds import build
from seqbench.models.recurrent import Model
from seqbench.problems.batch import Batch, Problem, capabilities
from seqbench.training.batches import Batches, generator, make_problem, seed_for
from seqbench.training.evaluation import evaluate
from seqbench.training.lengths import Lengths
from seqbench.training.objective import gradient_of_loss
from seqbench.training.optimizer import make_optimizer, rate_at
from seqbench.training.outcome import Outcome, needed_lags
from seqbench.training.state import (
    Snapshot,
    Timer,
    of_module,
    of_object,
    of_random,
    to_module,
    to_object,
    to_random,
)

IN_A_ROW = 3  # evaluations that must meet the criterion; final values are a mean over as many


def make_model(trial: Trial, problem: Problem) -> Model:
    """The trial's model, initialised from its own seed; the global random state is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_for("init", trial))
        model = build(
            plugins.load(trial.cell.source),
            length=trial.length,
            steps=problem.steps,
            input_size=problem.input_size,
            hidden_size=trial.hidden_size,
            output_size=problem.output_size,
            vocabulary=capabilities(problem).vocabulary,
            layers=trial.cell.layers,
            kind=trial.cell.kind,
            leave_out=trial.cell.leave_out,
            options=trial.cell.options,
        )
        if trial.training.readout == "glorot":
            glorot_readout(model.readout)
        if trial.cell.learned_start:
            learn_starts(model)
        return model


class Evaluated(NamedTuple):
    """The model has been evaluated after so many training steps."""

    step: int
    loss: float


class Resumed(NamedTuple):
    """The training steps that were taken before."""

    step: int


Steps = Generator[Resumed | Evaluated | Snapshot, None, Outcome]


def train(trial: Trial, *, device: str = "cpu", state: dict[str, Any] | None = None) -> Steps:
    """Train, evaluate, record. The same trial gives the same numbers, bit for bit, on one machine.

    Args:
        trial: its names are looked up.
        device: "cpu" or "cuda"; data are drawn on the CPU either way.
        state: of a Snapshot of the same trial, to go on from; the numbers are the same.

    Yields:
        Resumed once it goes on from a state; Evaluated at every evaluation; a Snapshot every so
        often, as the card says.

    Returns:
        An Outcome with status "solved", "done" or "diverged". What the cell raises passes through.
    """
    with reproducible(device):
        problem = make_problem(trial)
        model = make_model(trial, problem).to(device)
        torch.manual_seed(seed_for("training", trial))  # for a cell that draws, as dropout does
        run = Run(trial, problem, model, torch.device(device))
        if state is not None:
            run.restore(state)
            yield Resumed(run.watch.step)
        return (yield from run.finish())


def run(trial: Trial, *, device: str = "cpu") -> Outcome:
    """`train` from beginning to end."""
    steps = train(trial, device=device)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome


@dataclass
class _Watch:
    """What has been seen so far."""

    step: int = 0  # training steps taken
    curves: list[dict[str, Any]] = field(default_factory=list)
    flow: dict[int, pd.DataFrame] = field(default_factory=dict)  # by step
    good: int = 0  # evaluations in a row that met the criterion
    right: int = 0  # training sequences in a row that were right, where the card counts them
    solved_at: int | None = None
    diverged_at: int | None = None
    passed: bool = False  # the loss has passed the reference baseline
    before: tuple[int, dict[str, Tensor]] | None = None  # last evaluation: step, parameters


class Run:
    """A trial under way: its model, its batches, and what has been seen of it so far."""

    def __init__(self, trial: Trial, problem: Problem, model: Model, device: torch.device) -> None:
        self.trial, self.problem, self.model, self.device = trial, problem, model, device
        check_trainable(model, self.typical_inputs())
        self.optimizer = make_optimizer(model.parameters(), trial)
        self.batches = Batches(trial, problem)
        self.evaluations = generator("evaluation", trial)
        self.cut = choose(model, self.typical_inputs(), trial.training)
        probe_draws = generator("probe", trial, by_seed=False)
        self.probe = problem.sample(PROBE_SIZE, probe_draws).to(device)
        self.u_CO = cotangents(problem.output_size, probe_draws)
        self.watch = _Watch()
        self.readings = Readings(instruments.make(trial.recording.diagnostics, problem), trial)
        self.lengths = Lengths(trial, problem, device)
        self.losses: list[Tensor] = []  # since the last evaluation, on the device
        self.norms: list[Tensor] = []
        self.started = time.perf_counter()

    def state(self) -> dict[str, Any]:
        """All that the rest of the trial depends on."""
        return {
            "watch": vars(self.watch),
            "model": of_module(self.model),
            "optimizer": self.optimizer.state_dict(),
            "random": of_random(self.device),
            "batches": self.batches.state(),
            "evaluations": self.evaluations.get_state(),
            "readings": self.readings.state(),
            "diagnostics": [of_object(one.measure) for one in self.readings.instruments],
            "lengths": self.lengths.rows,
            "losses": torch.stack(self.losses) if self.losses else None,
            "norms": torch.stack(self.norms) if self.norms else None,
            "seconds": time.perf_counter() - self.started,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.watch = _Watch(**state["watch"])
        to_module(self.model, state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        to_random(self.device, state["random"])
        self.batches.restore(state["batches"])
        self.evaluations.set_state(state["evaluations"])
        self.readings.restore(state["readings"])
        for one, kept in zip(self.readings.instruments, state["diagnostics"], strict=True):
            to_object(one.measure, kept)
        self.lengths.rows = state["lengths"]
        self.losses = list(state["losses"]) if state["losses"] is not None else []
        self.norms = list(state["norms"]) if state["norms"] is not None else []
        self.started = time.perf_counter() - state["seconds"]

    def finish(self) -> Steps:
        """Train until solved, diverged or out of budget."""
        training, watch = self.trial.training, self.watch
        record_at = self.trial.recording.steps(training.steps)
        timer = Timer(training.checkpoint_every)
        while True:
            step = watch.step
            if step % training.eval_every == 0 or step == training.steps or self.over():
                self.look(step)
                yield Evaluated(step, watch.curves[-1]["loss"])
            if step in record_at:
                self.record(step)
            else:
                self.readings.at_record(self.moment(step), flow=False)
            if step % self.trial.recording.every == 0:
                self.lengths.look(self.model, step)
            if step == training.steps or self.over():
                break
            watch.step += 1
            self.step(watch.step)
            if timer.is_due():
                yield Snapshot(watch.step, self.state)
        self.record(step)
        self.readings.at_record(self.moment(step), flow=True, last=True)
        self.lengths.look(self.model, step, last=True)
        return self.outcome(step, time.perf_counter() - self.started)

    def typical_inputs(self) -> Tensor:
        """As large as a training batch's."""
        size = (self.problem.steps, self.trial.training.batch_size)
        if capabilities(self.problem).vocabulary:
            return torch.zeros(size, dtype=torch.int64, device=self.device)
        return torch.zeros(*size, self.problem.input_size, device=self.device)

    def over(self) -> bool:
        """Whether there is nothing left to learn."""
        watch = self.watch
        solved = watch.solved_at is not None and self.trial.training.stop_when_solved
        return solved or watch.diverged_at is not None

    def step(self, number: int) -> None:
        """One training step, the `number`th."""
        training, parameters = self.trial.training, list(self.model.parameters())
        batch = self.batches.next()
        if training.right_in_a_row:
            self.count_right(number, batch)
        for p in parameters:
            p.grad = None  # as zero_grad does, which also tells a profiler and takes 60 µs for it
        self.losses.append(gradient_of_loss(self.model, self.problem, batch, self.cut))
        gradients = [p.grad for p in parameters if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        self.norms.append(norm)
        self.readings.after_backward(self.moment(number, batch))
        if self.trial.clip_norm:
            nn.utils.clip_grads_with_norm_(parameters, self.trial.clip_norm, norm)
        if training.clip_value:
            nn.utils.clip_grad_value_(parameters, training.clip_value)
        if training.schedule != "constant":
            share = rate_at(training.schedule, number, training.steps)
            for group in self.optimizer.param_groups:
                group["lr"] = self.trial.learning_rate * share
        self.optimizer.step()

    def count_right(self, number: int, batch: Batch) -> None:
        """How many training sequences in a row were right when they came, before the step on them;
        a batch that is not all right counts as none."""
        watch = self.watch
        here = batch.to(self.device)
        all_right = evaluate(self.model, self.problem, here)["score"] == 1.0
        watch.right = watch.right + batch.inputs.shape[1] if all_right else 0
        if watch.right >= self.trial.training.right_in_a_row and watch.solved_at is None:
            watch.solved_at = number

    def look(self, step: int) -> None:
        """Evaluate, and note what this evaluation changes."""
        watch, batch = self.watch, self.evaluation_batch()
        numbers = evaluate(self.model, self.problem, batch)
        norm = torch.stack(self.norms).double().mean().item() if self.norms else math.nan
        watch.curves.append(numbers | {"step": step, "gradient_norm": norm})
        watch.diverged_at = self.first_broken_step(step, numbers["loss"])
        self.losses, self.norms = [], []
        self.readings.gather()
        watch.good = watch.good + 1 if self.problem.solved(numbers) else 0
        by_evaluations = not self.trial.training.right_in_a_row
        if by_evaluations and watch.good == IN_A_ROW and watch.solved_at is None:
            watch.solved_at = watch.curves[-IN_A_ROW]["step"]
        self.record_around_passing(step, numbers["loss"])

    def evaluation_batch(self) -> Batch:
        """Fresh sequences; a problem with a fixed training set has a fixed evaluation set too, one
        with held-out parts its validation part."""
        size, can = self.trial.training.eval_size, capabilities(self.problem)
        if can.train_set or can.held_out:
            self.evaluations.manual_seed(seed_for("evaluation", self.trial))
        if can.held_out:
            return can.held_out("validation", size, self.evaluations).to(self.device)
        return self.problem.sample(size, self.evaluations).to(self.device)

    def first_broken_step(self, step: int, loss: float) -> int | None:
        """The step whose loss was NaN or inf: in training since the last look, or now."""
        if self.losses:
            broken = (~torch.stack(self.losses).isfinite()).nonzero()
            if len(broken):
                return step - len(self.losses) + int(broken[0])
        return None if math.isfinite(loss) else step

    def record(self, step: int) -> None:
        """Measure the gradient flow now, and what else the card asks for."""
        if step not in self.watch.flow:
            self.watch.flow[step] = probe_flow(
                self.model,
                self.problem,
                self.probe,
                self.u_CO,
                self.trial.recording.boundaries,
            )
        self.readings.at_record(self.moment(step), flow=True)

    def moment(self, step: int, batch: Batch | None = None) -> Moment:
        """What a diagnostic is shown: the probe batch, unless it looks at a training step."""
        clips = self.trial.clip_norm, self.trial.training.clip_value
        return Moment(step, self.model, self.problem, batch or self.probe, self.u_CO, *clips)

    def record_around_passing(self, step: int, loss: float) -> None:
        """When the loss first passes the reference baseline: measure at this evaluation, and as it
        was at the one before, so that a report can tell what came first."""
        watch = self.watch
        reference = next(iter(self.problem.baselines.values())).loss
        if watch.passed:
            return
        now = {name: value.clone() for name, value in self.model.state_dict().items()}
        if loss < PASSED * reference and watch.before is not None:
            self.record(step)
            earlier, parameters = watch.before
            self.model.load_state_dict(parameters)
            self.record(earlier)
            self.model.load_state_dict(now)
            watch.passed, watch.before = True, None
        else:
            watch.before = step, now

    def outcome(self, steps: int, seconds: float) -> Outcome:
        """Sum up."""
        watch, problem = self.watch, self.problem
        status = Status.SOLVED if watch.solved_at is not None else Status.DONE
        if watch.diverged_at is not None:
            status, steps = Status.DIVERGED, watch.diverged_at
        curves = pd.DataFrame(watch.curves)
        last = curves.tail(IN_A_ROW)
        reference = next(iter(problem.baselines.values()))
        summary = {
            "status": status,
            "steps": steps,
            "solved_at": watch.solved_at,
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "seconds": seconds,
            "loss": last["loss"].mean(skipna=False),
            "score": last["score"].mean(skipna=False),
            "baseline": reference.loss,
            "baseline_score": reference.score,
            "error": None,
            "baselines": {name: line.loss for name, line in problem.baselines.items()},
            "needed_lags": needed_lags(problem, self.probe),
            "probe_size": PROBE_SIZE,
            "probe_precision": precision(self.model, self.probe.inputs),
            **self.cut.summary(),
        }
        if isinstance(self.model.stack, Layers):
            summary["chain"] = "layers"  # what its length and its lags count
        flow = pd.concat([watch.flow[s].assign(step=s) for s in sorted(watch.flow)])
        flow, readings = flow.reset_index(drop=True), self.readings.table()
        return Outcome(summary, curves, flow, readings, pd.DataFrame(self.lengths.rows))
