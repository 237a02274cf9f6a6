"""Gradient flow: the norm of the gradient at each boundary, as a function of lag.

The measure: what is said of it over examples. Which gradients are started where is in
`seqbench.measure.probe`, the walk back itself in `seqbench.measure.walk`.

Shapes: T steps, B examples, R rows (a row is an example with its own anchor and cotangent),
C cotangents, H outputs of the layer, O outputs of the readout.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from seqbench.engine.chain import Chain
from seqbench.measure.probe import walk_back
from seqbench.measure.state import in_float64, measuring
from seqbench.measure.walk import Transport, Walk, cut, log10_root_sum_square
from seqbench.models.deep import Layers
from seqbench.models.kinds import as_stack
from seqbench.models.recurrent import Model
from seqbench.problems.batch import Batch, Problem

# columns beside those of the joint state -> what they are of the whitened one
WHITENED = {
    "whitened": "log10_norm",
    "whitened_p10": "log10_p10",
    "whitened_p90": "log10_p90",
    "whitened_zero": "n_zero",
}


def probe_flow(
    model: Model, problem: Problem, batch: Batch, u_CO: Tensor, boundaries: int | Literal["all"]
) -> pd.DataFrame:
    """Output flow from every anchor, and loss flow, of a model on a probe batch.

    Output flow: Gamma_k = d(u . y_tau) / d s_(tau-k), the root mean square over the directions u;
    lag 0 is the readout's direct gradient d(u . y_tau) / d h_tau. Loss flow: the gradient of each
    example's own loss, lags counted from its last scored step.

    Whitened, from lag 1 on: the norm of the whole state's gradient with each coordinate in units of
    its standard deviation over the probe (`seqbench.measure.coordinates`), which does not change
    with the units that a cell keeps its state in.

    Returns:
        A row for each source, anchor, layer, lag and part of the state; columns source, anchor,
        layer, time, lag, state, log10_norm, log10_p10, log10_p90, n_zero, n_nonfinite; and, in the
        rows of state "all", whitened, whitened_p10, whitened_p90, whitened_zero (else NaN). Where
        anchors differ between examples, rows are aligned by lag; anchor is the latest of them.
    """
    groups, found = walk_back(model, problem, batch, u_CO, boundaries, whitened=True)
    tables = [
        {"source": np.full(len(table["lag"]), group.source, object), **table}
        for group in groups
        for table in _tables(found, group.rows, group.copies, group.anchors_B, group.lags)
    ]
    return _join(tables)


def gradient_flow(
    layer: nn.Module,
    inputs: Tensor,
    loss: Callable[[Tensor], Tensor],
    every: int = 1,
    kind: str | None = None,
) -> pd.DataFrame:
    """The norm of a gradient at every boundary between time steps, for any layer or cell; or at
    every boundary between the layers of a network in depth.

    For each example, with s_t the whole state after t steps (h_t, or an LSTM's (h_t, c_t), whose
    parts are independent coordinates) and L_(>t) the part of the loss that the outputs after t
    make:

        gamma_t = d L_(>t) / d s_t,    recorded: mean over examples of log10 |gamma_t|

    With `loss=lambda outputs: outputs[-1] @ u` it is the output flow of the last step, and
    log10_norm minus its value at lag 0 is S(k). With the loss of a trained model it is its loss
    flow; the rest of the model belongs into the loss: `lambda outputs: criterion(head(outputs))`.

    Measured in float64 where the layer runs in it, whatever its own precision is, and else in that;
    exact in any range: each part of the state carries an exponent. Only within one part are entries
    lost that are 308 decades (float32: 38) smaller than its largest. The loss itself is
    differentiated in the layer's own precision. Nothing of the module is changed: training mode,
    buffers, hooks, requires_grad, .grad and the random state are left as they were. Measured in
    eval mode; but the batch norms of a network in depth in training mode, where examples mix: then
    the gradient is that of the loss summed over all examples.

    Args:
        layer: a torch layer (nn.LSTM, ...), a step cell by torch's contract, an nn.Sequential, each
            of whose modules is a link of a chain in depth, or a `Model` of this package, whose
            readout is then applied before the loss.
        inputs: [T, B, I], on the layer's device; for a network in depth [B, I].
        loss: outputs [T, B, H] (in depth [B, H]) -> [B], one loss an example; examples must not
            mix.
        every: record every so many links, counted back from the end (and the initial state).
        kind: "layer" for a whole-sequence layer that is not an nn.RNNBase, "chain" for a network in
            depth.

    Returns:
        A DataFrame, one row for each layer (0 first), lag and part of the state, of columns anchor
        (T), layer, time (the boundary after so many steps), lag (T - time, in steps), state ("h",
        "c", "s2", ..., and "all" together), log10_norm (mean over the examples whose norm is
        finite and not 0), log10_p10 and log10_p90 (percentiles over examples, an exact zero
        counting as -inf), n_zero and n_nonfinite (how many examples). Lag 0 is the direct gradient
        of the last output. `attrs["precision"]` says what it was measured in, `attrs["summed"]`
        whether the gradient is that of the sum over examples.

    Raises:
        ValueError: inputs or the loss have another shape, `every` is below 1, or the layer is none
            that can be measured: another result when run twice, or for an example alone, or an
            initial state that is not zeros.
        InputError: a layer with batch_first or bidirectional set.

    Source: Bengio, Simard & Frasconi 1994, IEEE Transactions on Neural Networks 5(2); the norms of
    d L / d s_t: Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063, section 2.
    """
    if type(every) is not int or every < 1:
        raise ValueError(f"every = {every}; allowed: a whole number, 1 or more")
    readout: nn.Module = nn.Identity()
    if isinstance(layer, Model):
        readout, layer = layer.readout, layer.stack
    model = as_stack(layer, kind)
    deep = isinstance(model, Layers)
    _check_inputs(inputs, 2 if deep else 3)

    def objective(outputs: Tensor) -> Tensor:
        return loss(readout(outputs[-1] if deep else outputs))

    with measuring(model):
        inputs = inputs.detach().clone()  # of one's own: what inference_mode made can't be used
        inputs = inputs[None] if deep else inputs
        measured, wide_inputs = in_float64(model, inputs)
        steps_B = torch.full(inputs.shape[1:2], len(inputs), device=inputs.device)

        def direct(steps: slice, outputs: Tensor) -> Tensor | None:
            return gradient_TBH[steps] if len(outputs) else None

        walk = Walk(measured, wide_inputs, direct, steps_B)  # says first what can't be measured
        gradient_TBH = _loss_gradient_at_outputs(walk.chain, objective, inputs.dtype)
        length = walk.chain.length
        lags = sorted({*range(0, length + 1, every), length})
        found = walk.back(cut({length - lag for lag in lags}, length))
        anchors_B = walk.chain.place(steps_B)
    table = _join(_tables(found, slice(0, len(steps_B)), 1, anchors_B, lags))
    table.attrs["summed"] = walk.chain.mixes
    table.attrs["precision"] = str(wide_inputs.dtype).removeprefix("torch.")
    return table


def _check_inputs(inputs: Tensor, axes: int) -> None:
    if inputs.ndim != axes or not all(inputs.shape[:-1]):
        allowed = "[T, B, I]" if axes == 3 else "[B, I] for a network in depth"
        raise ValueError(f"inputs have shape {tuple(inputs.shape)}; allowed: {allowed}, not empty")


def _loss_gradient_at_outputs(chain: Chain, loss: Callable, dtype: torch.dtype) -> Tensor:
    """The loss is somebody's own, and need not run in any precision but that of the layer."""
    with torch.no_grad():
        outputs = chain.link(0, chain.length)(None)[0].to(dtype)
    outputs.requires_grad_()
    with torch.enable_grad():
        losses = loss(outputs)
        told = tuple(losses.shape) if isinstance(losses, Tensor) else type(losses).__name__
        if told != tuple(outputs.shape[1:2]):
            raise ValueError(
                f"the loss is {told}; allowed: one value an example, [{outputs.shape[1]}]"
            )
        if not losses.requires_grad:
            raise ValueError("the loss does not depend on the outputs; allowed: one that does")
        return torch.autograd.grad(losses.sum(), outputs)[0]


