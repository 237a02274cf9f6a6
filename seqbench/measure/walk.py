"""One walk back through a chain: the exact gradient norm at each boundary, in any range.

A batch is run forward; then, segment by segment from the end, the gradient with respect to the
state is pulled back. Between segments it is brought to norm 1 for each example and its log10 is
carried, so that 1e-2000 is a number like any other.

The line that computes the norm is in `log10_norm`; the walk is `Walk.back`.

Shapes: R rows (a row is an example with its own anchor and cotangent), H outputs, n entries of a
part of the state, P named parts of the state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqbench.engine.chain import Part, Segment, State, Tensors, enter, flatten, rebuild, roots
from seqbench.measure.state import as_wide

SEGMENT = 10  # links: a gradient may shrink by 1e-29 in each before float64 loses digits

# (steps, their outputs [t, R, H]) -> d objective / d outputs, or None where nothing arrives
Direct = Callable[[slice, Tensor], Tensor | None]


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
        grad: the state's tensors, each part of norm 1 for each row, or 0; in float64. (): all 0.
        log_PR: log10 of each named part's norm, [P, R].
    """

    grad: Tensors
    log_PR: Tensor


class Stretch(NamedTuple):
    """The chain between two places, and the state of all rows before it."""

    start: int
    stop: int
    state: State


@dataclass
class Transport:
    """What one walk back found.

    Attributes:
        times: boundaries, ascending: after so many links.
        names: (layer, part of the state); "all" is a layer's parts together, "whitened" the same
            with each coordinate in units of its own.
        log10_norms: [names, times, R].
        direct_log10: [R], the norm of the direct gradient at each row's anchor step.
    """

    times: list[int]
    names: list[tuple[int, str]]
    log10_norms: Tensor
    direct_log10: Tensor


