"""Gradient flow: the norm of the gradient at each boundary, as a function of lag.

The measure itself. A probe batch is run forward; then, segment by segment from the end, the
gradient with respect to the state is pulled back. Between segments it is brought to norm 1 for each
example and its log10 is carried, so that 1e-2000 is a number like any other.

The line that computes the norm is in `log10_norm`; the walk back in `Walk.back`.

Shapes: T steps, R rows (a row is an example with its own anchor and cotangent), H outputs,
n entries of a part of the state, P named parts of the state.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from seqbench.bptt import Segment, State, TimeChain, enter, flatten, roots, template, unflatten
from seqbench.model import Model, Stack, Unroll, as_layer
from seqbench.problems.batch import Batch, Problem

SEGMENT = 10  # steps: inside a longer one float32 could underflow to a false zero
NEAR = 10  # lags up to here are always recorded

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


def _times_power_of_ten(x: Tensor, log10_R: Tensor, batch_dim: int) -> Tensor:
    """x * 10^log10_R along its batch axis, wide; 0 where the exponent is -inf, inf or undefined."""
    factor = torch.where(log10_R.isfinite(), 10**log10_R, 0.0)
    shape = [1] * x.ndim
    shape[batch_dim] = -1
    return _wide(x) * factor.view(shape)


class Part(NamedTuple):
    """A named part of a layer's state: where it lies among the state's tensors."""

    layer: int
    name: str
    tensor: int
    row: int | None  # torch's layers keep [layers, B, n] in one tensor
    batch_dim: int  # of the whole tensor

    def view(self, tensors: Sequence[Tensor]) -> Tensor:
        """This part of a state, [R, n]."""
        x = tensors[self.tensor]
        return (x.movedim(self.batch_dim, 0) if self.row is None else x[self.row]).flatten(1)


def name_parts(layer: nn.Module, state: Any) -> list[Part]:
    """h, c, s2, ... of every layer, in the order of the state's tensors."""
    parts: list[Part] = []
    tensor = below = 0
    each = zip(layer.layers, state, strict=True) if isinstance(layer, Stack) else [(layer, state)]
    for one, its_state in each:
        deep = 1
        for number, x in enumerate(flatten(its_state)):
            name = ("h", "c")[number] if number < 2 else f"s{number}"
            if isinstance(one, Unroll) or x.ndim < 3:
                parts.append(Part(below, name, tensor, None, 0))
            else:
                deep = x.shape[0]
                parts += [Part(below + row, name, tensor, row, 1) for row in range(deep)]
            tensor += 1
        below += deep
    return parts


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
        inputs_TRI: [T, R, I].
        direct: the gradient of the objective with respect to the outputs of a stretch of steps.
        anchors_R: [R], the 1-based step that each row's lags count from.

    Raises:
        ValueError: the layer's state=None is not a state of zeros.
    """

    def __init__(
        self, layer: nn.Module, inputs_TRI: Tensor, direct: Direct, anchors_R: Tensor
    ) -> None:
        self.layer, self.inputs, self.direct, self.anchors = layer, inputs_TRI, direct, anchors_R
        self.template, self.start = zero_state(layer, inputs_TRI)
        self.parts = name_parts(layer, unflatten(self.template, iter(self.start)))
        self.batch_dims = list({part.tensor: part.batch_dim for part in self.parts}.values())
        self._chains: dict[torch.dtype, TimeChain] = {}

    def back(self, edges: Sequence[int]) -> Transport:
        """From the last edge to the first, which is 0; the largest distance is one segment."""
        states = self._forward(edges)
        grad: State = tuple(torch.zeros_like(part) for part in self.start)
        log_R = self._nothing()
        direct_log_R, found = self._nothing(), []
        for start, stop in reversed(list(pairwise(edges))):
            grad, log_R, parts_PR, near_R = self._pull(
                start, stop, states.pop(), grad, log_R, self.inputs.dtype
            )
            found.append(parts_PR)
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
        chain, states = self._chain(self.inputs.dtype), [self.start]
        with torch.no_grad():
            for start, stop in pairwise(edges[:-1]):
                states.append(chain.run(start, stop, states[-1])[1])
        return states

    def _chain(self, dtype: torch.dtype) -> TimeChain:
        """The layer over its inputs in this precision; a copy if it is not its own."""
        if dtype not in self._chains:
            same = dtype == self.inputs.dtype
            layer = self.layer if same else copy.deepcopy(self.layer).to(dtype)
            self._chains[dtype] = TimeChain(layer, self.inputs.to(dtype), [])
            self._chains[dtype].template = self.template
        return self._chains[dtype]

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
        chain = self._chain(dtype)
        segment = enter(lambda s: chain.run(start, stop, s), tuple(x.to(dtype) for x in state))
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
        doubtful = (~scaled_PR.isfinite()).any(0) & top_R.isfinite()
        if doubtful.any() and dtype != torch.float64:
            return self._pull(start, stop, state, grad, log_R, torch.float64)
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
        middle, wide = (start + stop) // 2, torch.float64
        with torch.no_grad():
            halfway = self._chain(wide).run(start, middle, tuple(x.to(wide) for x in state))[1]
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
    if not tensors:
        return tuple(torch.zeros_like(part) for part in segment.entry)
    return torch.autograd.grad(tensors, segment.entry, gradients, materialize_grads=True)


def zero_state(layer: nn.Module, inputs_TRI: Tensor) -> tuple[Any, State]:
    """The nesting and the tensors of the state of zeros that `layer` starts from.

    Raises:
        ValueError: the layer starts from something else when it is given no state.
    """
    with torch.no_grad():
        outputs, after = layer(inputs_TRI[:1], None)
        nesting = template(after)
        zeros = tuple(torch.zeros_like(part) for part in flatten(after))
        given, _ = layer(inputs_TRI[:1], unflatten(nesting, iter(zeros)))
    if not torch.allclose(outputs, given, equal_nan=True):
        raise ValueError(
            f"{type(layer).__name__}: state=None does not mean a state of zeros, "
            "so there is no initial state to measure the gradient at"
        )
    return nesting, zeros


def wanted_lags(largest: int, boundaries: int | str) -> list[int]:
    """Lags 0..10, and beyond as many as asked, evenly spaced up to the largest one."""
    if boundaries == "all" or boundaries >= largest - NEAR:
        return list(range(largest + 1))
    far = np.rint(np.linspace(NEAR, largest, boundaries + 1)).astype(int)
    return sorted({*range(NEAR + 1), *far.tolist()})


def cut(times: set[int], steps: int) -> list[int]:
    """Edges from 0 to `steps` that include all `times`, at most SEGMENT apart."""
    edges = [0]
    for time in sorted(times | {steps}):
        while time - edges[-1] > SEGMENT:
            edges.append(edges[-1] + SEGMENT)
        if time > edges[-1]:
            edges.append(time)
    return edges


def cotangents(output_size: int, generator: torch.Generator) -> Tensor:
    """Directions u of the output flow, [C, O]: 1 for a scalar output, else up to 4 orthonormal
    vectors orthogonal to (1, ..., 1), which a softmax ignores."""
    if output_size == 1:
        return torch.ones(1, 1)
    ones = torch.ones(output_size, 1, dtype=torch.float64)
    drawn = torch.randn(
        output_size, min(4, output_size - 1), generator=generator, dtype=torch.float64
    )
    return torch.linalg.qr(torch.cat([ones, drawn], 1))[0][:, 1:].T.float()


def probe_flow(
    model: Model, problem: Problem, batch: Batch, u_CO: Tensor, boundaries: int | str
) -> pd.DataFrame:
    """Output flow from every anchor, and loss flow, of a model on a probe batch.

    Output flow: Gamma_k = d(u . y_tau) / d s_(tau-k), the root mean square over the directions u;
    lag 0 is the readout's direct gradient d(u . y_tau) / d h_tau. Loss flow: the gradient of each
    example's own loss, lags counted from its last scored step.

    One walk serves all: examples are repeated along the batch axis, each copy with its own anchor
    and cotangent.

    Returns:
        A row for each source, anchor, layer, lag and part of the state; columns source, anchor,
        layer, time, lag, state, log10_norm, log10_p10, log10_p90, n_zero, n_nonfinite. Where
        anchors differ between examples, rows are aligned by lag; anchor is the latest of them.
    """
    examples, copies = batch.inputs.shape[1], len(u_CO)
    anchors_AB = [anchor.to(batch.inputs.device) for anchor in problem.anchors(batch)]
    last_B = batch.last_scored_step()
    groups = [("output", anchor_B, copies) for anchor_B in anchors_AB] + [("loss", last_B, 1)]
    anchors_R = torch.cat([anchor_B.repeat(times) for _, anchor_B, times in groups])
    lags = [wanted_lags(int(anchor_B.min()), boundaries) for _, anchor_B, _ in groups]
    times = {
        int(anchor) - lag
        for (_, anchor_B, _), its_lags in zip(groups, lags, strict=True)
        for anchor in anchor_B.unique()
        for lag in its_lags[1:]
    }
    direct = _Objectives(model, problem, batch, u_CO, len(anchors_AB))
    inputs_TRI = batch.inputs.repeat(1, len(anchors_R) // examples, 1)
    with measuring(model):
        found = Walk(model.stack, inputs_TRI, direct, anchors_R).back(
            cut(times, int(anchors_R.max()))
        )
    tables, row = [], 0
    for (source, anchor_B, number), its_lags in zip(groups, lags, strict=True):
        rows = slice(row, row + number * examples)
        tables.append(_table(found, rows, number, anchor_B, its_lags).assign(source=source))
        row = rows.stop
    return pd.concat(tables, ignore_index=True)[["source", *COLUMNS]]


class _Objectives:
    """The direct gradients of a probe's rows: u . y_tau for the output flow, then the losses."""

    def __init__(
        self, model: Model, problem: Problem, batch: Batch, u_CO: Tensor, anchors: int
    ) -> None:
        self.problem, self.batch = problem, batch
        self.readout = copy.deepcopy(model.readout).double()
        self.weights_TB = batch.loss_weights().double()
        self.anchors_N = torch.cat(
            [a.to(batch.inputs.device).repeat(len(u_CO)) for a in problem.anchors(batch)]
        )
        examples = batch.inputs.shape[1]
        v_CH = u_CO.to(batch.inputs.device).double() @ self.readout.weight.detach()
        self.v_NH = v_CH.repeat_interleave(examples, 0).repeat(anchors, 1)

    def __call__(self, start: int, stop: int, outputs: Tensor) -> Tensor | None:
        here = ((self.anchors_N > start) & (self.anchors_N <= stop)).nonzero().squeeze(1)
        scored = (self.weights_TB[start:stop] > 0).any(1).nonzero().squeeze(1)
        if not len(here) and not len(scored):
            return None
        direct = torch.zeros(outputs.shape, dtype=torch.float64, device=outputs.device)
        direct[self.anchors_N[here] - 1 - start, here] = self.v_NH[here]
        if len(scored):
            of_loss = direct[:, len(self.anchors_N) :]
            of_loss[scored] = self._loss_gradient(
                outputs[scored, len(self.anchors_N) :], scored + start
            )
        return direct

    def _loss_gradient(self, outputs_SBH: Tensor, steps_S: Tensor) -> Tensor:
        outputs_SBH = outputs_SBH.detach().double().requires_grad_()
        with torch.enable_grad():
            losses_SB = self.problem.loss(self.readout(outputs_SBH), self.batch.targets[steps_S])
            total = (losses_SB * self.weights_TB[steps_S]).sum()
        return torch.autograd.grad(total, outputs_SBH)[0]


