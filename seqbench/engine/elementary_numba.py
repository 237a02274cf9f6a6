"""exp, tanh and the logistic function for loops that numba compiles: see `steps_numba`.

Polynomials, right to a few units in the last place, so that the loops become vector instructions;
torch's own are right to one, and take several times as long.

numba keeps what it has compiled until the file of the function that was called changes: whoever
changes something here also saves `steps_numba` again.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic, overload

OPTIONS: Any = {"fastmath": {"contract", "nsz"}, "error_model": "numpy", "boundscheck": False}


# The sums that exp(r) - 1 - r starts with, |r| <= ln(2)/2: 1/2!, 1/3!, ... (Taylor)
_SINGLE = tuple(np.float32(1 / math.factorial(k)) for k in range(2, 8))
_DOUBLE = tuple(1 / math.factorial(k) for k in range(2, 14))


@intrinsic
def _as_float(typing_context, bits):
    """The number that has these bits."""
    to = types.float32 if bits == types.int32 else types.float64

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], context.get_value_type(to))

    return to(bits), generate


@intrinsic
def _as_bits(typing_context, number):
    """The bits of a number."""
    to = types.int32 if number == types.float32 else types.int64

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], context.get_value_type(to))

    return to(number), generate


@intrinsic
def _within(typing_context, x, low, high):
    """x, but at least `low` and at most `high`; NaN stays. As Python's `if`, the compiler makes
    thirty instructions of it instead of two."""

    def generate(context, builder, signature, arguments):
        x, low, high = arguments
        x = builder.select(builder.fcmp_ordered("<", high, x), high, x)
        return builder.select(builder.fcmp_ordered(">", low, x), low, x)

    return x(x, x, x), generate


def _split(x):
    """x -> (2^k, e^r - 1), where x = k ln 2 + r: exp(x) is 2^k (1 + (e^r - 1)). For x
    that `_exponent` gives."""
    raise NotImplementedError


@overload(_split, jit_options=OPTIONS)
def _split_of(x):
    if x == types.float32:
        magic = np.float32(1.5 * 2**23)
        per_ln2 = np.float32(1 / math.log(2))
        ln2_high, ln2_low = np.float32([0.693359375, -2.12194440e-4])
        c2, c3, c4, c5, c6, c7 = _SINGLE

        def single(x):
            shifted = x * per_ln2 + magic  # k stands in its last bits
            k = shifted - magic
            r = x - k * ln2_high
            r = r - k * ln2_low
            p = c7 * r + c6
            p = p * r + c5
            p = p * r + c4
            p = p * r + c3
            p = p * r + c2
            p = p * r * r + r
            return _as_float(np.int32((_as_bits(shifted) + 127) << 23)), p

        return single

    d2, d3, d4, d5, d6, d7, d8, d9, d10, d11, d12, d13 = _DOUBLE

    def double(x):
        shifted = x * 1.4426950408889634 + 6755399441055744.0
        k = shifted - 6755399441055744.0
        r = x - k * 6.93145751953125e-1
        r = r - k * 1.42860682030941723212e-6
        p = d13 * r + d12
        p = p * r + d11
        p = p * r + d10
        p = p * r + d9
        p = p * r + d8
        p = p * r + d7
        p = p * r + d6
        p = p * r + d5
        p = p * r + d4
        p = p * r + d3
        p = p * r + d2
        p = p * r * r + r
        return _as_float((_as_bits(shifted) + 1023) << 52), p

    return double


@njit(inline="always", **OPTIONS)
def tanh(x):
    one, big = type(x)(1), type(x)(20)
    y = _within(x, -big, big)
    scale, p = _split(y + y)
    e = scale * p + (scale - one)  # exp(2x) - 1
    return e / (e + one + one)


@njit(inline="always", **OPTIONS)
def exp_minus_1(x):
    scale, p = _split(_exponent(x))
    return scale * p + (scale - type(x)(1))


@njit(inline="always", **OPTIONS)
def sigmoid(x):
    one = type(x)(1)
    scale, p = _split(_exponent(-x))
    return one / (one + (scale + scale * p))


def _exponent(x):
    """x, within what exp can take."""
    raise NotImplementedError


@overload(_exponent, jit_options=OPTIONS)
def _exponent_of(x):
    low, high = np.float32([-87, 88]) if x == types.float32 else np.float64([-708, 709])
    return lambda x: _within(x, low, high)
