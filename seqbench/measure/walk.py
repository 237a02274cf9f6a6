"""One walk back through time: the exact gradient norm at each boundary, in any range.

A batch is run forward; then, segment by segment from the end, the gradient with respect to the
state is pulled back. Between segments it is brought to norm 1 for each example and its log10 is
carried, so that 1e-2000 is a number like any other.

The line that computes the norm is in `log10_norm`; the walk is `Walk.back`.

Shapes: T steps, R rows (a row is an example with its own anchor and cotangent), H outputs,
n entries of a part of the state, P named parts of the state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from seqbench.engine.chain import Segment, State, TimeChain, enter, roots, unflatten
from seqbench.measure.state import as_wide, batch_dims, name_parts, widened, zero_state

SEGMENT = 10  # steps: inside a longer one float32 could underflow to a false zero
# log10 of a norm, relative to what entered the segment, below which digits may have been lost to
# subnormal numbers on the way
TOO_SMALL = {
    torch.float16: -3.0,
    torch.bfloat16: -30.0,
    torch.float32: -30.0,
    torch.float64: -290.0,
}
FAR_APART = 30.0  # decades between what arrives; further, each is pulled back by itself

# (start, stop, outputs [t, R, H]) -> d objective / d outputs, or None where nothing arrives
Direct = Callable[[int, int, Tensor], Tensor | None]


def log10_norm(x_Rn: Tensor) -> Tensor:
    """log10 of each row's Euclidean norm, [R, n] -> [R] in float64; -inf for an exact zero.

    Scaled by the largest entry before it is squared: float64 alone would lose 1e-200.
    """
    wide = as_wide(x_Rn)
    largest = wide.abs().amax(1)
    scale = torch.where((largest > 0) & largest.isfinite(), largest, 1.0)
    return torch.log10(scale) + torch.log10(torch.linalg.vector_norm(wide / scale[:, None], dim=1))


def log10_root_sum_square(logs: Tensor, dim: int = 0) -> Tensor:
    """log10 of the root of a sum of squares, from the log10 of each term."""
    largest = logs.amax(dim, keepdim=True)
    scale = torch.where(largest.isfinite(), largest, 0.0)
    total = (10 ** (2 * (logs - scale))).sum(dim, keepdim=True)
    return (scale + 0.5 * torch.log10(total)).squeeze(dim)


def _times_power_of_ten(x: Tensor, log10_R: Tensor, batch_dim: int) -> Tensor:
    """x * 10^log10_R along its batch axis, wide; 0 where the exponent is -inf, inf or undefined."""
    factor = torch.where(log10_R.isfinite(), 10**log10_R, 0.0)
    shape = [1] * x.ndim
    shape[batch_dim] = -1
    return as_wide(x) * factor.view(shape)


class Arriving(NamedTuple):
    """The gradient with respect to the state at a boundary.

    Attributes:
        grad: the state's tensors, each part of norm 1 for each row, or 0; in float64.
        log_PR: log10 of each named part's norm, [P, R].
    """

    grad: State
    log_PR: Tensor


class Stretch(NamedTuple):
    """Steps start..stop-1, and the state before them."""

    start: int
    stop: int
    state: State


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

    Each named part of the state carries an exponent of its own for each row: parts may differ by
    any number of decades.

    Args:
        layer: has the layer contract; see `seqbench.models.recurrent.as_layer`.
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
        self._chains: dict[tuple[bool, int], TimeChain] = {}

    def back(
        self, edges: Sequence[int], at_boundary: Callable[[int, Tensor, Tensor], None] | None = None
    ) -> Transport:
        """Pull the gradient back segment by segment, from the last edge to the first (0).

        Args:
            at_boundary: called with (time, the gradient of the whole state brought to norm 1
                [R, n], log10 of its norm [R]) at each edge but the last.
        """
        states = self._forward(edges)
        nothing_R = self._nothing()
        arriving = Arriving(
            tuple(torch.zeros_like(as_wide(x)) for x in self._repeated(self.start)),
            nothing_R.expand(len(self.parts), -1),
        )
        direct_log_R, found = nothing_R, []
        for start, stop in reversed(list(pairwise(edges))):
            stretch = Stretch(start, stop, self._repeated(states.pop()))
            arriving, near_R = self._pull(stretch, arriving)
            found.append(arriving.log_PR)
            if at_boundary:
                at_boundary(start, *self._joined(arriving))
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
        chain, states = self._chain(False, 1), [self.start]
        with torch.no_grad():
            for start, stop in pairwise(edges[:-1]):
                states.append(chain.run(start, stop, states[-1])[1])
        return states

    def _repeated(self, state: State) -> State:
        """The state of B examples as that of all rows."""
        return tuple(
            torch.cat([x] * self.copies, dim) for x, dim in zip(state, self.batch_dims, strict=True)
        )

    def _chain(self, wide: bool, copies: int) -> TimeChain:
        """The layer over its inputs, as it is or in float64."""
        if (wide, copies) not in self._chains:
            layer = widened(self.layer) if wide else self.layer
            inputs = as_wide(self.inputs) if wide else self.inputs
            self._chains[wide, copies] = TimeChain(layer, inputs.repeat(1, copies, 1), [])
            self._chains[wide, copies].template = self.template
        return self._chains[wide, copies]

    @cached_property
    def _can_be_wide(self) -> bool:
        """Whether the layer runs in float64; one that makes float32 constants does not."""
        if all(x.dtype not in TOO_SMALL or x.dtype == torch.float64 for x in self.start):
            return False  # it is wide as it is
        try:
            with torch.no_grad():
                self._chain(True, 1).run(0, 1, tuple(as_wide(x) for x in self.start))
        except (RuntimeError, TypeError, ValueError):
            return False
        return True

    def _nothing(self) -> Tensor:
        return torch.full(
            self.anchors.shape, -math.inf, dtype=torch.float64, device=self.inputs.device
        )

    def _pull(
        self, stretch: Stretch, arriving: Arriving, *, wide: bool = False, outputs: bool = True
    ) -> tuple[Arriving, Tensor]:
        """The gradient at the end of a stretch of steps -> at its start.

        Args:
            wide: in float64.
            outputs: whether the objective's direct gradient arrives too.

        Returns:
            The gradient; and, in log10, the norm of the direct gradient at those rows' anchors
            that lie in between, [R].
        """
        start, stop, state = stretch
        chain = self._chain(wide, self.copies)
        if wide:
            state = tuple(as_wide(x) for x in state)
        segment = enter(lambda s: chain.run(start, stop, s), state)
        direct = self.direct(start, stop, segment.outputs) if outputs else None
        near_R = self._direct_at_anchors(direct, start, stop)
        # What arrives by the state and what arrives by the outputs, on one scale: the largest is 1.
        top_R, direct_in, sources = arriving.log_PR.amax(0), None, list(arriving.log_PR)
        if direct is not None:
            direct_R = log10_norm(direct.movedim(1, 0).flatten(1))
            top_R = torch.maximum(top_R, direct_R)
            sources.append(direct_R)
            shift_R = torch.where(direct_R.isfinite(), -top_R, -math.inf)
            direct_in = _times_power_of_ten(direct, shift_R, 1).to(segment.outputs.dtype)
        grad_in = [
            g.to(x.dtype)
            for g, x in zip(
                self._scaled(arriving.grad, arriving.log_PR - top_R), segment.exit, strict=True
            )
        ]
        before, reached = _vector_jacobian(segment, direct_in, grad_in)
        scaled_PR = torch.stack([log10_norm(part.view(before)) for part in self.parts])
        limit = TOO_SMALL.get(_precision(before), -math.inf)
        exact_PR = scaled_PR.isfinite() & (scaled_PR > limit)
        exact_PR[[not reached[part.tensor] for part in self.parts]] = True  # nothing leads there
        doubtful_R = (~exact_PR).any(0) & top_R.isfinite()
        if doubtful_R.any():
            if not wide and self._can_be_wide:
                return self._pull(stretch, arriving, wide=True, outputs=outputs)
            if _far_apart(torch.stack(sources)[:, doubtful_R]):
                return self._pull_apart(stretch, arriving, wide, outputs), near_R
            if stop - start > 1:
                return self._pull_halves(stretch, arriving, wide, outputs)
        unit = self._scaled(tuple(as_wide(x) for x in before), -scaled_PR)
        return Arriving(unit, top_R + scaled_PR), near_R

    def _pull_apart(
        self, stretch: Stretch, arriving: Arriving, wide: bool, outputs: bool
    ) -> Arriving:
        """Each part's gradient, and the direct one, by itself: none is lost beside a larger one."""
        alone = torch.eye(len(self.parts), dtype=torch.bool, device=self.inputs.device)
        logs = [torch.where(p[:, None], arriving.log_PR, -math.inf) for p in alone]
        found = [
            self._pull(stretch, Arriving(arriving.grad, log_PR), wide=wide, outputs=False)[0]
            for log_PR in logs
        ]
        if outputs:
            nothing = Arriving(arriving.grad, torch.full_like(arriving.log_PR, -math.inf))
            found.append(self._pull(stretch, nothing, wide=wide)[0])
        top_PR = torch.stack([one.log_PR for one in found]).amax(0)
        terms = [self._scaled(one.grad, one.log_PR - top_PR) for one in found]
        total = tuple(sum(tensors) for tensors in zip(*terms, strict=True))
        norm_PR = torch.stack([log10_norm(part.view(total)) for part in self.parts])
        return Arriving(self._scaled(total, -norm_PR), top_PR + norm_PR)

    def _pull_halves(
        self, stretch: Stretch, arriving: Arriving, wide: bool, outputs: bool
    ) -> tuple[Arriving, Tensor]:
        start, stop, state = stretch
        middle = (start + stop) // 2
        if wide:
            state = tuple(as_wide(x) for x in state)
        with torch.no_grad():
            halfway = self._chain(wide, self.copies).run(start, middle, state)[1]
        later = Stretch(middle, stop, halfway)
        arriving, later_R = self._pull(later, arriving, wide=wide, outputs=outputs)
        earlier = Stretch(start, middle, state)
        arriving, near_R = self._pull(earlier, arriving, wide=wide, outputs=outputs)
        return arriving, torch.maximum(near_R, later_R)

    def _scaled(self, tensors: State, log10_PR: Tensor) -> State:
        """Each part of a state times a power of ten for each row; 0 where that is not finite."""
        found = []
        for number, (x, batch_dim) in enumerate(zip(tensors, self.batch_dims, strict=True)):
            rows = [i for i, part in enumerate(self.parts) if part.tensor == number]
            if not rows:  # a counter
                found.append(x)
            elif batch_dim == 0:
                found.append(_times_power_of_ten(x, log10_PR[rows[0]], 0))
            else:
                each = zip(x, rows, strict=True)
                found.append(torch.stack([_times_power_of_ten(y, log10_PR[i], 0) for y, i in each]))
        return tuple(found)

    def _joined(self, arriving: Arriving) -> tuple[Tensor, Tensor]:
        """The gradient of the whole state with norm 1, [R, n], and the log10 of its norm, [R]."""
        joint_R = log10_root_sum_square(arriving.log_PR)
        scaled = self._scaled(arriving.grad, arriving.log_PR - joint_R)
        return torch.cat([part.view(scaled) for part in self.parts], 1), joint_R

    def _direct_at_anchors(self, direct: Tensor | None, start: int, stop: int) -> Tensor:
        log_R = self._nothing()
        rows = ((self.anchors > start) & (self.anchors <= stop)).nonzero().squeeze(1)
        if direct is not None and len(rows):
            log_R[rows] = log10_norm(direct[self.anchors[rows] - 1 - start, rows])
        return log_R


