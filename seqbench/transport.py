"""One walk back through time: the exact gradient norm at each boundary, in any range.

A batch is run forward; then, segment by segment from the end, the gradient with respect to the
state is pulled back. Between segments it is brought to norm 1 for each example and its log10 is
carried, so that 1e-2000 is a number like any other.

The line that computes the norm is in `log10_norm`; the walk is `Walk.back`.

Shapes: T steps, R rows (a row is an example with its own anchor and cotangent), H outputs,
n entries of a part of the state, P named parts of the state.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seqbench.bptt import Segment, State, TimeChain, enter, flatten, roots, template, unflatten
from seqbench.model import Stack, Unroll

SEGMENT = 10  # steps: inside a longer one float32 could underflow to a false zero
# log10 of a norm, relative to what entered the segment, below which digits may have been lost to
# subnormal numbers on the way
TOO_SMALL = {torch.float32: -30.0, torch.float64: -290.0}

# (start, stop, outputs [t, R, H]) -> d objective / d outputs, or None where nothing arrives
Direct = Callable[[int, int, Tensor], Tensor | None]


def log10_norm(x_Rn: Tensor) -> Tensor:
    """log10 of each row's Euclidean norm, [R, n] -> [R] in float64; -inf for an exact zero.

    Scaled by the largest entry before it is squared: float64 alone would lose 1e-200.
    """
    wide = _wide(x_Rn)
    largest = wide.abs().amax(1)
    scale = torch.where((largest > 0) & largest.isfinite(), largest, 1.0)
    return torch.log10(scale) + torch.log10(torch.linalg.vector_norm(wide / scale[:, None], dim=1))


def log10_root_sum_square(logs: Tensor, dim: int = 0) -> Tensor:
    """log10 of the root of a sum of squares, from the log10 of each term."""
    largest = logs.amax(dim, keepdim=True)
    scale = torch.where(largest.isfinite(), largest, 0.0)
    total = (10 ** (2 * (logs - scale))).sum(dim, keepdim=True)
    return (scale + 0.5 * torch.log10(total)).squeeze(dim)


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.complex128 if x.is_complex() else torch.float64)


def _as(x: Tensor, dtype: torch.dtype) -> Tensor:
    return x.to(dtype) if x.is_floating_point() else x


def _times_power_of_ten(x: Tensor, log10_R: Tensor, batch_dim: int) -> Tensor:
    """x * 10^log10_R along its batch axis, wide; 0 where the exponent is -inf, inf or undefined."""
    factor = torch.where(log10_R.isfinite(), 10**log10_R, 0.0)
    shape = [1] * x.ndim
    shape[batch_dim] = -1
    return _wide(x) * factor.view(shape)


class Part(NamedTuple):
    """A named part of a layer's state: where it lies among the state's tensors."""

    layer: int
    name: str | None  # None: a counter or the like, which has no gradient
    tensor: int
    row: int | None  # torch's layers keep [layers, B, n] in one tensor
    batch_dim: int  # of the whole tensor

    def view(self, tensors: Sequence[Tensor]) -> Tensor:
        """This part of a state, [R, n]."""
        x = tensors[self.tensor]
        x = x.movedim(self.batch_dim, 0) if self.row is None else x[self.row]
        return x.reshape(len(x), -1)


def name_parts(layer: nn.Module, state: Any) -> list[Part]:
    """h, c, s2, ... of every layer, in the order of the state's tensors."""
    parts: list[Part] = []
    tensor = below = 0
    each = zip(layer.layers, state, strict=True) if isinstance(layer, Stack) else [(layer, state)]
    for one, its_state in each:
        deep = 1
        for number, x in enumerate(flatten(its_state)):
            name = ("h", "c")[number] if number < 2 else f"s{number}"
            if not (x.is_floating_point() or x.is_complex()):
                name = None
            if isinstance(one, Unroll) or x.ndim < 3:
                parts.append(Part(below, name, tensor, None, 0))
            else:
                deep = x.shape[0]
                parts += [Part(below + row, name, tensor, row, 1) for row in range(deep)]
            tensor += 1
        below += deep
    return parts


def batch_dims(parts: Sequence[Part]) -> list[int]:
    """Which axis of each tensor of a state counts the examples."""
    return list({part.tensor: part.batch_dim for part in parts}.values())


@dataclass
class Transport:
    """What one walk back found.

    Attributes:
        times: boundaries, ascending: after so many steps.
        names: (layer, part of the state); "all" is a layer's parts together.
        log10_norms: [names, times, R].
        direct_log10: [R], the norm of the direct gradient at each row's anchor step.
    """

    times: list[int]
    names: list[tuple[int, str]]
    log10_norms: Tensor
    direct_log10: Tensor


