"""How strongly the state depends on the parameters: what grows with the memory of a cell.

Shapes: T steps, B sequences, n real coordinates of the state (an LSTM's h and c, all layers).
"""

from __future__ import annotations

import math

import pandas as pd
import torch
from torch import Tensor

from seqbench.card.task import Trial
from seqbench.engine.chain import flatten
from seqbench.errors import InputError
from seqbench.measure.diagnostics.moment import Moment
from seqbench.measure.diagnostics.picture import Panel, Picture
from seqbench.measure.diagnostics.spectra import check_counts
from seqbench.measure.state import as_wide, measuring, widened


class Sensitivity:
    """Forward sensitivity of the state to the parameters of the recurrent layers, after t steps.

    "log10 size after steps": the mean over sequences of log10 |d s_t / d theta|, the Frobenius norm
    of the Jacobian of the whole state, at t = 1, 2, 5, 10, 20, 50, ... and the last step that is
    scored. A cell that forgets comes to rest after as many steps as it remembers; in one that
    remembers, the sensitivity goes on growing, however well its gradient is kept from exploding.
    "growth": the last of these less the one at t = 1, in decades; that does not change when the
    state is kept in another unit.

    |J|^2 is the mean of |v^T J|^2 over random signs v (Hutchinson 1990), which has a relative
    standard deviation of at most sqrt(2 / directions) for each sequence; directions = "all" takes
    every coordinate of the state instead and is exact. In float64.

    Args:
        directions: how many v, or "all".
        sequences: of the probe batch.

    Source: Zucchet & Orvieto 2024, Recurrent neural networks: vanishing and exploding gradients are
    not the end of the story, arXiv:2405.21064, section 2.
    """

    over_time = True

    def __init__(self, directions: int | str = 8, sequences: int = 4) -> None:
        check_counts("sensitivity", sequences=sequences)
        if directions != "all":
            if isinstance(directions, str):
                raise InputError(
                    f"sensitivity: directions = {directions!r}\nallowed: a whole number, or 'all'"
                )
            check_counts("sensitivity", directions=directions)
        self.directions, self.sequences = directions, sequences

    def pictures(self, trial: Trial) -> list[Picture]:
        """The sensitivity over the steps, at both ends of training; its growth against the step."""
        caption = (
            "log10 of |d s_t / d theta|, how far the state after t steps moves with the "
            f"parameters; mean over {self.sequences} probe sequences. It levels off where the "
            "memory of the cell ends. The level depends on the units of the state, the shape does "
            "not."
        )
        series = Picture(
            title="Forward sensitivity",
            caption=caption,
            panels=(Panel(quantity="log10 size after steps", title="size"),),
            over="index",
            x="t, steps",
            y="log10",
        )
        growth = Picture(
            name="growth",
            title="Growth of the forward sensitivity",
            caption="From the first step of the sequence to the last, in decades.",
            panels=(Panel(quantity="growth", lines=(0.0,)),),
            y="decades",
        )
        return [series, growth]

    def __call__(self, moment: Moment) -> dict[str, float | pd.Series]:
        """The series over steps, and its growth."""
        stack = widened(moment.model.stack)
        parameters = [p.requires_grad_() for p in stack.parameters()]
        inputs_TBI = as_wide(moment.batch.inputs[:, : self.sequences])
        steps = times(int(moment.batch.last_scored_step().min()))
        if not parameters:
            return {}
        with measuring(stack), torch.enable_grad():
            sizes = pd.Series(
                {
                    step: _log10_mean(
                        [
                            self._size(stack, one, parameters)
                            for one in inputs_TBI[:step].split(1, 1)
                        ]
                    )
                    for step in steps
                }
            )
        return {"log10 size after steps": sizes, "growth": sizes.iloc[-1] - sizes.iloc[0]}

    def _size(self, stack: torch.nn.Module, inputs_T1I: Tensor, parameters: list[Tensor]) -> float:
        """|d s_t / d theta| of one sequence."""
        state_n = torch.cat([_real(part) for part in flatten(stack(inputs_T1I, None)[1])])
        n = len(state_n)
        if self.directions == "all":
            signs_Dn, count = torch.eye(n, dtype=torch.float64), 1
        else:
            draws = torch.Generator().manual_seed(0)
            count = int(self.directions)
            signs_Dn = torch.randint(2, (count, n), generator=draws).double() * 2 - 1
        squares = 0.0
        for v_n in signs_Dn.to(state_n.device):
            grads = torch.autograd.grad(
                state_n, parameters, v_n, retain_graph=True, allow_unused=True
            )
            squares += sum(float(g.abs().square().sum()) for g in grads if g is not None)
        return math.sqrt(squares / count)


def times(last: int) -> list[int]:
    """1, 2, 5, 10, 20, 50, ... and the last one."""
    steps = {m * 10**power for power in range(len(str(last))) for m in (1, 2, 5)}
    return sorted({step for step in steps if step < last} | {last})


def _real(part: Tensor) -> Tensor:
    """All real coordinates of a part of the state; none of a counter."""
    if part.is_complex():
        part = torch.view_as_real(part)
    return part.flatten() if part.is_floating_point() else part.new_zeros(0, dtype=torch.float64)


def _log10_mean(sizes: list[float]) -> float:
    """Mean of log10; -inf where one is 0."""
    return sum(math.log10(x) if x > 0 else -math.inf for x in sizes) / len(sizes)
