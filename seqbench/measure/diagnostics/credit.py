"""Credit: does the answer depend on the values that matter, and on nothing else?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqbench.card.task import Trial
from seqbench.errors import InputError
from seqbench.measure.diagnostics.moment import Moment
from seqbench.measure.diagnostics.picture import Panel, Picture
from seqbench.measure.state import measuring, widened
from seqbench.problems.batch import capabilities


class Credit:
    """d y / d(value): how the answer at its anchor depends on each input value.

    "at marked steps": the slope of the actual derivatives on the ideal ones, sum(actual * ideal) /
    sum(ideal^2); ideal: 1. (Adding: the mean of d y / d(value) at the marked steps. Multiplication:
    the ideal derivative is the other factor.) "size at unmarked steps": the mean of |d y /
    d(value)|; ideal: 0. Free of any cell's state coordinates, so that cells can be compared; taken
    through the cell's backward pass, so that of a damped one it is damped too. In float64; a
    derivative below 1e-308 is 0.

    For problems that say what the ideal is, by a method value_gradient(batch) -> [T, B]: the
    derivative of the target with respect to inputs[..., 0].
    """

    def check(self, problem: Any) -> None:
        """Raises InputError for a problem without values to give credit to."""
        if capabilities(problem).value_gradient is None:
            raise InputError(
                "recording.diagnostics: credit means nothing for this problem, which has no "
                "value_gradient\nallowed: adding, or another problem that has one"
            )

    def pictures(self, trial: Trial) -> list[Picture]:
        """Both numbers against the training step, with their ideals."""
        caption = (
            "How the answer depends on the input values of the probe batch. At marked steps: the "
            "slope of d answer / d value on what it should be; ideal: 1. At unmarked steps: the "
            "mean of |d answer / d value|; ideal: 0. Dotted: the ideal. No cell's state is in it, "
            "so cells can be compared, but for those whose gradient is damped."
        )
        panels = (
            Panel(quantity="at marked steps", lines=(1.0,)),
            Panel(quantity="size at unmarked steps", lines=(0.0,)),
        )
        return [Picture(title="Credit", caption=caption, panels=panels, y="d answer / d value")]

    def __call__(self, moment: Moment) -> dict[str, float]:
        """Over the probe batch."""
        batch, actual_TB = moment.batch, value_slopes(moment)
        ideal_TB = ideal_slopes(moment)
        anchors_B = moment.problem.anchors(batch)[-1].to(ideal_TB.device)
        steps = torch.arange(1, len(ideal_TB) + 1, device=ideal_TB.device)[:, None]
        unmarked = (ideal_TB == 0) & (steps <= anchors_B)
        slope = (actual_TB * ideal_TB).sum() / ideal_TB.square().sum()
        return {
            "at marked steps": slope.item(),
            "size at unmarked steps": actual_TB[unmarked].abs().mean().item(),
        }


def value_slopes(moment: Moment) -> Tensor:
    """d y / d(value), [T, B]: of each example's answer at its last anchor with respect to
    inputs[..., 0] at every step, in float64."""
    batch, wide = moment.batch, widened(moment.model)
    values_TB = batch.inputs[..., 0].double().requires_grad_()
    inputs_TBI = torch.cat([values_TB[..., None], batch.inputs[..., 1:].double()], 2)
    anchors_B = moment.problem.anchors(batch)[-1].to(inputs_TBI.device)
    with measuring(wide), torch.enable_grad():
        outputs_TBH = wide.stack(inputs_TBI, None)[0]
        chosen_BH = outputs_TBH[anchors_B - 1, torch.arange(len(anchors_B))]
        answer = wide.readout(chosen_BH).sum()
    return torch.autograd.grad(answer, values_TB)[0]


def ideal_slopes(moment: Moment) -> Tensor:
    """d target / d(value), [T, B], in float64: what the slopes are of an answer that is right."""
    value_gradient = capabilities(moment.problem).value_gradient
    if value_gradient is None:
        raise LookupError(f"{type(moment.problem).__name__} has no value_gradient")
    return value_gradient(moment.batch).double()