def gradient_flow(
    layer: nn.Module,
    inputs: Tensor,
    loss: Callable[[Tensor], Tensor],
    every: int = 1,
    kind: str | None = None,
) -> pd.DataFrame:
    """The gradient norm at every boundary, for any layer or cell: gamma_t = dL_(>t) / d s_t.

    Nothing of the module is changed: training mode, requires_grad, .grad and the random state are
    left as they were. Measured in eval mode.

    Args:
        layer: a torch layer (nn.LSTM, ...), or a step cell by torch's contract.
        inputs: [T, B, I].
        loss: outputs [T, B, H] -> [B], one loss an example; examples must not mix.
        every: record every so many steps, counted back from the end (and the initial state).
        kind: "layer" for a whole-sequence layer that is not an nn.RNNBase.

    Returns:
        A DataFrame, one row for each layer, lag and part of the state ("all" together); columns
        anchor (T), layer, time, lag, state, log10_norm (mean over examples), log10_p10, log10_p90,
        n_zero, n_nonfinite. Lag 0 is the direct gradient of the last output.

    Raises:
        ValueError: inputs or the loss have another shape, or `every` is below 1.
    """
    if inputs.ndim != 3 or not inputs.shape[0] or not inputs.shape[1]:
        raise ValueError(f"inputs have shape {tuple(inputs.shape)}; allowed: [T, B, I], not empty")
    if every < 1:
        raise ValueError(f"every = {every}; allowed: 1 or more")
    steps, examples = inputs.shape[:2]
    layer = layer if isinstance(layer, Stack) else as_layer(layer, kind)
    lags = sorted({*range(0, steps + 1, every), steps})
    edges = cut({steps - lag for lag in lags}, steps)
    anchors_B = torch.full((examples,), steps, device=inputs.device)
    with measuring(layer):
        gradient_TBH = _loss_gradient_at_outputs(layer, inputs, loss)

        def direct(start: int, stop: int, outputs: Tensor) -> Tensor:
            return gradient_TBH[start:stop]

        found = Walk(layer, inputs.detach(), direct, anchors_B).back(edges)
    return _table(found, slice(0, examples), 1, anchors_B, lags)[COLUMNS]


