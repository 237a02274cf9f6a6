"""Sigmoid neurons in a row: the gradient as a product of factors, and what makes a factor large.

    dC/db1 = s'(z1) w2 s'(z2) w3 s'(z3) w4 s'(z4) dC/da4,    z = w a + b, a' = s(z)

Source: Nielsen 2015, Neural Networks and Deep Learning, chapter 5.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from seqbench.analysis.mean_field import drawn_factors, open_interval, sigmoid

NEURONS = 4
SHOWN = 0.5  # what the first neuron is shown
TINY = 1e-30  # of a complex step: its square is nothing beside 1, so the derivative is exact


class BiasGradient(NamedTuple):
    """|dC/db1| of a chain, C = what the last neuron hands on."""

    product: float
    measured: float


def drawn(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Weights and biases of four neurons, from N(0, 1)."""
    weights, biases = np.random.default_rng(seed).standard_normal((2, NEURONS))
    return weights, biases


def exploding() -> tuple[np.ndarray, np.ndarray]:
    """w = 100, and b = -50, so that each z is 0 and each factor 100 s'(0) = 25."""
    return np.full(NEURONS, 100.0), np.full(NEURONS, -50.0)


def factors(weights: np.ndarray, biases: np.ndarray) -> pd.DataFrame:
    """Each neuron's factor, by the formula and measured.

    Args:
        weights, biases: [neurons], the first one first.

    Returns:
        neuron, w, b, z; factor: |w s'(z)|; measured: the derivative of what the last neuron hands
        on with respect to what this one is shown, over that with respect to what it hands on, each
        by a complex step through the rest of the chain, in which no factor is used.
    """
    a = _activations(weights, biases)
    sizes = [_size(weights[i:], biases[i:], given) for i, given in enumerate(a[:-1])] + [1.0]
    slopes = a[1:] * (1 - a[1:])
    return pd.DataFrame(
        {
            "neuron": np.arange(1, len(weights) + 1),
            "w": weights,
            "b": biases,
            "z": weights * a[:-1] + biases,
            "factor": np.abs(weights) * slopes,
            "measured": np.array(sizes[:-1]) / np.array(sizes[1:]),
        }
    )


def bias_gradient(weights: np.ndarray, biases: np.ndarray) -> BiasGradient:
    """The whole product, and the derivative with respect to the first bias, measured.

    Args: as for `factors`.
    """
    first = float(_activations(weights, biases)[1])
    product = first * (1 - first) * float(factors(weights, biases)["factor"][1:].prod())
    stepped = biases.astype(complex)
    stepped[0] += 1j * TINY
    return BiasGradient(product, abs(_last(weights, stepped, SHOWN).imag) / TINY)


def interval_widths(largest: float = 40.0) -> pd.DataFrame:
    """How wide the interval of activations is within which a factor is 1 or more, by |w|.

    Returns:
        w, from 4 on; width: see `mean_field.open_interval`.
    """
    sizes = np.linspace(4, largest, 721)
    return pd.DataFrame({"w": sizes, "width": [open_interval(size) for size in sizes]})


def logs() -> np.ndarray:
    """log10 of factors of chains from N(0, 1), many."""
    return np.log10(drawn_factors())


def _activations(weights: np.ndarray, biases: np.ndarray) -> np.ndarray:
    """What each neuron is shown, and what the last one hands on."""
    found = [SHOWN]
    for w, b in zip(weights, biases, strict=True):
        found.append(float(sigmoid(w * found[-1] + b)))
    return np.array(found)


def _last(weights: np.ndarray, biases: np.ndarray, a: complex) -> complex:
    for w, b in zip(weights, biases, strict=True):
        a = complex(sigmoid(w * a + b))
    return a


def _size(weights: np.ndarray, biases: np.ndarray, a: float) -> float:
    return abs(_last(weights, biases, a + 1j * TINY).imag) / TINY
