"""One training run: repeatable, fair between cells, honest about how it ended."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from seqbench.card import task as cards
from seqbench.card.tables import Recording
from seqbench.engine.cut import Cut
from seqbench.problems.adding import Adding
from seqbench.sweep.check import resolve
from seqbench.training import loop as training
from seqbench.training.batches import Batches, generator, make_problem
from seqbench.training.evaluation import evaluate
from seqbench.training.objective import gradient_of_loss

CARD = """
name = "tiny"
lengths = [8]
seeds = 1
cells = ["gru"]
[problem]
name = "adding"
[training]
steps = 40
batch_size = 16
hidden_size = 8
learning_rate = 1e-2
eval_every = 10
eval_size = 50
[recording]
every = 20
boundaries = 4
"""


def make(cell="gru", **changes):
    return resolve(cards.parse(CARD, "tiny.toml", {"cells": [cell], **changes})).trials()[0]


def of(trial, cls):
    """The same trial with this class as its cell."""
    return trial.model_copy(update={"cell": trial.cell.standing_for(cls)})


def run(trial, cls=None):
    return training.run(of(trial, cls) if cls else trial)


def test_the_same_trial_gives_the_same_numbers_bit_for_bit():
    torch.manual_seed(1)
    one = run(make())
    torch.manual_seed(2)
    other = run(make())
    pd.testing.assert_frame_equal(one.curves, other.curves, check_exact=True)
    pd.testing.assert_frame_equal(one.flow, other.flow, check_exact=True)


def test_a_record_says_in_which_precision_the_flow_was_measured():
    class Rounding(nn.GRUCell):
        def forward(self, x, state=None):
            return super().forward(x, state).float()

    assert run(make()).summary["probe_precision"] == "float64"
    assert run(make(), Rounding).summary["probe_precision"] == "float32"


class Dropping(nn.GRUCell):
    """Draws from torch's global generator, as dropout and noise do."""

    def forward(self, x, state=None):
        return nn.functional.dropout(super().forward(x, state), 0.1, self.training)


def test_a_cell_that_draws_is_repeatable_and_each_seed_draws_its_own():
    curves = []
    for state in (1, 2):
        torch.manual_seed(state)
        curves.append(run(make(), Dropping).curves)
        assert torch.initial_seed() == state
    pd.testing.assert_frame_equal(*curves, check_exact=True)


def test_another_seed_gives_other_numbers_on_the_same_probe():
    trial = make()
    other = trial.model_copy(update={"seed": 1})
    assert run(trial).curves.loss[0] != run(other).curves.loss[0]
    probes = [generator("probe", t, by_seed=False).initial_seed() for t in (trial, other)]
    assert probes[0] == probes[1]


def test_all_cells_see_the_same_batches():
    problem = Adding(8)
    batches = [Batches(make(cell), problem) for cell in ("rnn", "lstm")]
    for _ in range(3):
        assert torch.equal(*(one.next().inputs for one in batches))


def test_a_fixed_training_set_starts_over_in_the_same_order():
    problem = Adding(8, train_set=40)  # two batches of 16, one of 8
    batches = Batches(make(), problem)
    drawn = [batches.next().inputs for _ in range(6)]
    assert [x.shape[1] for x in drawn] == [16, 16, 8, 16, 16, 8]
    assert all(torch.equal(drawn[i], drawn[i + 3]) for i in range(3))
    assert not torch.equal(drawn[0], drawn[1])


@pytest.mark.parametrize("name", ["rnn", "gru", "lstm"])
def test_training_in_segments_is_training(name):
    """The loss curve is that of plain autograd over the whole sequence, up to rounding."""
    trial = make(name, **{"training.segment": 3, "training.clip_norm": 1.0})
    curves = run(trial).curves
    problem = make_problem(trial)
    model = training.make_model(trial, problem)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    batches = Batches(trial, problem)
    for _ in range(40):
        batch = batches.next()
        optimizer.zero_grad()
        outputs = model.readout(model.stack(batch.inputs)[0])
        (problem.loss(outputs, batch.targets) * batch.loss_weights()).sum(0).mean().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    evaluations = generator("evaluation", trial)
    for _ in range(5):
        last = problem.sample(50, evaluations)
    assert evaluate(model, problem, last)["loss"] == pytest.approx(curves.loss.iloc[-1], rel=1e-3)


