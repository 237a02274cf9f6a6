"""A segment as one compiled function.

torch.compile does not look into torch's fused layers, so theirs are written out step by step here,
on the same parameters: the same numbers, to rounding. A cell that somebody brought is unrolled and
compiled as it stands.

Shapes: t steps of a segment, B sequences, I inputs, H outputs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqbench.engine.chain import flatten, rebuild
from seqbench.errors import reason

SEGMENT = 20  # steps: compile time grows with them (docs/engine.md)

Weights = list[Tensor | None]  # of one fused layer: input, recurrent, and their biases
Layer = Any  # (inputs, state, a list of Weights) -> (outputs, state)


class Compiled:
    """A stack that runs full segments compiled, and everything else as it is.

    Full means: the shape it was compiled for, and a state given. What is left over of a sequence,
    a smaller last batch and the first segment of all are no reason to compile again.

    Args:
        stack: has the layer contract and a list of `layers`.
        inputs_tBI: a segment's inputs; run forward and backward once, to compile.

    Attributes:
        seconds: what that took.

    Raises:
        ValueError: torch can't compile it; says why.
    """

    def __init__(self, stack: Any, inputs_tBI: Tensor) -> None:
        if getattr(stack, "embedding", None) is not None:
            raise ValueError(
                "training.compile = true: inputs that are tokens can't be compiled; allowed: false"
            )
        self.stack, self.shape = stack, inputs_tBI.shape
        each = [written_out(layer) for layer in stack.layers]
        self.weights = [weights for weights, _ in each]
        started = time.perf_counter()
        self.compiled = _compile([run for _, run in each], self.weights, inputs_tBI)
        try:
            self._once(inputs_tBI)
        except Exception as error:
            told = reason(error)[:300]
            raise ValueError(f"training.compile = true: torch can't compile it: {told}") from error
        self.seconds = time.perf_counter() - started

    def _once(self, inputs_tBI: Tensor) -> None:
        devices = [inputs_tBI.device] if inputs_tBI.is_cuda else []
        with torch.random.fork_rng(devices), torch.enable_grad():
            with torch.no_grad():
                _, state = self.stack(inputs_tBI[:1])
            outputs, after = self.compiled(inputs_tBI, _leaves(state), self.weights)
            total = outputs.sum() + sum(x.sum() for x in flatten(after) if x.requires_grad)
            total.backward()
        self.stack.zero_grad(set_to_none=True)

    def __call__(self, x_tBI: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        if state is None or x_tBI.shape != self.shape:
            return self.stack(x_tBI, state)
        if torch.is_grad_enabled():
            return self.compiled(x_tBI, state, self.weights)
        with torch.enable_grad():  # or it would be compiled once more, with other rounding
            outputs, after = self.compiled(x_tBI, _leaves(state), self.weights)
        return outputs.detach(), rebuild(after, (part.detach() for part in flatten(after)))


_last: tuple[Any, Callable] | None = None  # what was compiled last in this process, and for what


def _compile(each: list[Layer], weights: list, inputs_tBI: Tensor) -> Callable:
    """Fused layers of the same kinds and shapes are compiled once in a process, whatever their
    weights are; what was compiled for other layers is dropped, torch keeps only so many."""
    global _last
    fused = all(weights)
    shapes = [[[x is not None and x.shape for x in own] for own in w] for w in weights]
    kinds = [run.args for run in each] if fused else None
    purpose = (kinds, shapes, inputs_tBI.shape, inputs_tBI.dtype, inputs_tBI.device)
    if fused and _last is not None and _last[0] == purpose:
        return _last[1]
    torch.compiler.reset()
    compiled = torch.compile(
        partial(_run_stack, each),
        dynamic=False,
        fullgraph=True,
        # the code around the kernels in C++ too: a segment is many small ones
        options={"cpp_wrapper": inputs_tBI.device.type == "cpu"},
    )
    _last = (purpose, compiled)
    return compiled


def _leaves(state: Any) -> Any:
    parts = [x.detach() for x in flatten(state)]
    return rebuild(
        state, (x.requires_grad_(x.is_floating_point() or x.is_complex()) for x in parts)
    )


def _run_stack(each: list[Layer], x_tBI: Tensor, states: tuple, weights: list) -> tuple:
    after = []
    for run, state, its_weights in zip(each, states, weights, strict=True):
        x_tBI, state = run(x_tBI, state, its_weights)
        after.append(state)
    return x_tBI, tuple(after)


def written_out(layer: Any) -> tuple[list[Weights], Layer]:
    """A layer as a plain function, and the weights that it is to be handed.

    Returns:
        Weights of each of a fused layer's own layers, and (x, state, weights) -> (outputs, state)
        that goes step by step; none, and the layer itself, for any other layer.
    """
    fused = (nn.RNN.forward, nn.GRU.forward, nn.LSTM.forward)
    if type(layer).forward not in fused or layer.proj_size:
        return [], lambda x_tBI, state, weights: layer(x_tBI, state)
    step: Any = {"LSTM": _lstm, "GRU": _gru, "RNN_TANH": _tanh, "RNN_RELU": _relu}[layer.mode]
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    weights = [
        [getattr(layer, f"{name}_l{depth}", None) for name in names]
        for depth in range(layer.num_layers)
    ]
    return weights, partial(_step_by_step, step, layer.dropout)


def _step_by_step(
    step: Callable, dropout: float, x_tBI: Tensor, state: Any, weights: list[Weights]
) -> tuple[Tensor, Any]:
    states = state if isinstance(state, tuple) else (state,)
    after = []
    for depth, own in enumerate(weights):
        if depth and dropout:
            x_tBI = F.dropout(x_tBI, dropout)
        x_tBI, last = _one_deep(step, x_tBI, [part[depth] for part in states], own)
        after.append(last)
    stacked = tuple(torch.stack(parts) for parts in zip(*after, strict=True))
    return x_tBI, stacked if isinstance(state, tuple) else stacked[0]


def _one_deep(step: Callable, x_tBI: Tensor, state: list[Tensor], weights: list) -> tuple:
    """The inputs' part for all steps at once, the rest step by step."""
    w_ih, w_hh, b_ih, b_hh = weights
    outputs = []
    for from_x in F.linear(x_tBI, w_ih, b_ih).unbind(0):
        state = step(from_x, F.linear(state[0], w_hh, b_hh), *state)
        outputs.append(state[0])
    return torch.stack(outputs), tuple(state)


def _tanh(from_x: Tensor, from_h: Tensor, h: Tensor) -> tuple[Tensor]:
    return (torch.tanh(from_x + from_h),)


def _relu(from_x: Tensor, from_h: Tensor, h: Tensor) -> tuple[Tensor]:
    return (torch.relu(from_x + from_h),)


def _gru(from_x: Tensor, from_h: Tensor, h: Tensor) -> tuple[Tensor]:
    xr, xz, xn = from_x.chunk(3, 1)
    hr, hz, hn = from_h.chunk(3, 1)
    z = torch.sigmoid(xz + hz)
    n = torch.tanh(xn + torch.sigmoid(xr + hr) * hn)
    return (n + z * (h - n),)


def _lstm(from_x: Tensor, from_h: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    i, f, g, o = (from_x + from_h).chunk(4, 1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c
