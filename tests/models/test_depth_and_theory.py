"""The factor that a layer multiplies the gradient by: measured, and by mean field theory."""

import pytest
import torch

import seqbench
from seqbench.analysis.mean_field import gradient_factor
from seqbench.cells.dense import Dense


def measured_factor(depth, width, **options):
    """Of the middle layers: those near the input are not at the fixed point yet, and at the
    output the gradient does not lie as in between."""
    torch.manual_seed(0)
    net = Dense(width, width, depth, **options)
    u = torch.randn(width)
    flow = seqbench.gradient_flow(net, torch.randn(32, width), lambda outputs: outputs @ u)
    logs = flow[flow.state == "h"].sort_values("lag").log10_norm.to_numpy()
    near, far = 2, depth - 8
    return 10 ** ((logs[far] - logs[near]) / (far - near))


def test_fifty_sigmoid_layers_of_variance_1_n_shrink_the_gradient_to_a_fifth_each():
    assert gradient_factor("sigmoid", 1.0, 1.0) == pytest.approx(0.2048, abs=5e-5)
    assert measured_factor(50, 128) == pytest.approx(0.2048, rel=0.02)


@pytest.mark.parametrize(
    ("depth", "width", "activation", "weight", "bias"),
    [
        (30, 300, "sigmoid", 1.0, 1.0),
        (200, 100, "sigmoid", 1.0, 1.0),
        (50, 200, "sigmoid", 3.0, 0.5),
        (50, 300, "tanh", 1.0, 0.5),
        (50, 300, "tanh", 1.3, 0.1),
        (50, 300, "relu", 1.0, 0.0),
        (50, 300, "relu", 2**0.5, 0.0),
        (50, 300, "leaky_relu", 1.2, 0.0),
        (50, 300, "prelu", 1.2, 0.3),
        (50, 300, "elu", 1.0, 0.5),
    ],
)
def test_other_depths_widths_and_activations_as_theory_has_it(
    depth, width, activation, weight, bias
):
    predicted = gradient_factor(activation, weight**2, bias**2)
    found = measured_factor(
        depth, width, activation=activation, weight_scale=weight, bias_scale=bias
    )
    assert found == pytest.approx(predicted, rel=0.03)


def test_on_the_critical_line_the_gradient_neither_vanishes_nor_explodes():
    """tanh: (1, 0); relu: (2, 0). Beyond it explodes, before it vanishes."""
    assert gradient_factor("relu", 2.0, 0.0) == pytest.approx(1.0)
    assert gradient_factor("tanh", 1.0, 0.0) == pytest.approx(1.0, abs=0.01)
    assert measured_factor(100, 300, activation="tanh", init="orthogonal") > 0.95
    assert measured_factor(50, 300, activation="tanh", weight_scale=2.0, bias_scale=0.0) > 1.1
    assert measured_factor(50, 300, activation="tanh", weight_scale=0.7, bias_scale=0.0) < 0.8