class Walk:
    """A model's chain over one batch, to be walked back through.

    Each named part of the state carries an exponent of its own for each row: parts may differ by
    any number of decades.

    Args:
        model: has a method `chain(inputs)`; see `seqbench.engine.chain.Chain`.
        inputs: a batch, [T, B, I] or [T, B] tokens; R is B or a multiple of it, row r showing
            example r % B.
        direct: the gradient of the objective with respect to the outputs of a stretch of steps.
        anchors_R: [R], the step, counted from 1, that each row's lags count from.

    Raises:
        ValueError: the chain can't be measured.
    """

    def __init__(self, model: Any, inputs: Tensor, direct: Direct, anchors_R: Tensor) -> None:
        self.direct, self.anchors = direct, anchors_R
        self.copies = len(anchors_R) // inputs.shape[1]
        self.chain = model.chain(inputs)
        self.rows = self.chain.repeated(self.copies)
        self.start = self.chain.start()
        parts = self.chain.parts()
        self.parts = [part for part in parts if part.name]
        self.batch_dims = list({part.tensor: part.batch_dim for part in parts}.values())

    def back(
        self,
        edges: Sequence[int],
        at_boundary: Callable[[int, Tensor, Tensor], None] | None = None,
        units: Sequence[Tensor] | None = None,
    ) -> Transport:
        """Pull the gradient back segment by segment, from the last edge to the first (0).

        Args:
            at_boundary: called with (time, the gradient of the whole state brought to norm 1
                [R, n], log10 of its norm [R]) at each edge but the last.
            units: of each named part's coordinates, [n]; see `seqbench.measure.coordinates`.
        """
        states = self._forward(edges)
        nothing_R = torch.full(
            self.anchors.shape, -math.inf, dtype=torch.float64, device=self.anchors.device
        )
        arriving = Arriving((), nothing_R.expand(len(self.parts), -1))
        direct_log_R, found, white = nothing_R, [], []
        for start, stop in reversed(list(pairwise(edges))):
            stretch = Stretch(start, stop, self._repeated(states.pop()))
            arriving, near_R = self._pull(stretch, arriving)
            found.append(arriving.log_PR)
            if units is not None:
                white.append(self._in_units(arriving, units))
            if at_boundary:
                at_boundary(start, *self._joined(arriving))
            direct_log_R = torch.maximum(direct_log_R, near_R)
        named = {(part.layer, str(part.name)): each for part, each in self._by_part(found)}
        named |= self._together("all", found)
        if units is not None:
            named |= self._together("whitened", white)
        return Transport(
            times=list(edges[:-1]),
            names=list(named),
            log10_norms=torch.stack(list(named.values())),
            direct_log10=direct_log_R,
        )

    def _by_part(self, found: list[Tensor]) -> Iterator[tuple[Part, Tensor]]:
        """Each named part with its norms [times, R], of norms [P, R] found from the end on."""
        return zip(self.parts, torch.stack(found[::-1], 1), strict=True)

    def _together(self, name: str, found: list[Tensor]) -> dict[tuple[int, str], Tensor]:
        """The joint norm of each layer's parts."""
        layers: dict[int, list[Tensor]] = {}
        for part, each_TR in self._by_part(found):
            if part.in_all:
                layers.setdefault(part.layer, []).append(each_TR)
        return {
            (layer, name): log10_root_sum_square(torch.stack(layers[layer]))
            for layer in sorted(layers)
        }

    def _in_units(self, arriving: Arriving, units: Sequence[Tensor]) -> Tensor:
        """log10 of each part's norm with its coordinates in other units, [P, R]."""
        each = zip(self.parts, units, strict=True)
        scaled = [log10_norm(part.view(arriving.grad) * unit_n) for part, unit_n in each]
        return torch.stack(scaled) + arriving.log_PR

    def _forward(self, edges: Sequence[int]) -> list[State]:
        """The states at all edges but the last."""
        states = [self.start]
        with torch.no_grad():
            for start, stop in pairwise(edges[:-1]):
                states.append(self.chain.link(start, stop)(states[-1])[1])
        return states

    def _repeated(self, state: State) -> State:
        """The state of B examples as that of all rows."""
        each = zip(flatten(state), self.batch_dims, strict=True)
        return rebuild(state, [torch.cat([x] * self.copies, dim) for x, dim in each])

    def _pull(
        self, stretch: Stretch, arriving: Arriving, outputs: bool = True
    ) -> tuple[Arriving, Tensor]:
        """The gradient at the end of a stretch of the chain -> at its start.

        Args:
            outputs: whether the objective's direct gradient arrives too.

        Returns:
            The gradient; and, in log10, the norm of the direct gradient at those rows' anchors
            that lie in between, [R].
        """
        segment = enter(self.rows.link(stretch.start, stretch.stop), stretch.state)
        steps = self.rows.shown(stretch.start, stretch.stop)
        direct = self.direct(steps, segment.outputs) if outputs else None
        direct_R = torch.full_like(arriving.log_PR[0], -math.inf)
        if direct is not None:
            direct_R = log10_norm(direct.movedim(1, 0).flatten(1))
        grad = arriving.grad or tuple(torch.zeros_like(as_wide(x)) for x in segment.exit)
        # What arrives by the state and what arrives by the outputs, on one scale: the largest is 1.
        sources_SR = torch.cat([arriving.log_PR, direct_R[None]])
        top_R = sources_SR.amax(0)
        if self.chain.mixes:  # what belongs together is scaled together
            tops = top_R.view(self.copies, -1).amax(1)
            top_R = tops.repeat_interleave(len(top_R) // self.copies)
        before, reached = _vector_jacobian(
            segment,
            None if direct is None else _times_power_of_ten(direct, _scale(direct_R, top_R), 1),
            self._scaled(grad, arriving.log_PR - top_R),
        )
        scaled_PR = torch.stack([log10_norm(part.view(before)) for part in self.parts])
        exact_PR = scaled_PR.isfinite() & (scaled_PR > _smallest_exact(before))
        exact_PR[[not reached[part.tensor] for part in self.parts]] = True  # nothing leads there
        doubtful_R = (~exact_PR).any(0) & top_R.isfinite()
        if doubtful_R.any():
            if stretch.stop - stretch.start > 1:
                return self._pull_singly(stretch, arriving)
            if (sources_SR[:, doubtful_R].isfinite().sum(0) > 1).any():
                arriving = self._pull_apart(stretch, arriving, outputs)
                return arriving, self._direct_at_anchors(direct, steps)
        unit = self._scaled(tuple(as_wide(x) for x in before), -scaled_PR)
        return Arriving(unit, top_R + scaled_PR), self._direct_at_anchors(direct, steps)

    def _pull_singly(self, stretch: Stretch, arriving: Arriving) -> tuple[Arriving, Tensor]:
        """Link by link: what a float can't hold in between is carried as a power of ten."""
        states, near_R = [stretch.state], torch.full_like(arriving.log_PR[0], -math.inf)
        with torch.no_grad():
            for at in range(stretch.start, stretch.stop - 1):
                states.append(self.rows.link(at, at + 1)(states[-1])[1])
        for at in reversed(range(stretch.start, stretch.stop)):
            arriving, here_R = self._pull(Stretch(at, at + 1, states.pop()), arriving)
            near_R = torch.maximum(near_R, here_R)
        return arriving, near_R

    def _pull_apart(self, stretch: Stretch, arriving: Arriving, outputs: bool) -> Arriving:
        """Each part's gradient, and the direct one, by itself: none is lost beside a larger one."""
        alone = torch.eye(len(self.parts), dtype=torch.bool, device=arriving.log_PR.device)
        logs = [torch.where(p[:, None], arriving.log_PR, -math.inf) for p in alone]
        found = [
            self._pull(stretch, Arriving(arriving.grad, log_PR), outputs=False)[0]
            for log_PR in logs
        ]
        if outputs:
            nothing = torch.full_like(arriving.log_PR, -math.inf)
            found.append(self._pull(stretch, Arriving(arriving.grad, nothing))[0])
        top_PR = torch.stack([one.log_PR for one in found]).amax(0)
        terms = [self._scaled(one.grad, one.log_PR - top_PR) for one in found]
        total = tuple(sum(tensors) for tensors in zip(*terms, strict=True))
        norm_PR = torch.stack([log10_norm(part.view(total)) for part in self.parts])
        return Arriving(self._scaled(total, -norm_PR), top_PR + norm_PR)

    def _scaled(self, tensors: Tensors, log10_PR: Tensor) -> Tensors:
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
        """The gradient of the whole state with norm 1, [R, n], and the log10 of its norm, [R].

        0 for parts that are left out of "all".
        """
        log_PR = arriving.log_PR.clone()
        log_PR[[not part.in_all for part in self.parts]] = -math.inf
        joint_R = log10_root_sum_square(log_PR)
        scaled = self._scaled(arriving.grad, log_PR - joint_R)
        return torch.cat([part.view(scaled) for part in self.parts], 1), joint_R

    def _direct_at_anchors(self, direct: Tensor | None, steps: slice) -> Tensor:
        log_R = torch.full(
            self.anchors.shape, -math.inf, dtype=torch.float64, device=self.anchors.device
        )
        inside_R = (self.anchors > steps.start) & (self.anchors <= steps.stop)
        rows = inside_R.nonzero().squeeze(1)
        if direct is not None and len(rows):
            log_R[rows] = log10_norm(direct[self.anchors[rows] - 1 - steps.start, rows])
        return log_R


def _scale(log10_R: Tensor, top_R: Tensor) -> Tensor:
    """The exponent that brings what is largest to 1; -inf where there is nothing."""
    return torch.where(log10_R.isfinite(), -top_R, -math.inf)


def _smallest_exact(tensors: Tensors) -> float:
    """log10 of what a float can hold with all its digits, after rounding."""
    dtype = next(x.dtype for x in tensors if x.is_floating_point() or x.is_complex())
    about = torch.finfo(dtype)
    return math.log10(about.tiny / about.eps)


def _vector_jacobian(
    segment: Segment, grad_outputs: Tensor | None, grad_exit: Tensors
) -> tuple[Tensors, list[bool]]:
    """The gradient of each tensor of the state that entered, and whether anything leads to it."""
    if grad_outputs is not None:
        grad_outputs = grad_outputs.to(segment.outputs.dtype)
    each = zip(grad_exit, segment.exit, strict=True)
    tensors, gradients = roots(segment, grad_outputs, [g.to(x.dtype) for g, x in each])
    leaves = [part for part in segment.entry if part.requires_grad]
    pulled: Sequence[Tensor | None] = [None] * len(leaves)
    if tensors and leaves:
        pulled = torch.autograd.grad(tensors, leaves, gradients, allow_unused=True)
    found = iter(pulled)
    grads = [next(found) if part.requires_grad else None for part in segment.entry]
    before = tuple(
        torch.zeros_like(part) if grad is None else grad
        for part, grad in zip(segment.entry, grads, strict=True)
    )
    return before, [grad is not None for grad in grads]


def cut(times: set[int], length: int) -> list[int]:
    """Edges from 0 to `length` that include all `times`, at most SEGMENT apart."""
    edges = [0]
    for time in sorted(times | {length}):
        while time - edges[-1] > SEGMENT:
            edges.append(edges[-1] + SEGMENT)
        if time > edges[-1]:
            edges.append(time)
    return edges
