"""Theory of deep random networks, against closed forms, sampled networks and a search."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqbench.analysis.mean_field import (
    ACTIVATIONS,
    gradient_factor,
    open_interval,
    share_above,
    sigmoid,
    variance,
)


def test_relu_keeps_a_gradients_size_with_he_initialisation_and_halves_its_square_with_glorots():
    assert gradient_factor("relu", 2.0, 0.0) == pytest.approx(1.0, rel=1e-6)
    assert gradient_factor("relu", 1.0, 0.5) == pytest.approx(np.sqrt(0.5), rel=1e-6)
    assert variance("relu", 1.0, 0.5) == pytest.approx(1.0, rel=1e-6)  # q = q/2 + 1/2


def test_tanh_is_critical_at_weight_variance_one_without_biases():
    assert gradient_factor("tanh", 0.9, 0.0) == pytest.approx(np.sqrt(0.9), rel=1e-4)
    assert gradient_factor("tanh", 1.5, 0.0) > 1


def test_a_linear_layer_scales_by_the_weights_deviation():
    assert gradient_factor("linear", 0.49, 1.0) == pytest.approx(0.7)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slopes_are_the_derivatives(name):
    function, slope = ACTIVATIONS[name]
    z = np.linspace(-3, 3, 12)
    numeric = (function(z + 1e-6) - function(z - 1e-6)) / 2e-6
    np.testing.assert_allclose(slope(z), numeric, atol=1e-8)


@pytest.mark.parametrize(("name", "weight", "bias"), [("sigmoid", 1, 1), ("tanh", 2, 0.1)])
def test_a_sampled_network_of_width_2000_shows_the_factor(name, weight, bias):
    draws, (function, slope) = np.random.default_rng(0), ACTIVATIONS[name]
    n, depth = 2000, 12
    z, slopes, matrices = draws.normal(size=n), [], []
    for _ in range(depth):
        matrix = draws.normal(size=(n, n)) * np.sqrt(weight / n)
        slopes.append(slope(z))
        matrices.append(matrix)
        z = matrix @ function(z) + draws.normal(size=n) * np.sqrt(bias)
    gradient, logs = draws.normal(size=n), []
    for matrix, its_slope in zip(matrices[::-1], slopes[::-1], strict=True):
        gradient = its_slope * (matrix.T @ gradient)
        logs.append(np.log(np.linalg.norm(gradient)))
    measured = np.exp((logs[8] - logs[0]) / 8)  # away from the input, where q has settled
    assert measured == pytest.approx(gradient_factor(name, weight, bias), rel=0.03)


@given(st.floats(4.01, 200), st.floats(-3, 3))
def test_the_open_interval_is_as_wide_as_a_search_finds_it(weight, bias):
    a = np.linspace(-(abs(bias) + 8) / weight, (abs(bias) + 8) / weight, 200_001)
    z = weight * a + bias
    wide = (np.abs(weight * sigmoid(z) * sigmoid(-z)) >= 1).sum() * (a[1] - a[0])
    assert wide == pytest.approx(open_interval(weight), abs=3 * (a[1] - a[0]))
    assert open_interval(-weight) == open_interval(weight)


def test_the_open_interval_is_largest_near_6_9():
    weights = np.linspace(4, 100, 9601)
    widths = [open_interval(w) for w in weights]
    assert weights[np.argmax(widths)] == pytest.approx(6.9, abs=0.05)
    assert max(widths) == pytest.approx(0.45, abs=0.005)
    assert open_interval(3.99) == 0


def test_the_share_of_a_single_neurons_factors_above_a_quarter():
    """Against quadrature over w and b, with the activations of three neurons before it."""
    assert share_above(0.25) == pytest.approx(0.19, abs=0.005)
    w, b = np.meshgrid(np.linspace(-6, 6, 1201), np.linspace(-6, 6, 1201), indexing="ij")
    density = np.exp(-(w**2 + b**2) / 2)
    share = 0.0
    for a in (0.3, 0.5, 0.7):  # it hardly depends on a
        z = w * a + b
        above = np.abs(w) * sigmoid(z) * sigmoid(-z) > 0.25
        share += (density * above).sum() / density.sum() / 3
    assert share_above(0.25) == pytest.approx(share, abs=0.01)
    assert share_above(1.0) < 1e-4