class Walk:
    """One layer over one batch, to be walked back through.

    Args:
        layer: has the layer contract; see `seqbench.model.as_layer`.
        inputs_TBI: [T, B, I]; R is B or a multiple of it, row r showing example r % B.
        direct: the gradient of the objective with respect to the outputs of a stretch of steps.
        anchors_R: [R], the 1-based step that each row's lags count from.

    Raises:
        ValueError: what `zero_state` raises.
    """

    def __init__(
        self, layer: nn.Module, inputs_TBI: Tensor, direct: Direct, anchors_R: Tensor
    ) -> None:
        self.layer, self.inputs, self.direct, self.anchors = layer, inputs_TBI, direct, anchors_R
        self.copies = len(anchors_R) // inputs_TBI.shape[1]
        self.template, self.start = zero_state(layer, inputs_TBI)
        parts = name_parts(layer, unflatten(self.template, iter(self.start)))
        self.parts = [part for part in parts if part.name]
        self.batch_dims = batch_dims(parts)
        self._chains: dict[tuple[torch.dtype, int], TimeChain] = {}

    def back(
        self, edges: Sequence[int], at_boundary: Callable[[int, Tensor, Tensor], None] | None = None
    ) -> Transport:
        """Pull the gradient back segment by segment, from the last edge to the first (0).

        Args:
            at_boundary: called with (time, the gradient of the whole state brought to norm 1
                [R, n], log10 of its norm [R]) at each edge but the last.
        """
        states = self._forward(edges)
        grad: State = tuple(torch.zeros_like(part) for part in self._repeated(self.start))
        log_R = self._nothing()
        direct_log_R, found = self._nothing(), []
        for start, stop in reversed(list(pairwise(edges))):
            state = self._repeated(states.pop())
            grad, log_R, parts_PR, near_R = self._pull(
                start, stop, state, grad, log_R, self.inputs.dtype
            )
            found.append(parts_PR)
            if at_boundary:
                at_boundary(start, torch.cat([part.view(grad) for part in self.parts], 1), log_R)
            direct_log_R = torch.maximum(direct_log_R, near_R)
        parts_PTR = torch.stack(found[::-1], 1)
        layers = sorted({part.layer for part in self.parts})
        together = [
            log10_root_sum_square(parts_PTR[[part.layer == layer for part in self.parts]])
            for layer in layers
        ]
        return Transport(
            times=list(edges[:-1]),
            names=[(p.layer, p.name) for p in self.parts] + [(layer, "all") for layer in layers],
            log10_norms=torch.cat([parts_PTR, torch.stack(together)]),
            direct_log10=direct_log_R,
        )

    def _forward(self, edges: Sequence[int]) -> list[State]:
        """The states at all edges but the last."""
        chain, states = self._chain(self.inputs.dtype, 1), [self.start]
        with torch.no_grad():
            for start, stop in pairwise(edges[:-1]):
                states.append(chain.run(start, stop, states[-1])[1])
        return states

    def _repeated(self, state: State) -> State:
        """The state of B examples as that of all rows."""
        return tuple(
            torch.cat([x] * self.copies, dim) for x, dim in zip(state, self.batch_dims, strict=True)
        )

    def _chain(self, dtype: torch.dtype, copies: int) -> TimeChain:
        """The layer over its inputs in this precision; a copy if it is not its own."""
        if (dtype, copies) not in self._chains:
            same = dtype == self.inputs.dtype
            layer = self.layer if same else copy.deepcopy(self.layer).to(dtype)
            inputs = self.inputs.to(dtype).repeat(1, copies, 1)
            self._chains[dtype, copies] = TimeChain(layer, inputs, [])
            self._chains[dtype, copies].template = self.template
        return self._chains[dtype, copies]

    @cached_property
    def _wide_dtype(self) -> torch.dtype:
        """float64, or the layer's own precision if it can't be run in another."""
        try:
            with torch.no_grad():
                self._chain(torch.float64, 1).run(
                    0, 1, tuple(_as(x, torch.float64) for x in self.start)
                )
        except (RuntimeError, TypeError, ValueError):
            return self.inputs.dtype
        return torch.float64

    def _nothing(self) -> Tensor:
        return torch.full(
            self.anchors.shape, -math.inf, dtype=torch.float64, device=self.inputs.device
        )

    def _pull(
        self, start: int, stop: int, state: State, grad: State, log_R: Tensor, dtype: torch.dtype
    ) -> tuple[State, Tensor, Tensor, Tensor]:
        """The gradient at `stop`, as norm 1 and its log10, -> the same at `start`.

        Also, in log10: the norm of each named part, [P, R], and of the direct gradient at those
        rows' anchors that lie in between, [R].
        """
        chain = self._chain(dtype, self.copies)
        segment = enter(lambda s: chain.run(start, stop, s), tuple(_as(x, dtype) for x in state))
        direct = self.direct(start, stop, segment.outputs)
        near_R = self._direct_at_anchors(direct, start, stop)
        # What arrives by the state and what arrives by the outputs, on one scale: the larger is 1.
        top_R, direct_in = log_R, None
        if direct is not None:
            direct_R = log10_norm(direct.movedim(1, 0).flatten(1))
            top_R = torch.maximum(log_R, direct_R)
            shift_R = torch.where(direct_R.isfinite(), -top_R, -math.inf)
            direct_in = _times_power_of_ten(direct, shift_R, 1).to(segment.outputs.dtype)
        grad_in = [
            _times_power_of_ten(g, log_R - top_R, dim).to(x.dtype)
            for g, dim, x in zip(grad, self.batch_dims, segment.exit, strict=True)
        ]
        before = _vector_jacobian(segment, direct_in, grad_in)
        scaled_PR = torch.stack([log10_norm(part.view(before)) for part in self.parts])
        exact = scaled_PR.isfinite() & (scaled_PR > TOO_SMALL.get(dtype, -math.inf))
        doubtful = (~exact).any(0) & top_R.isfinite()
        if doubtful.any() and dtype != self._wide_dtype:
            return self._pull(start, stop, state, grad, log_R, self._wide_dtype)
        if doubtful.any() and stop - start > 1:
            return self._pull_halves(start, stop, state, grad, log_R)
        norm_R = log10_root_sum_square(scaled_PR)
        unit = tuple(
            _times_power_of_ten(g, -norm_R, dim)
            for g, dim in zip(before, self.batch_dims, strict=True)
        )
        return unit, top_R + norm_R, top_R + scaled_PR, near_R

    def _pull_halves(
        self, start: int, stop: int, state: State, grad: State, log_R: Tensor
    ) -> tuple[State, Tensor, Tensor, Tensor]:
        middle, wide = (start + stop) // 2, self._wide_dtype
        with torch.no_grad():
            halfway = self._chain(wide, self.copies).run(
                start, middle, tuple(_as(x, wide) for x in state)
            )[1]
        grad, log_R, _, later_R = self._pull(middle, stop, halfway, grad, log_R, wide)
        *pulled, near_R = self._pull(start, middle, state, grad, log_R, wide)
        return *pulled, torch.maximum(near_R, later_R)

    def _direct_at_anchors(self, direct: Tensor | None, start: int, stop: int) -> Tensor:
        log_R = self._nothing()
        rows = ((self.anchors > start) & (self.anchors <= stop)).nonzero().squeeze(1)
        if direct is not None and len(rows):
            log_R[rows] = log10_norm(direct[self.anchors[rows] - 1 - start, rows])
        return log_R


