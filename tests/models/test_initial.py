"""Initial states that are learned; how matrices and the readout are drawn."""

import math

import pytest
import torch
from torch import nn

from seqbench import InputError
from seqbench.card import task as cards
from seqbench.cells.lstm import LSTM
from seqbench.cells.rnn import RNN
from seqbench.models.initial import LearnedStart, glorot_readout, learn_starts
from seqbench.sweep.check import resolve
from seqbench.training import loop as training

CARD = """
name = "tiny"
lengths = [8]
seeds = 1
cells = [{ use = "CELL", learned_start = true }]
[problem]
name = "adding"
[training]
steps = 30
batch_size = 8
hidden_size = 6
eval_every = 30
eval_size = 20
readout = "glorot"
"""


def trial_of(cell, **changes):
    return resolve(cards.parse(CARD.replace("CELL", cell), "c", changes)).trials()[0]


@pytest.mark.parametrize("layer", [nn.LSTM(2, 3), nn.GRU(2, 3), nn.RNN(2, 3)], ids=str)
def test_a_learned_start_is_the_layers_initial_state(layer):
    torch.manual_seed(0)
    learned, inputs = LearnedStart(layer, 2), torch.randn(7, 4, 2)
    for start in learned.starts:
        nn.init.normal_(start)
    given = [start.expand(1, 4, 3).contiguous() for start in learned.starts]
    expected = layer(inputs, tuple(given) if len(given) > 1 else given[0])[0]
    outputs = learned(inputs)[0]
    torch.testing.assert_close(outputs, expected)
    first, cut = learned(inputs[:3])
    second, _ = learned(inputs[3:], cut)
    torch.testing.assert_close(torch.cat([first, second]), expected)
    zeros = tuple(torch.zeros(1, 4, 3) for _ in given)
    same, _ = learned(inputs, zeros if len(given) > 1 else zeros[0])
    torch.testing.assert_close(same, expected, msg="no state is a state of zeros")


@pytest.mark.parametrize("cell", ["lstm", "rnn", "lstm_damped"])
def test_a_trial_learns_its_initial_state_and_is_measured(cell):
    trial = trial_of(cell)
    model = training.make_model(trial, training.make_problem(trial))
    starts = list(model.stack.layers[0].starts)
    assert all(start.abs().max() == 0 for start in starts)
    outcome = training.run(trial)
    assert outcome.summary["status"] == "done"
    assert outcome.summary["parameters"] == sum(p.numel() for p in model.parameters())
    assert outcome.flow["whitened"].notna().any()


def test_the_gradient_of_a_learned_start_is_that_of_one_graph():
    trial = trial_of("lstm", **{"training.segment": 3})
    problem = training.make_problem(trial)
    model = training.make_model(trial, problem)
    one = training.Run(trial, problem, model, torch.device("cpu"))
    one.optimizer.step = lambda: None
    batch = problem.sample(8, torch.Generator().manual_seed(1))
    one.batches.next = lambda: batch
    one.step(1)
    found = [start.grad.clone() for start in model.stack.layers[0].starts]
    model.zero_grad()
    answers = model.readout(model.stack(batch.inputs, None)[0][-1])
    problem.loss(answers[None], batch.targets[-1:]).mean().backward()
    assert found[0].abs().max() > 0
    for start, grad in zip(model.stack.layers[0].starts, found, strict=True):
        torch.testing.assert_close(grad, start.grad)


@pytest.mark.parametrize(("use", "gates"), [(LSTM, 4), (RNN, 1)])
def test_glorot_draws_each_gates_matrices_and_leaves_biases_0(use, gates):
    torch.manual_seed(0)
    layer = use(10, 40, init="glorot")
    for weight, columns in ((layer.weight_ih_l0, 10), (layer.weight_hh_l0, 40)):
        bound = math.sqrt(6 / (40 + columns))
        for block in weight.split(40):
            assert 0.9 * bound < block.abs().max() <= bound
            assert block.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)
    assert len(layer.weight_hh_l0.split(40)) == gates
    assert layer.bias_ih_l0.abs().max() == layer.bias_hh_l0.abs().max() == 0


def test_what_an_option_sets_stays_set_after_glorot():
    layer = LSTM(2, 4, init="glorot", forget_bias=1.0)
    assert (layer.bias_ih_l0 + layer.bias_hh_l0).tolist() == [0.0] * 4 + [1.0] * 4 + [0.0] * 8
    readout = nn.Linear(40, 9)
    glorot_readout(readout)
    assert readout.bias.abs().max() == 0
    assert 0.9 * math.sqrt(6 / 49) < readout.weight.abs().max() <= math.sqrt(6 / 49)
    with pytest.raises(InputError, match="init = 'he'"):
        LSTM(2, 4, init="he")


def test_a_model_without_layers_in_time_has_no_initial_state():
    with pytest.raises(InputError, match="learned_start = true: this cell has no initial state"):
        learn_starts(nn.Linear(2, 2))
