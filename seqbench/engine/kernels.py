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
APART = 16  # further columns of a window: rows a power of two apart would share lines of a cache
NONLINEARITIES = ("tanh", "relu", "sigmoid", "identity", "leaky_relu", "elu")  # f' by f alone
MODES = {"RNN_TANH": "tanh", "RNN_RELU": "relu", "GRU": "gru", "LSTM": "lstm"}
_TORCHS_OWN = (nn.RNN.forward, nn.GRU.forward, nn.LSTM.forward)
_DTYPES = (torch.float32, torch.float64)


@cache
def form() -> ModuleType:
    """The steps by numba, or by numpy where there is no numba."""
    try:
        from seqbench.engine import steps_numba

        return steps_numba
    except ImportError:
        from seqbench.engine import steps_numpy

        return steps_numpy


def run(layer: nn.Module, x_TBI: Tensor, state: Any) -> tuple[Tensor, Any]:
    """A layer over a sequence: by a kernel where there is one for it, else as it is.

    A layer is run as it is if it is not exactly one of torch's (or says, in an attribute `kernel`,
    which of them it computes, and an LSTM in `kernel_damping` by how much the gradient of the state
    before a step is multiplied), if it has hooks, projections or dropout, and where its inputs are
    not ordinary tensors of one precision on the CPU.
    """
    if not isinstance(layer, nn.RNNBase) or not _ordinary(layer, x_TBI, state):
        return layer(x_TBI, state)
    name = _kernel(layer)
    if name is None:
        return layer(x_TBI, state)
    parts = _initial(layer, x_TBI) if state is None else state
    parts = parts if isinstance(parts, tuple) else (parts,)
    damping = getattr(layer, "kernel_damping", 1.0)
    after = []
    for depth in range(layer.num_layers):
        names = (f"{kind}_l{depth}" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        weights = [getattr(layer, one, None) for one in names]
        own = [part[depth] for part in parts]
        cell_BH = own[1] if own[1:] else None
        x_TBI, *last = _Segment.apply(name, damping, x_TBI, own[0], cell_BH, *weights)
        after.append(last)
    stacked = tuple(torch.stack(each) for each in zip(*after, strict=True))
    return x_TBI, stacked if name == "lstm" else stacked[0]


def warm() -> None:
    """Compile every kernel in both precisions, or read it from where it is kept. Without autograd,
    some of whose threads would not survive a fork."""
    for name, gates in (("tanh", 1), ("gru", 3), ("lstm", 4)):
        for dtype in (np.float32, np.float64):
            x_TBI, h_BH = np.zeros((1, 1, 1), dtype), np.zeros((1, 1), dtype)
            c_BH = h_BH if name == "lstm" else None
            weight, bias = np.zeros((gates, 1), dtype), np.zeros(gates, dtype)
            kept, _ = _forward(name, x_TBI, h_BH, c_BH, weight, weight, bias, bias)
            _backward(kept, x_TBI, h_BH, c_BH, need_x=True, examples=1)


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
    tensors = [x_TBI, *parts, *layer._flat_weights]
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
    """A layer over a segment: (kernel, damping, x [T, B, I], h and c [B, H], w_ih, w_hh, b_ih,
    b_hh) -> (outputs, h, c); c and the biases may be None, and no c comes out then.

    Can be differentiated once. RuntimeError where somebody asks for more.
    """

    @staticmethod
    def forward(ctx: Any, name: str, damping: float, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        arrays: list[Any] = [None if x is None else x.detach().numpy() for x in tensors]
        with np.errstate(all="ignore"):  # what diverges says so itself
            kept, last = _forward(name, *arrays)
        ctx.examples, ctx.damping = arrays[0].shape[1], damping
        outputs = torch.from_numpy(kept.h[1:, :, : ctx.examples]).permute(0, 2, 1)
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
            need = {"need_x": ctx.needs_input_grad[2], "examples": ctx.examples}
            found = _backward(ctx.kept, *arrays, **need, damping=ctx.damping)
        wanted = zip(found, ctx.needs_input_grad[2:], strict=True)
        return None, None, *(torch.from_numpy(x) if needed else None for x, needed in wanted)


@dataclass
class _Kept:
    """What a segment's forward pass leaves for its backward pass. B, here: columns of a step, as
    many as examples or a few more, whose inputs are 0.

    Attributes:
        name: rnn's nonlinearity, gru or lstm.
        weights: [G, K], what a step multiplies its columns of z with. GRU: rows n, r, z, where n is
            summed up from h and 1 alone.
        weights_n: [H, I + 1], GRU: what n is summed up from x and 1 with.
        z: [windows, K, W]: h, x and ones before each step, `span` steps a window.
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
    by, (T, examples, _), (_, H), dtype = form(), x_TBI.shape, h_BH.shape, x_TBI.dtype
    joined, weights_n = _joined(name, H, *weights)
    B = by.columns(examples, dtype.itemsize)
    span = min(max(COLUMNS // B, 1), T)
    z = _buffer(x_TBI, H, B, span)
    c_THB = np.empty((T + 1 if name == "lstm" else 0, H, B), dtype)
    gates = np.empty((T, {"gru": 4 * H, "lstm": 5 * H}.get(name, 0), B), dtype)
    h_THB = np.empty((T + 1, H, B), dtype)
    kept = _Kept(name, joined, weights_n, z, h_THB, c_THB, gates, span, weights[2] is not None)
    for part_THB, start_BH in ((h_THB, h_BH), (c_THB, c_BH)):
        if start_BH is not None:
            part_THB[0, :, :examples], part_THB[0, :, examples:] = start_BH.T, 0
    z[0, :H, :B] = h_THB[0]
    n_NHW = np.empty((0, 0, 0), dtype) if weights_n is None else weights_n @ z[:, H:]
    by.forward(name, by.packed(joined), n_NHW, z, span, gates, c_THB, h_THB)
    last = [h_THB[-1]] if c_BH is None else [h_THB[-1], c_THB[-1]]
    return kept, [np.ascontiguousarray(part[:, :examples].T) for part in last]


def _buffer(x_TBI: Array, H: int, B: int, span: int) -> Array:
    """z of `_Kept`: the inputs and ones, and room for the states."""
    T, examples, inputs = x_TBI.shape
    z = np.empty((T // span + 1, H + inputs + 1, span * B + APART), x_TBI.dtype)
    steps = z[:, H:, : span * B].reshape(len(z), inputs + 1, span, B)
    assert np.shares_memory(steps, z)
    steps[:, -1] = 1
    steps[-1, :-1] = 0
    steps[..., examples:] = 0
    for window in range((T - 1) // span + 1):
        x_tIB = x_TBI[window * span : (window + 1) * span].transpose(0, 2, 1)
        steps[window, :-1, : len(x_tIB), :examples] = x_tIB.transpose(1, 0, 2)
    return z


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


def _backward(
    kept: _Kept,
    out_TBH: Array | None,
    h_BH: Array | None,
    c_BH: Array | None = None,
    *,
    need_x: bool,
    examples: int,
    damping: float = 1.0,
) -> tuple[Array | None, ...]:
    """Gradients of x, h, c and the four weights, from those of the outputs, h and c."""
    by, span, dtype = form(), kept.span, kept.z.dtype
    (T, H, B), (G, K) = (len(kept.h) - 1, *kept.h.shape[1:]), kept.weights.shape
    dh, dc = (_columns(g, H, B, dtype) for g in (h_BH, c_BH))
    which_T, scored_SHB = _scored(out_TBH, T, H, B, dtype)
    d_GW = np.empty((G + (kept.name == "gru") * H, span * B + APART), dtype)
    factor = dtype.type(damping)
    back_HG = by.packed(factor * kept.weights[:, :H].T)
    dw, dw_n = np.zeros((G, K), dtype), np.zeros((H, K - H), dtype)
    dx_TBI = np.empty((T, examples, K - H - 1), dtype) if need_x else None
    for first in reversed(range(0, T, span)):
        last = min(first + span, T)
        steps, states = slice(first, last), slice(first, last + 1)
        by.back(kept.name, back_HG, which_T[steps], scored_SHB, kept.gates[steps], kept.c[states],
                kept.h[states], dh, dc, d_GW, factor)  # fmt: skip
        d, z = d_GW[:, : (last - first) * B], kept.z[first // span, :, : (last - first) * B]
        dw += d[:G] @ z.T
        if kept.weights_n is not None:
            dw_n += d[G:] @ z[H:].T
        if dx_TBI is not None:
            dx = kept.weights[:, H:-1].T @ d[:G]
            if kept.weights_n is not None:
                dx += kept.weights_n[:, :-1].T @ d[G:]
            dx_TBI[steps] = dx.reshape(K - H - 1, -1, B)[..., :examples].transpose(1, 2, 0)
    return dx_TBI, dh[:, :examples].T, dc[:, :examples].T, *_parted(kept, dw, dw_n)


def _columns(grad_BH: Array | None, H: int, B: int, dtype: Any) -> Array:
    """[H, B], zeros where there is nothing."""
    found_HB = np.zeros((H, B), dtype)
    if grad_BH is not None:
        found_HB[:, : len(grad_BH)] = grad_BH.T
    return found_HB


def _scored(out_TBH: Array | None, T: int, H: int, B: int, dtype: Any) -> tuple[Array, Array]:
    """The outputs' own gradients, [S, H, B], of the steps that have one; which of them each step
    has, -1 for none."""
    which_T = np.full(T, -1)
    steps_S: Any = []
    if out_TBH is not None:
        as_it_lies = sorted((1, 2), key=lambda axis: -out_TBH.strides[axis])
        steps_S = np.flatnonzero(out_TBH.transpose(0, *as_it_lies).reshape(T, -1).any(1))
    which_T[steps_S] = np.arange(len(steps_S))
    scored_SHB = np.zeros((len(steps_S), H, B), dtype)
    if out_TBH is not None:
        scored_SHB[..., : out_TBH.shape[1]] = out_TBH[steps_S].transpose(0, 2, 1)
    return which_T, scored_SHB


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