def _far_apart(log10_SR: Tensor) -> bool:
    """Whether what arrives differs by more than one precision can hold, in any row."""
    low = torch.where(log10_SR.isfinite(), log10_SR, math.inf).amin(0)
    return bool((log10_SR.amax(0) - low > FAR_APART).any())


def _precision(tensors: State) -> torch.dtype:
    """The dtype of a state's numbers, real."""
    x = next(x for x in tensors if x.is_floating_point() or x.is_complex())
    return torch.empty((), dtype=x.dtype).real.dtype if x.is_complex() else x.dtype


def _vector_jacobian(
    segment: Segment, grad_outputs: Tensor | None, grad_exit: list
) -> tuple[State, list[bool]]:
    """The gradient of each tensor of the state that entered, and whether anything leads to it."""
    tensors, gradients = roots(segment, grad_outputs, grad_exit)
    leaves = [part for part in segment.entry if part.requires_grad]
    pulled = [None] * len(leaves)
    if tensors and leaves:
        pulled = torch.autograd.grad(tensors, leaves, gradients, allow_unused=True)
    each = iter(pulled)
    found = [next(each) if part.requires_grad else None for part in segment.entry]
    before = tuple(
        torch.zeros_like(part) if grad is None else grad
        for part, grad in zip(segment.entry, found, strict=True)
    )
    return before, [grad is not None for grad in found]


def cut(times: set[int], steps: int) -> list[int]:
    """Edges from 0 to `steps` that include all `times`, at most SEGMENT apart."""
    edges = [0]
    for time in sorted(times | {steps}):
        while time - edges[-1] > SEGMENT:
            edges.append(edges[-1] + SEGMENT)
        if time > edges[-1]:
            edges.append(time)
    return edges
