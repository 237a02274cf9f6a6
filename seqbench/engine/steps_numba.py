"""The kernels' steps, compiled by numba, matrix products included: see `kernels`.

A product of a step is small, [64, 67] by [67, 64]: general libraries reach half of what the
processor can do there, since they copy the operands into an order of their own each time. Here the
weights are put in order once a segment, and a tile of the result stays in registers.

Shapes: H units, B examples, G rows of gates, K rows of the kernels' buffer; W columns of a window
of several steps, of which B from `at` on are one step's. Weights that are packed are [M, K, R]: M
blocks of R rows.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy import ndarray as Array

from seqbench.engine.elementary_numba import OPTIONS, exp_minus_1, sigmoid, tanh
from seqbench.engine.steps_numpy import SLOPE

NONLINEARITIES = {"tanh": 0, "relu": 1, "sigmoid": 2, "identity": 3, "leaky_relu": 4, "elu": 5}


def compiled(function):
    """Compiled once for all processes; where there is no place to keep it, once in each."""
    try:
        return njit(cache=True, **OPTIONS)(function)
    except RuntimeError:
        return njit(**OPTIONS)(function)


R = 6  # rows of a tile and,
BYTES = 64  # in a row of it, columns: half of the registers of AVX2 hold the sums


def columns(examples: int, itemsize: int) -> int:
    """How many columns a step has: examples, and zeros up to a half tile."""
    half = BYTES // itemsize // 2
    return -(-examples // half) * half


def packed(weights_GK: Array) -> Array:
    """As the products take weights: [M, K, R], zeros below the last row."""
    G, K = weights_GK.shape
    padded = np.zeros((-(-G // R) * R, K), weights_GK.dtype)
    padded[:G] = weights_GK
    return np.ascontiguousarray(padded.reshape(-1, R, K).transpose(0, 2, 1))


def _element(context, builder, kind, array, *place):
    """The address of an element, and how many there are in a row of the last two axes."""
    struct = context.make_array(kind)(context, builder, array)
    return (
        cgutils.get_item_pointer(context, builder, kind, struct, place),
        cgutils.unpack_tuple(builder, struct.shape),
    )


def _times(builder, x, y, plus):
    return builder.fadd(builder.fmul(x, y, flags=("contract",)), plus, flags=("contract",))


def _summed(builder, count, vector, number, terms):
    """Sums over k < count of `terms(k, sums) -> sums`, `number` vectors that start at 0."""
    before = builder.block
    loop, after = builder.append_basic_block("loop"), builder.append_basic_block("after")
    builder.branch(loop)
    builder.position_at_end(loop)
    k = builder.phi(count.type)
    k.add_incoming(count.type(0), before)
    sums = [builder.phi(vector) for _ in range(number)]
    found = terms(k, sums)
    following = builder.add(k, count.type(1))
    k.add_incoming(following, loop)
    for phi, value in zip(sums, found, strict=True):
        phi.add_incoming(ir.Constant(vector, [0.0] * vector.count), before)
        phi.add_incoming(value, loop)
    builder.cbranch(builder.icmp_signed("<", following, count), loop, after)
    builder.position_at_end(after)
    return found


def _tile_of(size):
    """A product's tile, so many bytes wide."""

    @intrinsic
    def tile(typing_context, w_MKR, m, z_KW, at, out_GB, b):
        """out[m R : (m + 1) R, b : b + width] = w[m].T @ z[:, at : at + width]"""
        kinds = (w_MKR, m, z_KW, at, out_GB, b)

        def generate(context, builder, signature, arguments):
            real = context.get_value_type(w_MKR.dtype)
            bytes_each = context.get_abi_sizeof(real)
            vector = ir.VectorType(real, size // bytes_each)
            index, undefined = ir.IntType(32), ir.Constant(vector, ir.Undefined)
            everywhere = ir.Constant(ir.VectorType(index, vector.count), [0] * vector.count)
            weights, block, z, column, out, to = arguments
            zero = block.type(0)
            w, (_, K, _) = _element(context, builder, w_MKR, weights, block, zero, zero)
            z, (_, W) = _element(context, builder, z_KW, z, zero, column)
            row = builder.mul(block, block.type(R))
            out, (_, B) = _element(context, builder, out_GB, out, row, to)

            def terms(k, sums):
                at_k = builder.gep(z, [builder.mul(k, W)])
                zs = builder.load(builder.bitcast(at_k, vector.as_pointer()), align=bytes_each)
                found = []
                for r in range(R):
                    place = builder.add(builder.mul(k, k.type(R)), k.type(r))
                    one = builder.load(builder.gep(w, [place]))
                    one = builder.insert_element(undefined, one, index(0))
                    one = builder.shuffle_vector(one, undefined, everywhere)
                    found.append(_times(builder, one, zs, sums[r]))
                return found

            for r, total in enumerate(_summed(builder, K, vector, R, terms)):
                place = builder.gep(out, [builder.mul(B, B.type(r))])
                builder.store(total, builder.bitcast(place, vector.as_pointer()), align=bytes_each)
            return context.get_dummy_value()

        return types.void(*kinds), generate

    return tile


_tile, _half_tile = _tile_of(BYTES), _tile_of(BYTES // 2)


@njit(inline="always", **OPTIONS)
def _copy(x, to):
    for b in range(x.shape[0]):  # as a slice, numba would not make vector instructions of it
        to[b] = x[b]


@njit(**OPTIONS)
def _rnn(kind, a_HB, h_HB, z_KW, at):
    """h = f(a). kind: one of NONLINEARITIES."""
    slope = h_HB.dtype.type(SLOPE)
    for j in range(h_HB.shape[0]):
        a, h = a_HB[j], h_HB[j]
        if kind == 0:
            for b in range(a.shape[0]):
                h[b] = tanh(a[b])
        elif kind == 1:
            for b in range(a.shape[0]):
                h[b] = 0 if a[b] < 0 else a[b]
        elif kind == 2:
            for b in range(a.shape[0]):
                h[b] = sigmoid(a[b])
        elif kind == 3:
            for b in range(a.shape[0]):
                h[b] = a[b]
        elif kind == 4:
            for b in range(a.shape[0]):
                h[b] = a[b] if a[b] > 0 else slope * a[b]
        else:
            for b in range(a.shape[0]):
                h[b] = a[b] if a[b] > 0 else exp_minus_1(a[b])
        _copy(h, z_KW[j, at : at + h.shape[0]])


@njit(**OPTIONS)
def _rnn_back(kind, h_HB, dh_HB, d_GW, at):
    """da = dh f'(a), by h = f(a)."""
    B, slope = h_HB.shape[1], h_HB.dtype.type(SLOPE)
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
        elif kind == 3:
            for b in range(B):
                da[b] = dh[b]
        elif kind == 4:
            for b in range(B):
                da[b] = dh[b] if h[b] > 0 else slope * dh[b]
        else:
            for b in range(B):
                da[b] = dh[b] if h[b] > 0 else dh[b] * (h[b] + 1)


@njit(**OPTIONS)
def _gru(a_GB, n_HW, here, before_HB, kept_GB, h_HB, z_KW, at):
    """From the summed inputs of the gates n (from h), r, z, and of n (from x): the new h."""
    H, B = h_HB.shape
    for j in range(H):
        m, r, z = a_GB[j], a_GB[H + j], a_GB[2 * H + j]
        x, before, h = n_HW[j, here : here + B], before_HB[j], h_HB[j]
        km, kr, kz, kn = kept_GB[j], kept_GB[H + j], kept_GB[2 * H + j], kept_GB[3 * H + j]
        for b in range(B):
            kr[b] = sigmoid(r[b])
            kz[b] = sigmoid(z[b])
            km[b] = m[b]
        for b in range(B):
            kn[b] = tanh(x[b] + kr[b] * m[b])
            h[b] = kn[b] + kz[b] * (before[b] - kn[b])
        _copy(h, z_KW[j, at : at + B])


@njit(**OPTIONS)
def _gru_back(kept_GB, before_HB, dh_HB, d_GW, at):
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


@njit(**OPTIONS)
def _lstm(a_GB, before_HB, c_HB, kept_GB, h_HB, z_KW, at):
    """From the summed inputs of i, f, g, o and the old c: the new c and h."""
    H, B = h_HB.shape
    for j in range(H):
        i, f, g, o = a_GB[j], a_GB[H + j], a_GB[2 * H + j], a_GB[3 * H + j]
        before, c, h = before_HB[j], c_HB[j], h_HB[j]
        ki, kf, kg = kept_GB[j], kept_GB[H + j], kept_GB[2 * H + j]
        ko, kt = kept_GB[3 * H + j], kept_GB[4 * H + j]
        for b in range(B):
            ki[b] = sigmoid(i[b])
            kf[b] = sigmoid(f[b])
        for b in range(B):
            kg[b] = tanh(g[b])
            ko[b] = sigmoid(o[b])
        for b in range(B):
            c[b] = kf[b] * before[b] + ki[b] * kg[b]
            kt[b] = tanh(c[b])
            h[b] = ko[b] * kt[b]
        _copy(h, z_KW[j, at : at + B])


@njit(**OPTIONS)
def _lstm_back(kept_GB, before_HB, dh_HB, dc_HB, d_GW, at, damping):
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
            dc[b] = new * f[b] * damping


@njit(**OPTIONS)
def _product(w_MKR, z_KW, at, out_GB):
    """out = the packed weights times a step's columns of z; out has M R rows."""
    B = out_GB.shape[1]
    wide = BYTES // out_GB.itemsize
    for b in range(0, B - wide + 1, wide):
        for m in range(w_MKR.shape[0]):
            _tile(w_MKR, m, z_KW, at + b, out_GB, b)
    if B % wide:
        b = B - B % wide
        for m in range(w_MKR.shape[0]):
            _half_tile(w_MKR, m, z_KW, at + b, out_GB, b)


@compiled
def _forward_rnn(kind, w_MKR, z_NKW, span, h_THB):
    B = h_THB.shape[2]
    a_GB = np.empty((w_MKR.shape[0] * R, B), h_THB.dtype)
    for t in range(h_THB.shape[0] - 1):
        _product(w_MKR, z_NKW[t // span], t % span * B, a_GB)
        _rnn(kind, a_GB, h_THB[t + 1], z_NKW[(t + 1) // span], (t + 1) % span * B)


@compiled
def _forward_gru(w_MKR, n_NHW, z_NKW, span, gates_TGB, h_THB):
    B = h_THB.shape[2]
    a_GB = np.empty((w_MKR.shape[0] * R, B), h_THB.dtype)
    for t in range(h_THB.shape[0] - 1):
        window, at = t // span, t % span * B
        _product(w_MKR, z_NKW[window], at, a_GB)
        z_KW, to = z_NKW[(t + 1) // span], (t + 1) % span * B
        _gru(a_GB, n_NHW[window], at, h_THB[t], gates_TGB[t], h_THB[t + 1], z_KW, to)


@compiled
def _forward_lstm(w_MKR, z_NKW, span, gates_TGB, c_THB, h_THB):
    B = h_THB.shape[2]
    a_GB = np.empty((w_MKR.shape[0] * R, B), h_THB.dtype)
    for t in range(h_THB.shape[0] - 1):
        _product(w_MKR, z_NKW[t // span], t % span * B, a_GB)
        z_KW, to = z_NKW[(t + 1) // span], (t + 1) % span * B
        _lstm(a_GB, c_THB[t], c_THB[t + 1], gates_TGB[t], h_THB[t + 1], z_KW, to)


@njit(**OPTIONS)
def _add(to_HB, more_HB):
    for j in range(to_HB.shape[0]):
        for b in range(to_HB.shape[1]):
            to_HB[j, b] += more_HB[j, b]


@compiled
def _back_rnn(kind, w_MKR, which_t, scored_SHB, h_tHB, dh_HB, d_GW):
    B, product_HB = dh_HB.shape[1], np.empty((w_MKR.shape[0] * R, dh_HB.shape[1]), dh_HB.dtype)
    for t in range(len(which_t) - 1, -1, -1):
        if which_t[t] >= 0:
            _add(dh_HB, scored_SHB[which_t[t]])
        _rnn_back(kind, h_tHB[t + 1], dh_HB, d_GW, t * B)
        _product(w_MKR, d_GW, t * B, product_HB)
        for j in range(len(dh_HB)):
            _copy(product_HB[j], dh_HB[j])


@compiled
def _back_gru(w_MKR, which_t, scored_SHB, gates_tGB, h_tHB, dh_HB, d_GW):
    B, product_HB = dh_HB.shape[1], np.empty((w_MKR.shape[0] * R, dh_HB.shape[1]), dh_HB.dtype)
    for t in range(len(which_t) - 1, -1, -1):
        if which_t[t] >= 0:
            _add(dh_HB, scored_SHB[which_t[t]])
        _gru_back(gates_tGB[t], h_tHB[t], dh_HB, d_GW, t * B)
        _product(w_MKR, d_GW, t * B, product_HB)
        _add(dh_HB, product_HB)


@compiled
def _back_lstm(w_MKR, which_t, scored_SHB, gates_tGB, c_tHB, dh_HB, dc_HB, d_GW, damping):
    B, product_HB = dh_HB.shape[1], np.empty((w_MKR.shape[0] * R, dh_HB.shape[1]), dh_HB.dtype)
    for t in range(len(which_t) - 1, -1, -1):
        if which_t[t] >= 0:
            _add(dh_HB, scored_SHB[which_t[t]])
        _lstm_back(gates_tGB[t], c_tHB[t], dh_HB, dc_HB, d_GW, t * B, damping)
        _product(w_MKR, d_GW, t * B, product_HB)
        for j in range(len(dh_HB)):
            _copy(product_HB[j], dh_HB[j])


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
    if name == "gru":
        _forward_gru(weights, n_NHW, z_NKW, span, gates_TGB, h_THB)
    elif name == "lstm":
        _forward_lstm(weights, z_NKW, span, gates_TGB, c_THB, h_THB)
    else:
        _forward_rnn(NONLINEARITIES[name], weights, z_NKW, span, h_THB)


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
    """A window's steps, last to first: dh and dc in place, and d, the summed inputs' gradients.

    Args:
        weights: packed, [H, G]: the recurrent ones, transposed.
        which_t: which of `scored_SHB`, the outputs' own gradients, a step has; -1: none.
        damping: an LSTM's factor of the gradient of the old c; h's is in the weights.
    """
    if name == "gru":
        _back_gru(weights, which_t, scored_SHB, gates_tGB, h_tHB, dh_HB, d_GW)
    elif name == "lstm":
        _back_lstm(weights, which_t, scored_SHB, gates_tGB, c_tHB, dh_HB, dc_HB, d_GW, damping)
    else:
        kind = NONLINEARITIES[name]
        _back_rnn(kind, weights, which_t, scored_SHB, h_tHB, dh_HB, d_GW)
