"""Kernels for torch's RNN, GRU and LSTM on the CPU: one autograd function for a whole segment.

Forward: state, input and a row of ones stand in one buffer, so that a step is one matrix product
into place, then the pointwise part. Backward: the pointwise part, then one product back; the
weights' gradient is one product for several steps. No torch call and no allocation in the loops,
which is where torch's own layers spend half of their time. Everything is [H, B], so that a row of a
weight meets contiguous examples. The same numbers as torch's layers, to rounding.

Shapes: T steps, B examples, I inputs, H units, G summed inputs of gates (H, 3H or 4H), K = H + I +
1 rows of the buffer; W steps of a window, whose products with the weights' gradient are one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy import ndarray as Array
from torch import Tensor, nn

COLUMNS = 512  # of a window: examples times steps, enough for a matrix product at full speed
NONLINEARITIES = {"tanh": 0, "relu": 1, "sigmoid": 2, "identity": 3}
MODES = {"RNN_TANH": "tanh", "RNN_RELU": "relu", "GRU": "gru", "LSTM": "lstm"}
_TORCHS_OWN = (nn.RNN.forward, nn.GRU.forward, nn.LSTM.forward)
_DTYPES = (torch.float32, torch.float64)


@cache
def pointwise() -> ModuleType:
    """numba's loops, or numpy's where there is no numba."""
    try:
        from seqbench.engine import pointwise_numba

        return pointwise_numba
    except ImportError:
        from seqbench.engine import pointwise_numpy

        return pointwise_numpy


def run(layer: nn.Module, x_TBI: Tensor, state: Any) -> tuple[Tensor, Any]:
    """A layer over a sequence: by a kernel where there is one for it, else as it is.

    A layer is run as it is if it is not exactly one of torch's (or says, in an attribute `kernel`,
    which of them it computes), if it has hooks, projections or dropout, and where its inputs are
    not ordinary tensors of one precision on the CPU.
    """
    if not isinstance(layer, nn.RNNBase) or not _ordinary(layer, x_TBI, state):
        return layer(x_TBI, state)
    name = _kernel(layer)
    if name is None:
        return layer(x_TBI, state)
    parts = _initial(layer, x_TBI) if state is None else state
    parts = parts if isinstance(parts, tuple) else (parts,)
    after = []
    for depth in range(layer.num_layers):
        names = (f"{kind}_l{depth}" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        weights = [getattr(layer, one, None) for one in names]
        own = [part[depth] for part in parts]
        x_TBI, *last = _Segment.apply(name, x_TBI, own[0], own[1] if own[1:] else None, *weights)
        after.append(last)
    stacked = tuple(torch.stack(each) for each in zip(*after, strict=True))
    return x_TBI, stacked if name == "lstm" else stacked[0]


def _kernel(layer: nn.RNNBase) -> str | None:
    """Which kernel computes what a layer does; None if none does."""
    if type(layer).forward in _TORCHS_OWN:
        return MODES[layer.mode]
    name = getattr(layer, "kernel", None)
    return name if name in (*NONLINEARITIES, *MODES.values()) else None


def _ordinary(layer: nn.RNNBase, x_TBI: Tensor, state: Any) -> bool:
    hooked = layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks
    unusual = layer.proj_size or layer.bidirectional or layer.batch_first or hooked
    if unusual or (layer.dropout and layer.training and layer.num_layers > 1):
        return False
    if torch.compiler.is_compiling() or x_TBI.ndim != 3 or not x_TBI.numel():
        return False
    B, H = x_TBI.shape[1], layer.hidden_size
    parts = () if state is None else state if isinstance(state, tuple) else (state,)
    if any(part.shape != (layer.num_layers, B, H) for part in parts):
        return False
    tensors = [x_TBI, *parts, *layer.parameters()]
    return (
        x_TBI.shape[2] == layer.input_size
        and all(
            x.device.type == "cpu" and x.dtype == x_TBI.dtype and type(x) in (Tensor, nn.Parameter)
            for x in tensors
        )
        and x_TBI.dtype in _DTYPES
    )


def _initial(layer: nn.RNNBase, x_TBI: Tensor) -> tuple[Tensor, ...]:
    zeros = x_TBI.new_zeros(layer.num_layers, x_TBI.shape[1], layer.hidden_size)
    return (zeros, zeros) if isinstance(layer, nn.LSTM) else (zeros,)


class _Segment(torch.autograd.Function):
    """A layer over a segment: (kernel, x [T, B, I], h and c [B, H], w_ih, w_hh, b_ih, b_hh) ->
    (outputs, h, c); c and the biases may be None, and no c comes out then.

    Can be differentiated once. RuntimeError where somebody asks for more.
    """

    @staticmethod
    def forward(ctx: Any, name: str, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        arrays: list[Any] = [None if x is None else x.detach().numpy() for x in tensors]
        with np.errstate(all="ignore"):  # what diverges says so itself
            kept, last = _forward(name, *arrays)
        outputs = torch.from_numpy(kept.h[1:]).permute(0, 2, 1)
        if any(ctx.needs_input_grad):
            ctx.kept = kept
            held = (kept.h, kept.weights, kept.z, kept.c, kept.gates)
            ctx.save_for_backward(*map(torch.from_numpy, held))  # who counts what is held sees it
        return outputs, *(torch.from_numpy(part) for part in last)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "a second derivative (create_graph=True) of a layer that runs by a kernel of "
                "seqbench; allowed: first derivatives, or the layer by itself, outside a Stack"
            )
        _ = ctx.saved_tensors  # raises where the graph has been used up
        arrays = [None if grad is None else grad.numpy() for grad in grads]
        with np.errstate(all="ignore"):
            found = _backward(ctx.kept, *arrays, need_x=ctx.needs_input_grad[1])
        wanted = zip(found, ctx.needs_input_grad[1:], strict=True)
        return None, *(torch.from_numpy(x) if needed else None for x, needed in wanted)


@dataclass
class _Kept:
    """What a segment's forward pass leaves for its backward pass.

    Attributes:
        name: rnn's nonlinearity, gru or lstm.
        weights: [G, K], what a step multiplies its columns of z with. GRU: rows n, r, z, where n is
            summed up from h and 1 alone.
        weights_n: [H, I + 1], GRU: what n is summed up from x and 1 with.
        z: [windows, K, W B]: h, x and ones before each step, `span` steps a window.
        h, c: [T + 1, H, B]; c of an LSTM.
        gates: [T, ., B], as the pointwise part left them.
        biased: whether the layer has biases.
    """

    name: str
    weights: Array
    weights_n: Array | None
    z: Array
    h: Array
    c: Array
    gates: Array
    span: int
    biased: bool


def _forward(
    name: str, x_TBI: Array, h_BH: Array, c_BH: Array | None, *weights: Any
) -> tuple[_Kept, list[Array]]:
    """What is kept; the last state, each part [B, H]."""
    (T, B, inputs), H, dtype = x_TBI.shape, h_BH.shape[1], x_TBI.dtype
    joined, weights_n = _joined(name, H, *weights)
    span = min(max(COLUMNS // B, 1), T)
    z = np.empty((T // span + 1, len(joined[0]), span * B), dtype)
    z[:, -1], z[-1, H:-1] = 1, 0
    for window in range((T - 1) // span + 1):
        x_tIB = x_TBI[window * span : (window + 1) * span].transpose(0, 2, 1)
        z[window, H:-1].reshape(inputs, span, B)[:, : len(x_tIB)] = x_tIB.transpose(1, 0, 2)
    z[0, :H, :B] = h_BH.T
    c_THB = np.empty((T + 1 if name == "lstm" else 0, H, B), dtype)
    gates = np.empty((T, {"gru": 4 * H, "lstm": 5 * H}.get(name, 0), B), dtype)
    h_THB = np.empty((T + 1, H, B), dtype)
    kept = _Kept(name, joined, weights_n, z, h_THB, c_THB, gates, span, weights[2] is not None)
    h_THB[0] = h_BH.T
    if c_BH is not None:
        c_THB[0] = c_BH.T
    _steps(kept)
    last = [h_THB[-1]] if c_BH is None else [h_THB[-1], c_THB[-1]]
    return kept, [np.ascontiguousarray(part.T) for part in last]


def _joined(
    name: str, H: int, w_ih: Array, w_hh: Array, b_ih: Array | None, b_hh: Array | None
) -> tuple[Array, Array | None]:
    """The weights as `_Kept` has them."""
    bias_ih = np.zeros(len(w_ih), w_ih.dtype) if b_ih is None else b_ih
    bias = bias_ih if b_hh is None else bias_ih + b_hh
    joined = np.concatenate([w_hh, w_ih, bias[:, None]], 1)
    if name != "gru":
        return joined, None
    n = slice(2 * H, None)
    joined[n, H:] = 0
    if b_hh is not None:
        joined[n, -1] = b_hh[n]
    weights_n = np.concatenate([w_ih[n], bias_ih[n, None]], 1)
    return np.concatenate([joined[n], joined[: 2 * H]]), weights_n


def _steps(kept: _Kept) -> None:
    """All steps forward."""
    by, name, weights = pointwise(), kept.name, kept.weights
    h, c, gates = kept.h, kept.c, kept.gates
    T, H, B = len(h) - 1, h.shape[1], h.shape[2]
    a_GB = np.empty((len(weights), B), h.dtype)
    n = np.empty(0) if kept.weights_n is None else kept.weights_n @ kept.z[:, H:]
    kind = NONLINEARITIES.get(name)
    z_KW, window, at = kept.z[0], 0, 0
    for t in range(T):
        np.dot(weights, z_KW[:, at : at + B], out=a_GB)
        here, inside = at, window
        at += B
        if at == z_KW.shape[1]:
            window, at = window + 1, 0
            z_KW = kept.z[window]
        if name == "gru":
            by.gru(a_GB, n[inside], here, h[t], gates[t], h[t + 1], z_KW, at)
        elif name == "lstm":
            by.lstm(a_GB, c[t], c[t + 1], gates[t], h[t + 1], z_KW, at)
        else:
            by.rnn(kind, a_GB, h[t + 1], z_KW, at)


def _backward(
    kept: _Kept,
    out_TBH: Array | None,
    h_BH: Array | None,
    c_BH: Array | None = None,
    *,
    need_x: bool,
) -> tuple[Array | None, ...]:
    """Gradients of x, h, c and the four weights, from those of the outputs, h and c."""
    H, (G, K), span = kept.h.shape[1], kept.weights.shape, kept.span
    T, B, dtype = len(kept.h) - 1, kept.h.shape[2], kept.z.dtype
    dh, dc = (np.zeros((H, B), dtype) if g is None else g.T.copy() for g in (h_BH, c_BH))
    scored = set() if out_TBH is None else set(np.flatnonzero(out_TBH.reshape(T, -1).any(1)))
    d_GW = np.empty((G + (kept.name == "gru") * H, span * B), dtype)
    back_HG = np.ascontiguousarray(kept.weights[:, :H].T)
    dw, dw_n = np.zeros((G, K), dtype), np.zeros((H, K - H), dtype)
    dx_TBI = np.empty((T, B, K - H - 1), dtype) if need_x else None
    for window in reversed(range((T - 1) // span + 1)):
        first, last = window * span, min((window + 1) * span, T)
        for t in reversed(range(first, last)):
            if out_TBH is not None and t in scored:
                dh += out_TBH[t].T
            _step_back(kept, t, back_HG, dh, dc, d_GW, (t - first) * B)
        d, z = d_GW[:, : (last - first) * B], kept.z[window, :, : (last - first) * B]
        dw += d[:G] @ z.T
        if kept.weights_n is not None:
            dw_n += d[G:] @ z[H:].T
        if dx_TBI is not None:
            dx = kept.weights[:, H:-1].T @ d[:G]
            if kept.weights_n is not None:
                dx += kept.weights_n[:, :-1].T @ d[G:]
            dx_TBI[first:last] = dx.reshape(K - H - 1, -1, B).transpose(1, 2, 0)
    return dx_TBI, dh.T, dc.T, *_parted(kept, dw, dw_n)


def _step_back(
    kept: _Kept, t: int, back_HG: Array, dh: Array, dc: Array, d_GW: Array, at: int
) -> None:
    """One step: dh and dc, in place, and its columns of the summed inputs' gradients."""
    by, d_GB = pointwise(), d_GW[: back_HG.shape[1], at : at + dh.shape[1]]
    if kept.name == "gru":
        by.gru_back(kept.gates[t], kept.h[t], dh, d_GW, at)
        dh += np.dot(back_HG, d_GB)
        return
    if kept.name == "lstm":
        by.lstm_back(kept.gates[t], kept.c[t], dh, dc, d_GW, at)
    else:
        by.rnn_back(NONLINEARITIES[kept.name], kept.h[t + 1], dh, d_GW, at)
    np.dot(back_HG, d_GB, out=dh)


def _parted(kept: _Kept, dw: Array, dw_n: Array) -> tuple[Array | None, ...]:
    """The gradients of w_ih, w_hh, b_ih, b_hh."""
    H = kept.h.shape[1]
    w_ih, w_hh, b_ih = dw[:, H:-1], dw[:, :H], dw[:, -1]
    b_hh = b_ih
    if kept.name == "gru":
        w_ih = np.concatenate([w_ih[H:], dw_n[:, :-1]])
        w_hh = np.concatenate([w_hh[H:], w_hh[:H]])
        b_hh = np.concatenate([b_ih[H:], b_ih[:H]])
        b_ih = np.concatenate([b_ih[H:], dw_n[:, -1]])
    each = [w_ih, w_hh, b_ih, b_hh] if kept.biased else [w_ih, w_hh, None, None]
    return tuple(None if x is None else np.ascontiguousarray(x) for x in each)
