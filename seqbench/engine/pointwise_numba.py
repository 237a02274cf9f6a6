"""The pointwise half of the kernels' steps, as loops that numba compiles: see `kernels`.

tanh, sigmoid and exp are polynomials, right to a few units in the last place, so that the loops
become vector instructions; torch's own are right to one, and take several times as long.

Shapes: H units, B examples, G rows of gates, K rows of the kernels' buffer; W columns of a window
of several steps, of which B from `at` on are this step's.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic, overload

_OPTIONS: Any = {"fastmath": {"contract", "nsz"}, "error_model": "numpy", "boundscheck": False}


def compiled(function):
    """Compiled once for all processes; where there is no place to keep it, once in each."""
    try:
        return njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:
        return njit(**_OPTIONS)(function)


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


def _split(x):
    """x -> (2^k, e^r - 1), where x = k ln 2 + r: exp(x) is 2^k (1 + (e^r - 1))."""
    raise NotImplementedError


@overload(_split, jit_options=_OPTIONS)
def _split_of(x):
    if x == types.float32:
        low, high, magic = np.float32([-87, 88, 1.5 * 2**23])
        per_ln2 = np.float32(1 / math.log(2))
        ln2_high, ln2_low = np.float32([0.693359375, -2.12194440e-4])
        c2, c3, c4, c5, c6, c7 = _SINGLE

        def single(x):
            x = low if x < low else x
            x = high if x > high else x
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
        x = -708.0 if x < -708.0 else x
        x = 709.0 if x > 709.0 else x
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


@njit(inline="always", **_OPTIONS)
def _tanh(x):
    one = type(x)(1)
    big = type(x)(20)
    y = big if x > big else x
    y = -big if y < -big else y
    scale, p = _split(y + y)
    e = scale * p + (scale - one)  # exp(2x) - 1
    return e / (e + one + one)


@njit(inline="always", **_OPTIONS)
def _sigmoid(x):
    one = type(x)(1)
    scale, p = _split(-x)
    return one / (one + (scale + scale * p))


@compiled
def rnn(kind, a_HB, h_HB, z_KW, at):
    """h = f(a). kind: 0 tanh, 1 relu, 2 sigmoid, 3 identity."""
    for j in range(a_HB.shape[0]):
        a, h = a_HB[j], h_HB[j]
        if kind == 0:
            for b in range(a.shape[0]):
                h[b] = _tanh(a[b])
        elif kind == 1:
            for b in range(a.shape[0]):
                h[b] = 0 if a[b] < 0 else a[b]
        elif kind == 2:
            for b in range(a.shape[0]):
                h[b] = _sigmoid(a[b])
        else:
            for b in range(a.shape[0]):
                h[b] = a[b]
        z_KW[j, at : at + h.shape[0]] = h


@compiled
def rnn_back(kind, h_HB, dh_HB, d_GW, at):
    """da = dh f'(a), by h = f(a)."""
    B = h_HB.shape[1]
    for j in range(h_HB.shape[0]):
        h, dh, da = h_HB[j], dh_HB[j], d_GW[j, at : at + B]
        if kind == 0:
            for b in range(B):
                da[b] = dh[b] * (1 - h[b] * h[b])
        elif kind == 1:
            for b in range(B):
                da[b] = dh[b] if h[b] > 0 else 0
        elif kind == 2:
            for b in range(B):
                da[b] = dh[b] * (h[b] * (1 - h[b]))
        else:
            for b in range(B):
                da[b] = dh[b]


@compiled
def gru(a_GB, n_HW, here, before_HB, kept_GB, h_HB, z_KW, at):
    """From the summed inputs of the gates n (from h), r, z, and of n (from x): the new h."""
    H, B = h_HB.shape
    for j in range(H):
        m, r, z = a_GB[j], a_GB[H + j], a_GB[2 * H + j]
        x, before, h = n_HW[j, here : here + B], before_HB[j], h_HB[j]
        km, kr, kz, kn = kept_GB[j], kept_GB[H + j], kept_GB[2 * H + j], kept_GB[3 * H + j]
        for b in range(B):
            kr[b] = _sigmoid(r[b])
            kz[b] = _sigmoid(z[b])
            km[b] = m[b]
        for b in range(B):
            kn[b] = _tanh(x[b] + kr[b] * m[b])
            h[b] = kn[b] + kz[b] * (before[b] - kn[b])
        z_KW[j, at : at + B] = h


@compiled
def gru_back(kept_GB, before_HB, dh_HB, d_GW, at):
    """The gradients of the summed inputs n (from h), r, z, n (from x); dh becomes dh z."""
    H, B = before_HB.shape
    for j in range(H):
        m, r, z, n = kept_GB[j], kept_GB[H + j], kept_GB[2 * H + j], kept_GB[3 * H + j]
        dm, dr = d_GW[j, at : at + B], d_GW[H + j, at : at + B]
        dz, dn = d_GW[2 * H + j, at : at + B], d_GW[3 * H + j, at : at + B]
        before, dh = before_HB[j], dh_HB[j]
        for b in range(B):
            dz[b] = dh[b] * (before[b] - n[b]) * (z[b] * (1 - z[b]))
            new = dh[b] * (1 - z[b]) * (1 - n[b] * n[b])
            dn[b] = new
            dm[b] = new * r[b]
            dr[b] = new * m[b] * (r[b] * (1 - r[b]))
            dh[b] = dh[b] * z[b]


@compiled
def lstm(a_GB, before_HB, c_HB, kept_GB, h_HB, z_KW, at):
    """From the summed inputs of i, f, g, o and the old c: the new c and h."""
    H, B = h_HB.shape
    for j in range(H):
        i, f, g, o = a_GB[j], a_GB[H + j], a_GB[2 * H + j], a_GB[3 * H + j]
        before, c, h = before_HB[j], c_HB[j], h_HB[j]
        ki, kf, kg = kept_GB[j], kept_GB[H + j], kept_GB[2 * H + j]
        ko, kt = kept_GB[3 * H + j], kept_GB[4 * H + j]
        for b in range(B):
            ki[b] = _sigmoid(i[b])
            kf[b] = _sigmoid(f[b])
        for b in range(B):
            kg[b] = _tanh(g[b])
            ko[b] = _sigmoid(o[b])
        for b in range(B):
            c[b] = kf[b] * before[b] + ki[b] * kg[b]
            kt[b] = _tanh(c[b])
            h[b] = ko[b] * kt[b]
        z_KW[j, at : at + B] = h


@compiled
def lstm_back(kept_GB, before_HB, dh_HB, dc_HB, d_GW, at):
    """The gradients of the summed inputs; dc, that of the new c, becomes that of the old one."""
    H, B = before_HB.shape
    for j in range(H):
        i, f, g = kept_GB[j], kept_GB[H + j], kept_GB[2 * H + j]
        o, t = kept_GB[3 * H + j], kept_GB[4 * H + j]
        di, df = d_GW[j, at : at + B], d_GW[H + j, at : at + B]
        dg, do = d_GW[2 * H + j, at : at + B], d_GW[3 * H + j, at : at + B]
        before, dh, dc = before_HB[j], dh_HB[j], dc_HB[j]
        for b in range(B):
            new = dc[b] + dh[b] * o[b] * (1 - t[b] * t[b])
            do[b] = dh[b] * t[b] * (o[b] * (1 - o[b]))
            di[b] = new * g[b] * (i[b] * (1 - i[b]))
            dg[b] = new * i[b] * (1 - g[b] * g[b])
            df[b] = new * before[b] * (f[b] * (1 - f[b]))
            dc[b] = new * f[b]
