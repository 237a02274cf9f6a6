"""Four neurons one after another: the measured gradient is a product, factor by factor.

dC/db1 = s'(z1) w2 s'(z2) w3 s'(z3) w4 s'(z4) dC/da4 (Nielsen 2015, chapter 5).
"""

import numpy as np
import pytest
import torch

import seqbench
from seqbench.analysis.mean_field import open_interval, sigmoid
from seqbench.cells.dense import Dense


def neurons(weights, biases):
    net = Dense(1, 1, len(weights)).double()
    with torch.no_grad():
        for layer, w, b in zip(net, weights, biases, strict=True):
            layer.linear.weight.fill_(w)
            layer.bias.fill_(b)
    return net


def slopes(weights, biases, a):
    """s'(z) of each neuron."""
    found = []
    for w, b in zip(weights, biases, strict=True):
        z = w * a + b
        a = sigmoid(z)
        found.append(a * (1 - a))
    return np.array(found)


def flow(net, a0=0.5):
    """|da4/da_l|, l = 4, 3, ..., 0: what lag 0, 1, ..., 4 have."""
    table = seqbench.gradient_flow(net, torch.full((1, 1), a0), lambda a4: a4[:, 0])
    return 10 ** table[table.state == "h"].sort_values("lag").log10_norm.to_numpy()


@pytest.mark.parametrize("seed", range(5))
def test_the_gradient_is_the_product_factor_by_factor(seed):
    weights, biases = np.random.default_rng(seed).standard_normal((2, 4))
    net = neurons(weights, biases)
    factors = np.abs(weights * slopes(weights, biases, 0.5))
    measured = flow(net)
    np.testing.assert_allclose(measured[1:] / measured[:-1], factors[::-1], rtol=1e-9)
    net(torch.full((1, 1), 0.5, dtype=torch.float64)).sum().backward()
    first = abs(net[0].bias.grad.item())
    s = slopes(weights, biases, 0.5)
    assert first == pytest.approx(abs(s[0] * np.prod(weights[1:] * s[1:])), rel=1e-9)
    assert first == pytest.approx(measured[3] * s[0], rel=1e-9)


def test_weights_below_one_make_factors_below_a_quarter():
    weights, biases = np.random.default_rng(0).uniform(-1, 1, (2, 4))
    measured = flow(neurons(weights, biases))
    assert (measured[1:] / measured[:-1] < 0.25).all()


def test_weights_of_100_explode_only_where_biases_keep_every_z_at_0():
    centred = flow(neurons([100.0] * 4, [-50.0] * 4))
    np.testing.assert_allclose(centred[1:] / centred[:-1], 25.0)
    shut = flow(neurons([100.0] * 4, [-55.0] * 4))  # z = -5 in the first one alone
    assert shut[-1] < 1e-20  # it vanishes after all


@pytest.mark.parametrize("weight", [4.5, 6.9, 20.0, 100.0])
def test_a_factor_of_1_needs_an_activation_within_the_open_interval(weight):
    """Measured at activations across [0, 1], with z = 0 in its middle."""
    a = np.linspace(0, 1, 4001)
    net = neurons([weight], [-weight / 2])
    inputs = torch.from_numpy(a)[:, None].requires_grad_()
    (slope,) = torch.autograd.grad(net(inputs).sum(), inputs)
    share = (slope[:, 0] >= 1).double().mean().item()
    assert share == pytest.approx(open_interval(weight), abs=1e-3)
    assert open_interval(3.99) == 0.0
