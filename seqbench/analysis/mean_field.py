"""What theory says of a deep random network: the factor by which each layer scales a gradient.

In a wide layer z = W phi(z_before) + b with W ~ N(0, sigma_w^2 / n), b ~ N(0, sigma_b^2) the
entries of z are Gaussian; their variance q goes to a fixed point, and there each layer scales the
mean square of a gradient that passes it by one and the same number, chi.

Source: Poole et al. 2016, arXiv:1606.05340, eqs. 3 and 4; Schoenholz et al. 2017,
arXiv:1611.01232, section 4.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Function = Callable[[np.ndarray], np.ndarray]

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(100)  # even: relu's kink lies between two nodes
WEIGHTS = WEIGHTS / WEIGHTS.sum()
CLOSE, ROUNDS = 1e-12, 100_000


def sigmoid(z: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-z))."""
    return 0.5 * (1 + np.tanh(0.5 * z))


def _sigmoid_slope(z: np.ndarray) -> np.ndarray:
    return sigmoid(z) * sigmoid(-z)


def _tanh_slope(z: np.ndarray) -> np.ndarray:
    return 1 - np.tanh(z) ** 2


def _relu(z: np.ndarray) -> np.ndarray:
    return np.maximum(z, 0)


def _relu_slope(z: np.ndarray) -> np.ndarray:
    return np.heaviside(z, 0.5)


def _leaky(slope: float) -> tuple[Function, Function]:
    """z above 0, slope z below."""
    return (
        lambda z: np.where(z > 0, z, slope * z),
        lambda z: np.where(z > 0, 1.0, slope),
    )


def _elu(z: np.ndarray) -> np.ndarray:
    return np.where(z > 0, z, np.expm1(np.minimum(z, 0)))


def _elu_slope(z: np.ndarray) -> np.ndarray:
    return np.exp(np.minimum(z, 0))


# name -> the activation and its derivative
ACTIVATIONS: dict[str, tuple[Function, Function]] = {
    "sigmoid": (sigmoid, _sigmoid_slope),
    "tanh": (np.tanh, _tanh_slope),
    "relu": (_relu, _relu_slope),
    "leaky_relu": _leaky(0.01),
    "prelu": _leaky(0.25),  # before training
    "elu": (_elu, _elu_slope),
    "linear": (lambda z: z, np.ones_like),
}


def _mean(function: Function, variance: float) -> float:
    """E[f(sqrt(variance) x)], x ~ N(0, 1)."""
    return float(WEIGHTS @ function(np.sqrt(variance) * NODES))


def variance(activation: str, weight_variance: float, bias_variance: float) -> float:
    """The fixed point of q = sigma_w^2 E[phi(sqrt(q) x)^2] + sigma_b^2; inf where there is none.

    Args:
        activation: a key of ACTIVATIONS.
        weight_variance: sigma_w^2, the variance of a weight times the number of inputs.
        bias_variance: sigma_b^2.
    """
    function = ACTIVATIONS[activation][0]
    q = 1.0
    for _ in range(ROUNDS):
        after = weight_variance * _mean(lambda z: function(z) ** 2, q) + bias_variance
        if not np.isfinite(after) or after > 1e12:
            return float("inf")
        if abs(after - q) <= CLOSE * max(q, CLOSE):
            return after
        q = after
    return q


def gradient_factor(activation: str, weight_variance: float, bias_variance: float) -> float:
    """sqrt(chi): what a layer multiplies the size of a gradient by, going back.

    chi = sigma_w^2 E[phi'(sqrt(q) x)^2] at the fixed point q. Below 1 gradients vanish, above 1
    they explode; 1 is the critical line.

    Args: as for `variance`.
    """
    slope = ACTIVATIONS[activation][1]
    q = variance(activation, weight_variance, bias_variance)
    if not np.isfinite(q):  # every unit is as far out as it gets
        q = 1e12
    return float(np.sqrt(weight_variance * _mean(lambda z: slope(z) ** 2, q)))


def open_interval(weight: float) -> float:
    """The width of the interval of activations a on which |w sigma'(w a + b)| >= 1; 0 for |w| < 4.

    sigma' = sigma (1 - sigma) is at least 1/|w| where sigma is between (1 -+ sqrt(1 - 4/|w|)) / 2:

        2/|w| ln(|w| (1 + sqrt(1 - 4/|w|)) / 2 - 1)

    whatever b is, which only moves it. Largest, 0.45, near |w| = 6.9.

    Source: Nielsen 2015, Neural Networks and Deep Learning, chapter 5, problems.
    """
    size = abs(weight)
    if size < 4:
        return 0.0
    return float(2 / size * np.log(size * (1 + np.sqrt(1 - 4 / size)) / 2 - 1))


def share_above(threshold: float, neurons: int = 1_000_000, seed: int = 0) -> float:
    """How many of the factors of a chain of single neurons exceed a threshold.

    Of 1/4, the largest slope of a sigmoid: 19 %. Where |w| < 1 none does.

    Args:
        neurons, seed: as for `drawn_factors`.
    """
    return float((drawn_factors(neurons, seed) > threshold).mean())


def drawn_factors(neurons: int = 1_000_000, seed: int = 0) -> np.ndarray:
    """|w sigma'(w a + b)|, sampled: w and b from N(0, 1), a the activation of the neuron before,
    each the fourth of its chain.
    """
    draws = np.random.default_rng(seed)
    a = np.full(neurons, 0.5)
    for _ in range(4):
        w, b = draws.standard_normal((2, neurons))
        z = w * a + b
        a = sigmoid(z)
    return np.abs(w) * _sigmoid_slope(z)