def _tables(
    found: Transport, rows: slice, copies: int, anchors_B: Tensor, lags: list[int]
) -> Iterator[dict[str, np.ndarray]]:
    """Rows of a transport, aligned by lag: first over the copies of an example, then over examples.

    Args:
        rows: which rows, `copies` times each example.

    Yields:
        The columns of one layer and part of the state, each [lags].
    """
    anchors_B = anchors_B.cpu()
    norms_PTR = found.log10_norms[:, :, rows].cpu()
    anchor, number = int(anchors_B.max()), len(lags)
    times = torch.tensor(found.times, device="cpu")
    # Where each lag of each row lies among the walk's times.
    far = torch.searchsorted(times, anchors_B - torch.tensor(lags[1:], device="cpu")[:, None])
    where_LR = far.repeat(1, copies)
    each = {}
    for (layer, name), norms_TR in zip(found.names, norms_PTR, strict=True):
        nearest = _at_lag_zero(found, rows, layer, name)[None]
        values_LCB = torch.cat([nearest, norms_TR.gather(0, where_LR)]).view(number, copies, -1)
        mean_square = log10_root_sum_square(values_LCB, 1) - 0.5 * math.log10(copies)
        each[layer, name] = _over_examples(mean_square.numpy())
    for (layer, name), columns in each.items():
        if name == "whitened":  # stands beside "all"
            continue
        beside = {}
        if (layer, "whitened") in each:
            beside = _whitened(each[layer, "whitened"] if name == "all" else None, number)
        yield {
            "anchor": np.full(number, anchor),
            "layer": np.full(number, layer),
            "time": anchor - np.array(lags),
            "lag": np.array(lags),
            "state": np.full(number, name, object),
            **columns,
            **beside,
        }


def _whitened(found: dict[str, np.ndarray] | None, number: int) -> dict[str, np.ndarray]:
    """The columns of the whitened state, beside the joint one: NaN for a part of the state, and at
    lag 0, where there is the outputs' gradient alone."""
    columns = {name: np.full(number, np.nan) for name in WHITENED}
    if found is not None:
        for name, source in WHITENED.items():
            columns[name][1:] = found[source][1:]
    return columns


def _join(tables: Iterable[dict[str, np.ndarray]]) -> pd.DataFrame:
    tables = list(tables)
    return pd.DataFrame({name: np.concatenate([t[name] for t in tables]) for name in tables[0]})


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
