"""An intervention on the gradient alone: forward an LSTM, backward a factor for each step."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from seqbench import InputError, gradient_flow
from seqbench.cells.damped import DampedLSTM


def flow(cell, inputs):
    table = gradient_flow(cell, inputs, lambda outputs: outputs[-1].sum(-1))
    return table[table.state == "all"].set_index("lag").log10_norm


def test_the_gradient_at_lag_k_is_damped_k_times_and_the_outputs_not_at_all():
    torch.manual_seed(0)
    plain, inputs = nn.LSTMCell(2, 5), torch.randn(40, 3, 2)
    damped = DampedLSTM(2, 5, damping=0.8)
    damped.load_state_dict(plain.state_dict())
    states = [None, None]
    for x_BI in inputs:
        states = [cell(x_BI, state) for cell, state in zip((plain, damped), states, strict=True)]
    for one, other in zip(*states, strict=True):
        assert torch.equal(one, other)
    apart = flow(damped, inputs) - flow(plain, inputs)
    np.testing.assert_allclose(apart, apart.index * math.log10(0.8), atol=1e-6)


def test_without_damping_it_trains_as_the_lstm_does():
    torch.manual_seed(0)
    plain, inputs = nn.LSTMCell(2, 5), torch.randn(6, 3, 2)
    same = DampedLSTM(2, 5)
    same.load_state_dict(plain.state_dict())
    for cell in (plain, same):
        state = None
        for x_BI in inputs:
            state = cell(x_BI, state)
        state[0].sum().backward()
    for one, other in zip(plain.parameters(), same.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)


def test_the_forget_bias_is_the_total_one():
    cell = DampedLSTM(2, 5, forget_bias=4.0)
    assert (cell.bias_ih + cell.bias_hh)[5:10].tolist() == [4.0] * 5


@pytest.mark.parametrize("damping", [0.0, -1.0, None, "half"])
def test_a_factor_is_positive(damping):
    with pytest.raises(InputError, match="damping"):
        DampedLSTM(2, 5, damping=damping)