def _vector_jacobian(segment: Segment, grad_outputs: Tensor | None, grad_exit: list) -> State:
    tensors, gradients = roots(segment, grad_outputs, grad_exit)
    leaves = [part for part in segment.entry if part.requires_grad]
    found = iter(
        torch.autograd.grad(tensors, leaves, gradients, materialize_grads=True)
        if tensors and leaves
        else [torch.zeros_like(part) for part in leaves]
    )
    return tuple(
        next(found) if part.requires_grad else torch.zeros_like(part) for part in segment.entry
    )


def zero_state(layer: nn.Module, inputs_TBI: Tensor) -> tuple[Any, State]:
    """The nesting and the tensors of the state of zeros that `layer` starts from.

    Raises:
        ValueError: the layer starts from something else when it is given no state, gives other
            numbers when run twice, or lets the examples of a batch mix.
    """
    with torch.no_grad():
        first, again = layer(inputs_TBI[:1], None), layer(inputs_TBI[:1], None)
        nesting = template(first[1])
        zeros = tuple(torch.zeros_like(part) for part in flatten(first[1]))
        given = layer(inputs_TBI[:1], unflatten(nesting, iter(zeros)))
        alone = layer(inputs_TBI[:1, :1], None)[0]
    if not _same_numbers(first, again):
        raise ValueError(
            "the cell gives other numbers when it is run twice, in eval mode too (dropout, "
            "noise?), so that no gradient can be measured"
        )
    if not _same_numbers(first, given):
        raise ValueError(
            "the cell's state=None does not mean a state of zeros, "
            "so that there is no initial state to measure the gradient at"
        )
    if not torch.allclose(alone, first[0][:, :1], rtol=1e-3, atol=1e-5, equal_nan=True):
        raise ValueError(
            "the cell gives an example other numbers when it is alone in its batch, so that no "
            "example has a gradient of its own (is the batch taken for time or features?)"
        )
    return nesting, zeros


def _same_numbers(one: Any, other: Any) -> bool:
    pairs = zip(flatten(one), flatten(other), strict=True)  # outputs, and all parts of the state
    return all(torch.allclose(x, y, equal_nan=True) for x, y in pairs)


def cut(times: set[int], steps: int) -> list[int]:
    """Edges from 0 to `steps` that include all `times`, at most SEGMENT apart."""
    edges = [0]
    for time in sorted(times | {steps}):
        while time - edges[-1] > SEGMENT:
            edges.append(edges[-1] + SEGMENT)
        if time > edges[-1]:
            edges.append(time)
    return edges


@contextmanager
def measuring(module: nn.Module) -> Iterator[None]:
    """Eval mode inside, everything as it was outside: modes, and the global random state."""
    modes = [(part, part.training) for part in module.modules()]
    devices = {p.device.index for p in module.parameters() if p.device.type == "cuda"}
    # cuDNN's backward pass refuses eval mode; the measure is not in a hurry.
    with torch.random.fork_rng(devices), torch.backends.cudnn.flags(enabled=False):
        module.eval()
        try:
            yield
        finally:
            for part, mode in modes:
                part.training = mode
