"""Gradient flow: the norm of the gradient at each boundary, as a function of lag.

The measure: which gradients are started where (output flow, loss flow), and what is said of them
over examples. The walk back itself is in `seqbench.transport`.

Shapes: T steps, B examples, R rows (a row is an example with its own anchor and cotangent),
C cotangents, H outputs of the layer, O outputs of the readout.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from seqbench.model import Model, Stack, as_layer
from seqbench.problems.batch import Batch, Problem
from seqbench.transport import Transport, Walk, cut, log10_root_sum_square, measuring

NEAR = 10  # lags up to here are always recorded
COLUMNS = [
    "anchor", "layer", "time", "lag", "state",
    "log10_norm", "log10_p10", "log10_p90", "n_zero", "n_nonfinite",
]  # fmt: skip


def wanted_lags(largest: int, boundaries: int | str) -> list[int]:
    """Lags 0..10, and beyond as many as asked, evenly spaced up to the largest one."""
    if boundaries == "all" or boundaries >= largest - NEAR:
        return list(range(largest + 1))
    far = np.rint(np.linspace(NEAR, largest, boundaries + 1)).astype(int)
    return sorted({*range(NEAR + 1), *far.tolist()})


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
    # The readout reads the top layer's output, so that other parts get nothing directly; but "all"
    # has Gamma_0 in every layer, which is what S(k) is relative to.
    direct = found.direct_log10[rows].cpu()
    top = max(layer for layer, _ in found.names)
    reads = name == "all" or (layer == top and name == "h")
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