def _loss_gradient_at_outputs(layer: nn.Module, inputs: Tensor, loss: Callable) -> Tensor:
    with torch.no_grad():
        outputs = layer(inputs, None)[0].detach()
    outputs.requires_grad_()
    with torch.enable_grad():
        losses = loss(outputs)
        if losses.shape != outputs.shape[1:2]:
            raise ValueError(
                f"the loss has shape {tuple(losses.shape)}; "
                f"allowed: one value an example, [{outputs.shape[1]}]"
            )
        return torch.autograd.grad(losses.sum(), outputs)[0]


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


COLUMNS = [
    "anchor", "layer", "time", "lag", "state",
    "log10_norm", "log10_p10", "log10_p90", "n_zero", "n_nonfinite",
]  # fmt: skip


def _table(
    found: Transport, rows: slice, copies: int, anchors_B: Tensor, lags: list[int]
) -> pd.DataFrame:
    """Rows of a transport, aligned by lag: first over the copies of an example, then over examples.

    Args:
        rows: which rows, `copies` times each example.
    """
    anchors = anchors_B.cpu().numpy()
    norms_PTR = found.log10_norms[:, :, rows].cpu()
    column = {time: i for i, time in enumerate(found.times)}
    anchor, tables = int(anchors.max()), []
    for (layer, name), norms_TR in zip(found.names, norms_PTR, strict=True):
        by_lag = [_at_lag_zero(found, rows, layer, name)]
        for lag in lags[1:]:
            times = torch.tensor([column[a - lag] for a in anchors]).repeat(copies)
            by_lag.append(norms_TR.gather(0, times[None])[0])
        values_LCB = torch.stack(by_lag).view(len(lags), copies, -1)
        mean_square = log10_root_sum_square(values_LCB, 1) - 0.5 * math.log10(copies)
        table = pd.DataFrame(_over_examples(mean_square.numpy()))
        table.insert(0, "lag", lags)
        table.insert(0, "time", anchor - table["lag"])
        tables.append(table.assign(anchor=anchor, layer=layer, state=name))
    return pd.concat(tables, ignore_index=True)


