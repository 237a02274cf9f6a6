"""The probe: which gradients are started where, on a batch that is the same for every cell.

Shapes: T steps, B examples, R rows (a row is an example with its own anchor and cotangent),
C cotangents, H outputs of the layer, O outputs of the readout.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqbench.measure.coordinates import deviations
from seqbench.measure.state import in_float64, measuring
from seqbench.measure.walk import Transport, Walk, cut
from seqbench.models.recurrent import Model
from seqbench.problems.batch import Batch, Problem

PROBE_SIZE = 32  # sequences
NEAR = 10  # lags up to here are always recorded


class Group(NamedTuple):
    """Rows of a walk that belong together: each example with one anchor, `copies` times.

    Attributes:
        source: "output" or "loss".
        anchors_B: places in the chain that lags are counted from.
        copies: how many cotangents; the rows of one stand together.
        rows: which rows of the walk.
        lags: wanted, ascending, 0 first.
    """

    source: str
    anchors_B: Tensor
    copies: int
    rows: slice
    lags: list[int]


def wanted_lags(largest: int, boundaries: int | Literal["all"]) -> list[int]:
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


def walk_back(
    model: Model,
    problem: Problem,
    batch: Batch,
    u_CO: Tensor,
    boundaries: int | Literal["all"],
    at_boundary: Callable[[int, Tensor, Tensor], None] | None = None,
    *,
    whitened: bool = False,
) -> tuple[list[Group], Transport]:
    """Output flow from every anchor, and loss flow, in one walk back.

    Examples are repeated along the batch axis, each copy with its own anchor and cotangent. In
    float64, if the model runs in it.

    Args:
        u_CO: directions of the output flow, see `cotangents`.
        boundaries: how many lags beyond 10, or "all".
        at_boundary: see `seqbench.measure.walk.Walk.back`.
        whitened: whether the norm of the whitened state's gradient is wanted too.
    """
    examples, device = batch.inputs.shape[1], batch.inputs.device
    sources = [("output", step_B.to(device), len(u_CO)) for step_B in problem.anchors(batch)]
    sources.append(("loss", batch.last_scored_step().to(device), 1))
    steps_R = torch.cat([step_B.repeat(copies) for _, step_B, copies in sources])
    place = model.chain(batch.inputs).place
    groups: list[Group] = []
    for source, step_B, copies in sources:
        anchors_B, row = place(step_B), groups[-1].rows.stop if groups else 0
        rows = slice(row, row + copies * examples)
        lags = wanted_lags(int(anchors_B.min()), boundaries)
        groups.append(Group(source, anchors_B, copies, rows, lags))
    times = {
        anchor - lag
        for group in groups
        for anchor in group.anchors_B.unique().tolist()
        for lag in group.lags[1:]
    }
    direct = _Objectives(model, problem, batch, u_CO, len(groups) - 1)
    with measuring(model):
        walk = Walk(*in_float64(model, batch.inputs), direct, steps_R)
        anchors_B = torch.stack([group.anchors_B for group in groups]).amax(0)
        units = deviations(walk.chain, anchors_B) if whitened else None
        found = walk.back(cut(times, int(place(steps_R).max())), at_boundary, units)
    return groups, found


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

    def __call__(self, steps: slice, outputs: Tensor) -> Tensor | None:
        inside_N = (self.anchors_N > steps.start) & (self.anchors_N <= steps.stop)
        here = inside_N.nonzero().squeeze(1)
        scored = (self.weights_TB[steps] > 0).any(1).nonzero().squeeze(1)
        if not len(here) and not len(scored):
            return None
        direct = torch.zeros(outputs.shape, dtype=torch.float64, device=outputs.device)
        direct[self.anchors_N[here] - 1 - steps.start, here] = self.v_NH[here]
        if len(scored):
            of_loss = direct[:, len(self.anchors_N) :]
            of_loss[scored] = self._loss_gradient(
                outputs[scored, len(self.anchors_N) :], scored + steps.start
            )
        return direct

    def _loss_gradient(self, outputs_SBH: Tensor, steps_S: Tensor) -> Tensor:
        outputs_SBH = outputs_SBH.detach().double().requires_grad_()
        with torch.enable_grad():
            losses_SB = self.problem.loss(self.readout(outputs_SBH), self.batch.targets[steps_S])
            total = (losses_SB * self.weights_TB[steps_S]).sum()
        return torch.autograd.grad(total, outputs_SBH)[0]
