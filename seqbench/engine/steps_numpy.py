"""The kernels' steps in numpy: where there is no numba. See `kernels`; as `steps_numba`."""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array

SLOPE = 0.01  # of leaky_relu, below 0


def columns(examples: int, itemsize: int) -> int:
    """How many columns a step has: as many as examples."""
    return examples


def packed(weights_GK: Array) -> Array:
    """As the products take weights: as they are."""
    return np.ascontiguousarray(weights_GK)


def forward(
    name: str,
    weights: Array,
    n_NHW: Array,
    z_NKW: Array,
    span: int,
    gates_TGB: Array,
    c_THB: Array,
    h_THB: Array,
) -> None:
    """All steps of a segment forward, from h[0] and c[0] on; see `kernels._Kept`."""
    B = h_THB.shape[2]
    a_GB = np.empty((len(weights), B), h_THB.dtype)
    for t in range(len(h_THB) - 1):
        window, at = t // span, t % span * B
        np.dot(weights, z_NKW[window, : weights.shape[1], at : at + B], out=a_GB)
        z_KW, to = z_NKW[(t + 1) // span], (t + 1) % span * B
        if name == "gru":
            gru(a_GB, n_NHW[window], at, h_THB[t], gates_TGB[t], h_THB[t + 1], z_KW, to)
        elif name == "lstm":
            lstm(a_GB, c_THB[t], c_THB[t + 1], gates_TGB[t], h_THB[t + 1], z_KW, to)
        else:
            rnn(name, a_GB, h_THB[t + 1], z_KW, to)


def back(
    name: str,
    weights: Array,
    which_t: Array,
    scored_SHB: Array,
    gates_tGB: Array,
    c_tHB: Array,
    h_tHB: Array,
    dh_HB: Array,
    dc_HB: Array,
    d_GW: Array,
    damping: float,
) -> None:
    """A window's steps, last to first: dh and dc in place, and d, the summed inputs' gradients."""
    B, G = dh_HB.shape[1], weights.shape[1]
    for t in reversed(range(len(which_t))):
        if which_t[t] >= 0:
            dh_HB += scored_SHB[which_t[t]]
        d_GB = d_GW[:G, t * B : (t + 1) * B]
        if name == "gru":
            gru_back(gates_tGB[t], h_tHB[t], dh_HB, d_GW, t * B)
            dh_HB += np.dot(weights, d_GB)
            continue
        if name == "lstm":
            lstm_back(gates_tGB[t], c_tHB[t], dh_HB, dc_HB, d_GW, t * B)
            dc_HB *= damping
        else:
            rnn_back(name, h_tHB[t + 1], dh_HB, d_GW, t * B)
        np.dot(weights, d_GB, out=dh_HB)


def _sigmoid(x: Array, out: Array) -> None:
    np.multiply(x, 0.5, out=out)  # (1 + tanh(x/2)) / 2: nothing to overflow
    np.tanh(out, out=out)
    np.multiply(out, 0.5, out=out)
    np.add(out, 0.5, out=out)


def rnn(name: str, a_HB: Array, h_HB: Array, z_KW: Array, at: int) -> None:
    """h = f(a)."""
    if name == "tanh":
        np.tanh(a_HB, out=h_HB)
    elif name == "relu":
        np.maximum(a_HB, 0, out=h_HB)
    elif name == "sigmoid":
        _sigmoid(a_HB, h_HB)
    elif name == "leaky_relu":
        np.multiply(a_HB, np.where(a_HB > 0, 1, SLOPE), out=h_HB, casting="same_kind")
    elif name == "elu":
        h_HB[:] = np.where(a_HB > 0, a_HB, np.expm1(np.minimum(a_HB, 0)))
    else:
        h_HB[:] = a_HB
    _columns(z_KW, at, h_HB)[: len(h_HB)] = h_HB


def rnn_back(name: str, h_HB: Array, dh_HB: Array, d_GW: Array, at: int) -> None:
    """da = dh f'(a), by h = f(a)."""
    da_HB = _columns(d_GW, at, h_HB)
    if name == "tanh":
        np.multiply(h_HB, h_HB, out=da_HB)
        np.subtract(1, da_HB, out=da_HB)
        np.multiply(dh_HB, da_HB, out=da_HB)
    elif name == "relu":
        da_HB[:] = np.where(h_HB > 0, dh_HB, 0)
    elif name == "sigmoid":
        np.multiply(dh_HB, h_HB * (1 - h_HB), out=da_HB)
    elif name == "leaky_relu":
        np.multiply(dh_HB, np.where(h_HB > 0, 1, SLOPE), out=da_HB, casting="same_kind")
    elif name == "elu":
        np.multiply(dh_HB, np.where(h_HB > 0, 1, h_HB + 1), out=da_HB)
    else:
        da_HB[:] = dh_HB


def gru(
    a_GB: Array,
    n_HW: Array,
    here: int,
    before_HB: Array,
    kept_GB: Array,
    h_HB: Array,
    z_KW: Array,
    at: int,
) -> None:
    """From the summed inputs of the gates n (from h), r, z, and of n (from x): the new h."""
    m, r, z, n = _each(kept_GB, 4)
    m[:] = a_GB[: len(m)]
    _sigmoid(a_GB[len(m) :], kept_GB[len(m) : 3 * len(m)])
    np.multiply(r, m, out=n)
    np.add(n, _columns(n_HW, here, h_HB), out=n)
    np.tanh(n, out=n)
    np.subtract(before_HB, n, out=h_HB)
    np.multiply(h_HB, z, out=h_HB)
    np.add(h_HB, n, out=h_HB)
    _columns(z_KW, at, h_HB)[: len(h_HB)] = h_HB


def gru_back(kept_GB: Array, before_HB: Array, dh_HB: Array, d_GW: Array, at: int) -> None:
    """The gradients of the summed inputs n (from h), r, z, n (from x); dh becomes dh z."""
    m, r, z, n = _each(kept_GB, 4)
    dm, dr, dz, dn = _each(_columns(d_GW, at, dh_HB), 4)
    np.multiply(dh_HB * (before_HB - n), z * (1 - z), out=dz)
    np.multiply(dh_HB * (1 - z), 1 - n * n, out=dn)
    np.multiply(dn, r, out=dm)
    np.multiply(dn * m, r * (1 - r), out=dr)
    dh_HB *= z


def lstm(
    a_GB: Array, before_HB: Array, c_HB: Array, kept_GB: Array, h_HB: Array, z_KW: Array, at: int
) -> None:
    """From the summed inputs of i, f, g, o and the old c: the new c and h."""
    i, f, g, o, t = _each(kept_GB, 5)
    _sigmoid(a_GB[: 2 * len(i)], kept_GB[: 2 * len(i)])
    np.tanh(a_GB[2 * len(i) : 3 * len(i)], out=g)
    _sigmoid(a_GB[3 * len(i) :], o)
    np.multiply(f, before_HB, out=c_HB)
    np.multiply(i, g, out=t)
    np.add(c_HB, t, out=c_HB)
    np.tanh(c_HB, out=t)
    np.multiply(o, t, out=h_HB)
    _columns(z_KW, at, h_HB)[: len(h_HB)] = h_HB


def lstm_back(
    kept_GB: Array, before_HB: Array, dh_HB: Array, dc_HB: Array, d_GW: Array, at: int
) -> None:
    """The gradients of the summed inputs; dc, that of the new c, becomes that of the old one."""
    i, f, g, o, t = _each(kept_GB, 5)
    di, df, dg, do = _each(_columns(d_GW, at, dh_HB), 4)
    dc_HB += dh_HB * o * (1 - t * t)
    np.multiply(dh_HB * t, o * (1 - o), out=do)
    np.multiply(dc_HB * g, i * (1 - i), out=di)
    np.multiply(dc_HB * i, 1 - g * g, out=dg)
    np.multiply(dc_HB * before_HB, f * (1 - f), out=df)
    dc_HB *= f


def _columns(rows_W: Array, at: int, like_HB: Array) -> Array:
    return rows_W[:, at : at + like_HB.shape[1]]


def _each(rows_GB: Array, count: int) -> list[Array]:
    size = len(rows_GB) // count
    return [rows_GB[k * size : (k + 1) * size] for k in range(count)]
