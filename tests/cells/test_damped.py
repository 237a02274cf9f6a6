"""An intervention on the gradient alone: forward an LSTM, backward a factor for each step."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from seqbench import InputError, gradient_flow
from seqbench.cells.damped import DampedLSTM
from seqbench.engine import kernels


def flow(cell, inputs):
    table = gradient_flow(cell, inputs, lambda outputs: outputs[-1].sum(-1))
    return table[table.state == "all"].set_index("lag").log10_norm


def twins(damping):
    """An LSTM and a damped one of the same weights; inputs [T, B, I]."""
    torch.manual_seed(0)
    plain, damped = nn.LSTM(2, 5), DampedLSTM(2, 5, damping=damping)
    damped.load_state_dict(plain.state_dict())
    return plain, damped, torch.randn(40, 3, 2)


def test_the_gradient_at_lag_k_is_damped_k_times_and_the_outputs_not_at_all():
    plain, damped, inputs = twins(0.8)
    (one, states), (other, same) = (kernels.run(x, inputs, None) for x in (plain, damped))
    for part, its in zip((one, *states), (other, *same), strict=True):
        assert torch.equal(part, its)
    apart = flow(damped, inputs) - flow(plain, inputs)
    np.testing.assert_allclose(apart, apart.index * math.log10(0.8), atol=1e-6)


def gradients(layer, run, inputs_TBI):
    """Of the parameters, the inputs and the state at the start, float64; a loss in the middle and
    at the end."""
    layer, inputs = layer.double(), inputs_TBI.double().requires_grad_()
    start = [torch.zeros(1, 3, 5, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    outputs, (h, c) = run(layer, inputs, tuple(start))
    loss = outputs[20].square().sum() + h.sum() + 2 * c.sum()
    return torch.autograd.grad(loss, [*layer.parameters(), inputs, *start])


def test_the_kernel_damps_as_the_loop_does():
    _, damped, inputs = twins(0.8)
    looped = gradients(damped, lambda layer, *given: layer(*given), inputs)
    for one, other in zip(gradients(damped, kernels.run, inputs), looped, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-13)


def test_without_damping_it_trains_as_the_lstm_does():
    plain, same, inputs = twins(1.0)
    expected = gradients(plain, kernels.run, inputs)
    for one, other in zip(gradients(same, kernels.run, inputs), expected, strict=True):
        assert torch.equal(one, other)


def test_the_forget_bias_is_the_total_one():
    cell = DampedLSTM(2, 5, forget_bias=4.0)
    assert (cell.bias_ih_l0 + cell.bias_hh_l0)[5:10].tolist() == [4.0] * 5


@pytest.mark.parametrize("damping", [0.0, -1.0, None, "half"])
def test_a_factor_is_positive(damping):
    with pytest.raises(InputError, match="damping"):
        DampedLSTM(2, 5, damping=damping)