def _at_lag_zero(found: Transport, rows: slice, layer: int, name: str) -> Tensor:
    # The readout reads the top layer's output; every other part gets nothing directly.
    direct = found.direct_log10[rows].cpu()
    top = max(layer for layer, _ in found.names)
    reads = layer == top and name in ("h", "all")
    return direct if reads else torch.full_like(direct, -math.inf)


def _over_examples(values_LB: np.ndarray) -> dict[str, np.ndarray]:
    """Mean of the finite log10 values; percentiles that count exact zeros as -inf; counts."""
    finite = np.isfinite(values_LB)
    zero = np.isneginf(values_LB)
    count = finite.sum(1)
    total = np.where(finite, values_LB, 0.0).sum(1)
    ordered = np.where(finite | zero, values_LB, np.nan)
    with np.errstate(invalid="ignore"):
        low, high = (_percentile(ordered, share) for share in (0.1, 0.9))
    return {
        "log10_norm": np.where(count > 0, total / np.maximum(count, 1), np.nan),
        "log10_p10": low,
        "log10_p90": high,
        "n_zero": zero.sum(1),
        "n_nonfinite": (~finite & ~zero).sum(1),
    }


def _percentile(values_LB: np.ndarray, share: float) -> np.ndarray:
    """A value that occurs (no interpolation between -inf and a number); NaN entries left out."""
    ordered = np.sort(values_LB, axis=1)  # NaN last
    known = (~np.isnan(ordered)).sum(1)
    index = np.clip(np.ceil(share * known).astype(int) - 1, 0, None)
    return np.take_along_axis(ordered, index[:, None], 1)[:, 0]
