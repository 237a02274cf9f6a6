"""Four sigmoid neurons in a row, in float64: the product against derivatives that do not use it.

That the engine measures the same product is tests/models/test_one_neuron_chain.py.
"""

import numpy as np
import pytest

from seqbench.analysis import neurons
from seqbench.analysis.mean_field import sigmoid


@pytest.mark.parametrize("seed", range(5))
def test_every_factor_is_the_measured_ratio(seed):
    table = neurons.factors(*neurons.drawn(seed))
    assert list(table["neuron"]) == [1, 2, 3, 4]
    np.testing.assert_allclose(table["measured"], table["factor"], rtol=1e-12)
    small = table[table["w"].abs() < 1]
    assert (small["factor"] < 0.25).all()


@pytest.mark.parametrize("seed", range(5))
def test_the_gradient_of_the_first_bias_is_the_product_and_a_finite_difference(seed):
    weights, biases = neurons.drawn(seed)
    found = neurons.bias_gradient(weights, biases)
    assert found.measured == pytest.approx(found.product, rel=1e-12)
    step, ends = 1e-6, []
    for sign in (1, -1):
        a = 0.5
        for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
            a = sigmoid(w * a + b + sign * step * (i == 0))
        ends.append(a)
    assert abs(ends[0] - ends[1]) / (2 * step) == pytest.approx(found.measured, rel=1e-3)


def test_weights_of_100_with_every_z_at_0_explode():
    table = neurons.factors(*neurons.exploding())
    assert (table["z"] == 0).all()
    assert table["factor"].tolist() == [25.0] * 4
    np.testing.assert_allclose(table["measured"], 25.0, rtol=1e-12)
    assert neurons.bias_gradient(*neurons.exploding()).measured == pytest.approx(0.25 * 25**3)


def test_the_interval_is_widest_near_6_9():
    widths = neurons.interval_widths()
    best = widths.loc[widths["width"].idxmax()]
    assert best["w"] == pytest.approx(6.9, abs=0.05)
    assert best["width"] == pytest.approx(0.45, abs=0.005)
    assert widths["width"].iloc[0] == 0  # at |w| = 4


def test_a_fifth_of_the_factors_of_normal_weights_exceed_a_quarter():
    logs = neurons.logs()
    assert (logs > np.log10(0.25)).mean() == pytest.approx(0.19, abs=0.005)
    assert (logs > 0).mean() < 1e-4
