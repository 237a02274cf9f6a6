"""The optimiser, its learning rate over the steps, and when training stops."""

import math

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from seqbench import InputError
from seqbench.card import task as cards
from seqbench.sweep.check import resolve
from seqbench.training import loop as training
from seqbench.training.optimizer import make_optimizer, rate_at

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


def make(**options):
    changes = {f"training.{key}": value for key, value in options.items()}
    return resolve(cards.parse(CARD, "tiny.toml", changes)).trials()[0]


def of(trial, cls):
    """The same trial with this class as its cell."""
    return trial.model_copy(update={"cell": trial.cell.standing_for(cls)})


@given(st.integers(1, 60))
def test_schedules_are_those_of_torch(steps):
    for name, theirs in {
        "linear": lambda o: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.0, steps),
        "cosine": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, steps),
    }.items():
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        scheduler = theirs(optimizer)
        for step in range(1, steps + 1):
            assert rate_at(name, step, steps) == pytest.approx(
                optimizer.param_groups[0]["lr"], abs=1e-9
            )
            optimizer.step()
            scheduler.step()
        assert rate_at("constant", step, steps) == 1.0


def test_a_trial_with_a_schedule_takes_its_steps_with_it():
    """One step of SGD a batch: the changes of the parameters are rate times gradient."""
    trial = make(optimizer="sgd", schedule="linear", steps=4, learning_rate=0.1)
    problem = training.make_problem(trial)
    torch.manual_seed(0)
    model = training.make_model(of(trial, nn.GRU), problem)
    one = training.Run(trial, problem, model, torch.device("cpu"))
    for step in range(1, 5):
        before = [p.detach().clone() for p in model.parameters()]
        one.step(step)
        for p, old in zip(model.parameters(), before, strict=True):
            torch.testing.assert_close(p.detach(), old - 0.1 * (1 - (step - 1) / 4) * p.grad)


def test_a_trial_without_these_options_keeps_its_key():
    """Keys of runs on disk, from before there were any."""
    assert cards.SCHEMA != 1 or make().key == KEY
    assert make(schedule="cosine").key != make().key


KEY = "d1dfee3cba31431d"


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_rmsprop_with_mean_squares_that_start_above_0(momentum):
    """Against the recursion, written out in float64."""
    trial = make(
        optimizer="rmsprop", accumulator_start=1e-3, momentum=momentum, eps=1e-6, decay=0.8
    )
    p = torch.tensor([0.5, -2.0], dtype=torch.float64, requires_grad=True)
    optimizer = make_optimizer([p], trial)
    expected, square, velocity = p.detach().clone(), torch.full((2,), 1e-3), torch.zeros(2)
    for step in range(1, 6):
        p.grad = torch.tensor([0.1 * step, -1.0], dtype=torch.float64)
        square = 0.8 * square + 0.2 * p.grad**2
        velocity = momentum * velocity + p.grad / (square.sqrt() + 1e-6)
        expected -= 1e-2 * velocity
        optimizer.step()
        torch.testing.assert_close(p.detach(), expected, rtol=1e-6, atol=1e-9)


def test_options_of_the_optimiser_are_those_of_the_papers():
    p = [torch.zeros(1, requires_grad=True)]
    assert make_optimizer(p, make(optimizer="rmsprop")).defaults["alpha"] == 0.9
    assert make_optimizer(p, make(optimizer="rmsprop", decay=0.99)).defaults["alpha"] == 0.99
    adam = make_optimizer(p, make(decay=0.99, eps=1e-4)).defaults
    assert (adam["betas"], adam["eps"]) == ((0.9, 0.99), 1e-4)
    assert make_optimizer(p, make(optimizer="sgd", momentum=0.9)).defaults["momentum"] == 0.9


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"schedule": "steps"}, "training.schedule = 'steps'\nallowed: 'constant', 'cosine'"),
        ({"optimizer": "sgd", "eps": 1e-8}, "eps is no option of 'sgd', only of adam and rmsprop"),
        ({"momentum": 0.9}, "momentum is no option of 'adam'"),
        ({"accumulator_start": 1e-3}, "accumulator_start is no option of 'adam'"),
        ({"optimizer": "sgd", "momentum": 1.0}, "momentum = 1.0\nallowed: less than 1"),
        ({"right_in_a_row": -1}, "right_in_a_row = -1\nallowed: 0 or more"),
    ],
)
def test_what_can_not_be_is_said(options, words):
    with pytest.raises(InputError, match=words):
        make(**options)


class Exact(nn.Module):
    """Adds what is marked; its answer is right once the readout is."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x, total=None):
        now = x[:, :1] * x[:, 1:] + 0.0 * self.unused
        return now if total is None else total + now


def test_training_stops_when_so_many_sequences_in_a_row_were_right():
    trial = make(right_in_a_row=64, steps=2000, eval_every=700, batch_size=4, learning_rate=3e-2)
    outcome = training.run(of(trial, Exact))
    summary = outcome.summary
    assert summary["status"] == "solved"
    assert summary["solved_at"] == summary["steps"] < 700, "not an evaluation's step"
    assert summary["steps"] >= 16, "64 sequences, 4 a step"
    assert outcome.curves.step.tolist() == [0, summary["steps"]], "looked at once more at the end"
    assert math.isclose(outcome.curves.score.iloc[-1], 1.0)
    goes_on = {"right_in_a_row": 64, "stop_when_solved": False, "steps": 300, "eval_every": 10}
    whole = training.run(of(make(**goes_on, batch_size=4, learning_rate=3e-2), Exact))
    assert whole.summary["steps"] == 300
    assert whole.summary["solved_at"] == summary["solved_at"]


def test_without_the_option_no_sequence_is_looked_at_twice(monkeypatch):
    monkeypatch.delattr(training.Run, "count_right")
    assert isinstance(training.run(make()).curves, pd.DataFrame)


def test_weight_decay_draws_matrices_to_0_and_leaves_biases_alone():
    rate, decay = 0.1, 0.25
    matrix, bias = nn.Parameter(torch.ones(2, 3)), nn.Parameter(torch.ones(3))
    optimizer = make_optimizer(
        [matrix, bias], make(optimizer="sgd", learning_rate=rate, weight_decay=decay)
    )
    matrix.grad, bias.grad = torch.full((2, 3), 0.5), torch.full((3,), 0.5)
    optimizer.step()
    torch.testing.assert_close(matrix.detach(), torch.full((2, 3), 1 - rate * (0.5 + decay)))
    torch.testing.assert_close(bias.detach(), torch.full((3,), 1 - rate * 0.5))