@pytest.mark.parametrize("problem", ["adding", "copy"])
def test_the_training_loss_and_gradient_are_the_plain_ones(problem):
    trial = make("lstm", **{"problem.name": problem})
    made = make_problem(trial)
    batch = made.sample(5, torch.Generator().manual_seed(0))
    gradients, losses = [], []
    for segment in (1, 4, 1000):
        model = training.make_model(trial, made)
        losses.append(gradient_of_loss(model, made, batch, Cut(segment)))
        gradients.append([p.grad for p in model.parameters()])
    model = training.make_model(trial, made)
    outputs = model.readout(model.stack(batch.inputs)[0])
    loss = (made.loss(outputs, batch.targets) * batch.loss_weights()).sum(0).mean()
    loss.backward()
    for found, gradient in zip(losses, gradients, strict=True):
        torch.testing.assert_close(found, loss.detach())
        for one, parameter in zip(gradient, model.parameters(), strict=True):
            torch.testing.assert_close(one, parameter.grad, rtol=1e-4, atol=1e-6)


def test_records_at_the_scheduled_steps_and_at_the_end():
    assert Recording(every=500).steps(1200) == {0, 10, 30, 100, 300, 500, 1000, 1200}
    assert run(make()).flow.step.unique().tolist() == [0, 10, 20, 30, 40]


class Knowing(nn.Module):
    """Adds up what is marked, exactly: a cell that has nothing to learn but its readout."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x, h=None):
        value = x[:, :1] * x[:, 1:] * self.scale
        return value if h is None else h + value


def test_solved_at_is_the_first_of_three_evaluations_and_training_stops_there():
    changes = {"training.steps": 2000, "training.learning_rate": 0.05}
    outcome = run(make(**changes), Knowing)
    summary, curves = outcome.summary, outcome.curves.set_index("step")
    assert summary["status"] == "solved"
    assert summary["steps"] == summary["solved_at"] + 20  # two evaluations later
    assert (curves.score[summary["solved_at"] :] >= 0.95).all()
    assert curves.score[summary["solved_at"] - 10] < 0.95
    assert summary["score"] == pytest.approx(curves.score.iloc[-3:].mean())


class Negative(Knowing):
    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        nn.init.constant_(self.scale, -3.0)


def test_flow_is_recorded_just_before_and_when_the_loss_first_passes_the_baseline():
    changes = {"training.steps": 2000, "training.learning_rate": 0.01, "recording.every": 1999}
    outcome = run(make(**changes), Negative)
    passed = outcome.curves.loss < cards.PASSED * outcome.summary["baseline"]
    below = outcome.curves.step[passed].min()
    assert {below - 10, below} <= set(outcome.flow.step)
    # and it is a measurement of the parameters of that step, not of those at its discovery
    again = run(make(**{**changes, "recording.every": int(below - 10)}), Negative)
    for step in (0, below - 10):
        one, other = (x.flow[x.flow.step == step].reset_index(drop=True) for x in (outcome, again))
        pd.testing.assert_frame_equal(one, other, check_exact=True)


class Exploding(Knowing):
    def forward(self, x, h=None):
        with torch.no_grad():
            self.scale += 1.0 / len(x) * (len(x) == 16)  # once a step of 8 training inputs: 1/2
        return super().forward(x, h) * torch.where(self.scale < 7.2, 1.0, math.inf)


def test_a_loss_that_is_not_finite_ends_the_trial_as_diverged_with_its_step():
    outcome = run(make(**{"training.learning_rate": 1e-9}), Exploding)
    assert outcome.summary["status"] == "diverged"
    assert (
        outcome.summary["steps"] == 12
    )  # 1 + 12.4 steps x 1/2 reaches 7.2 within the 13th, 0-based 12
    assert outcome.curves.step.iloc[-1] == 20
    assert not np.isfinite(outcome.curves.loss.iloc[-1])


def test_needed_lags_of_the_probe():
    (need,) = run(make()).summary["needed_lags"]
    assert need["anchor"] == 8
    (low, _, high), (low2, _, high2) = need["lags"]
    assert 4 <= low <= high <= 7  # the first half of the sequence
    assert 0 <= low2 <= high2 <= 3
