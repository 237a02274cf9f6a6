"""Which lags the optimiser hears: the gradient of the parameters, taken apart by lag.

Shapes: T steps, B sequences, H outputs of the layer, P entries of the stack's parameters.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import pandas as pd
import torch
from torch import Tensor

from seqbench.card.task import Trial
from seqbench.engine.chain import State, enter, flatten, roots
from seqbench.measure.diagnostics.moment import Moment
from seqbench.measure.diagnostics.picture import Panel, Picture
from seqbench.measure.diagnostics.spectra import check_counts
from seqbench.measure.probe import wanted_lags
from seqbench.measure.state import as_wide, measuring, widened
from seqbench.models.recurrent import Model
from seqbench.problems.batch import Batch, Problem


class TemporalComponents:
    """The gradient of the probe's mean loss with respect to the recurrent layers' parameters, as a
    sum over lags: which of them the optimiser hears.

    With G_k = dL/d s_(tau-k) . d+ s_(tau-k) / d theta, where d+ is the immediate derivative (the
    step's own, with the state before it held fixed) and tau each sequence's last scored step,
    dL/d theta is the sum of G_k over k = 0, 1, ... Quantities, over k:

    "share up to lag": <G_0 + ... + G_k, G> / |G|^2. It ends at 1, may leave [0, 1] on the way, and
    does not depend on which lags were recorded. Where only step tau is scored, the partial sum is
    what back-propagation cut off after k steps would give.
    "log10 size at lag": log10 |G_k| / |G|; -inf where G_k is an exact zero.

    The readout's parameters are left out: they have no lag. In float64; a gradient below 1e-308 of
    the loss is 0.

    Args:
        boundaries: lags beyond 10 at which it is recorded, or "all".

    Source: the temporal components of Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063, equations
    3 to 5.
    """

    over_time = True

    def __init__(self, boundaries: int | Literal["all"] = 64) -> None:
        if boundaries != "all":
            check_counts("temporal_components", boundaries=boundaries)
        self.boundaries = boundaries

    def pictures(self, trial: Trial) -> list[Picture]:
        """Shares and sizes by lag, at both ends of training."""
        caption = (
            "The gradient of the recurrent layers' parameters taken apart by lag: which lags the "
            "optimiser hears. Left: the share of the whole that lags up to k make, along its "
            "direction; dotted: 0 and 1, where it ends. Right: the size of the part at lag k, "
            "log10, relative to the whole."
        )
        panels = (
            Panel(quantity="share up to lag", lines=(0.0, 1.0)),
            Panel(quantity="log10 size at lag"),
        )
        return [
            Picture(
                title="Temporal components",
                caption=caption,
                panels=panels,
                over="index",
                x="lag k",
                y="share; decades",
                floor=-12.0,
            )
        ]

    def __call__(self, moment: Moment) -> dict[str, pd.Series]:
        """Series over lags; nothing where the loss sends no gradient to the layers."""
        model = widened(moment.model)
        with measuring(model):
            walks = [_Walk(model, moment.problem, *one) for one in _by_anchor(moment.batch)]
            largest = min(walk.anchor for walk in walks) - 1
            if not walks[0].parameters:
                return {}
            lags = wanted_lags(largest, self.boundaries)
            whole_P = sum((part_P for _, part_P in _parts(walks, lags)), start=torch.zeros(()))
            if not (size := float(whole_P.norm())) > 0:  # NaN too
                return {}
            shares, sizes, total = {}, {}, 0.0
            for lag, part_P in _parts(walks, lags):
                total += float(part_P @ whole_P) / size**2
                if lag is not None:
                    shares[lag], sizes[lag] = total, _log10(float(part_P.norm()) / size)
        return {"share up to lag": pd.Series(shares), "log10 size at lag": pd.Series(sizes)}


def _log10(x: float) -> float:
    return math.log10(x) if x > 0 else -math.inf


def _by_anchor(batch: Batch) -> Iterator[tuple[Batch, int, float]]:
    """The sequences that have the same last scored step, that step, and their share of the batch:
    among them one lag is one step."""
    last_B = batch.last_scored_step()
    for anchor in last_B.unique().tolist():
        of = (last_B == anchor).nonzero().squeeze(1)
        some = Batch(
            batch.inputs[:anchor, of], batch.targets[:anchor, of], batch.weights[:anchor, of]
        )
        yield some, anchor, len(of) / len(last_B)


def _parts(walks: list[_Walk], lags: list[int]) -> Iterator[tuple[int | None, Tensor]]:
    """The components, summed over walks: each wanted lag's, and (lag None) what lies between."""
    windows, done = [], 0  # first lag, one beyond the last, its name
    for lag in lags:
        windows += [(done, lag, None), (lag, lag + 1, lag)]
        done = lag + 1
    windows.append((done, max(walk.anchor for walk in walks), None))
    windows = [window for window in windows if window[0] < window[1]]
    found = [walk.back([window[:2] for window in windows]) for walk in walks]
    for (*_, name), *each_P in zip(windows, *found, strict=True):
        yield name, sum(each_P)


class _Walk:
    """The layers on sequences of one length, to be walked back through once or more.

    Args:
        model: in float64.
        share: what the gradient of these sequences' mean loss is multiplied by.
    """

    def __init__(
        self, model: Model, problem: Problem, batch: Batch, anchor: int, share: float
    ) -> None:
        self.anchor = anchor
        self.parameters = [p for p in model.stack.parameters() if p.requires_grad]
        self.chain = model.chain(as_wide(batch.inputs))
        self.start = self.chain.start()
        self.direct_TBH = share * _loss_gradient(model, problem, batch)

    def back(self, windows: list[tuple[int, int]]) -> Iterator[Tensor]:
        """The component of each window of lags (first, one beyond the last), in order, [P]."""
        spans = [
            (max(self.anchor - last, 0), max(self.anchor - first, 0)) for first, last in windows
        ]
        entries, state = [], self.start
        for start, stop in reversed(spans):
            entries.append(state)
            if start < stop:
                with torch.no_grad():
                    state = self.chain.link(start, stop)(state)[1]
        arriving = [
            torch.zeros_like(part) if part.is_floating_point() else None for part in flatten(state)
        ]
        for start, stop in spans:
            part_P, arriving = self._component(start, stop, entries.pop(), arriving)
            yield part_P

    def _component(
        self, start: int, stop: int, state: State, arriving: list[Tensor | None]
    ) -> tuple[Tensor, list[Tensor | None]]:
        """The parameters' gradient by the steps start..stop-1, and the gradient before them."""
        if start == stop:
            return self.direct_TBH.new_zeros(sum(p.numel() for p in self.parameters)), arriving
        segment = enter(self.chain.link(start, stop), state)
        wanted = [x for x in segment.entry if x.requires_grad] + self.parameters
        tensors, gradients = roots(segment, self.direct_TBH[start:stop], arriving)
        pulled = torch.autograd.grad(tensors, wanted, gradients, materialize_grads=True)
        each = iter(pulled)
        before = [next(each) if x.requires_grad else None for x in segment.entry]
        flat = [
            g.flatten() if not g.is_complex() else torch.view_as_real(g).flatten() for g in each
        ]
        return torch.cat(flat), before


def _loss_gradient(model: Model, problem: Problem, batch: Batch) -> Tensor:
    """d (mean loss) / d outputs, [T, B, H]."""
    with torch.no_grad():
        outputs_TBH = model.stack(as_wide(batch.inputs), None)[0]
    leaf, steps = outputs_TBH.detach().requires_grad_(), batch.scored_steps()
    with torch.enable_grad():
        losses_SB = problem.loss(model.readout(leaf[steps]), batch.targets[steps])
        total = (losses_SB * batch.loss_weights()[steps]).sum(0).mean()
        return torch.autograd.grad(total, leaf)[0]
