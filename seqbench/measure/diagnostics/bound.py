"""How open the flow must be before credit can exist: a bound from the chain rule.

Shapes: T steps, B examples, n coordinates of the whole state.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqbench.card.task import Trial
from seqbench.engine.chain import flatten
from seqbench.measure.diagnostics.credit import Credit, ideal_slopes, value_slopes
from seqbench.measure.diagnostics.moment import Moment
from seqbench.measure.diagnostics.picture import Panel, Picture
from seqbench.measure.probe import walk_back
from seqbench.measure.state import measuring, widened

STEP = 1e-5  # of a central difference, in float64


class FlowBound:
    """What the chain rule demands of the flow at the lag of the earliest value that matters.

    With v the value shown there, s the whole state right after it and Gamma = d y / d s the output
    flow, d y / d v = Gamma . ds/dv, so that |Gamma| >= |d y / d v| / |ds / dv|: an answer that
    depends on v has a flow at least so open. Quantities, log10, means over the probe:

    "flow": |Gamma|. "demanded by the slope": |d y / d v| / |ds / dv|. "demanded by the ideal": the
    same with the slope that the right answer has; a flow below it can't belong to a model that has
    learned, unless its gradient is damped. "room": flow less the second, 0 or more; 10^-room is the
    cosine between Gamma and ds/dv, which no coordinates are in to first order.

    In the state's own coordinates. ds / dv by a central difference in float64.

    Source: the chain rule; the factors are those of Pascanu, Mikolov & Bengio 2013,
    arXiv:1211.5063, equation 3.
    """

    def check(self, problem: object) -> None:
        """Raises InputError for a problem without values to give credit to."""
        Credit().check(problem)

    def pictures(self, trial: Trial) -> list[Picture]:
        """The flow and what is demanded of it, against the training step."""
        caption = (
            "log10, at the lag of the earliest value that the answer needs. The flow |d y / d s|, "
            "and what the chain rule demands of it: by the slope d y / d v that the model has, and "
            "by the ideal slope. Room: flow less the first; dotted: 0, where all of the gradient "
            "lies along what the value changed."
        )
        names = ("flow", "demanded by the slope", "demanded by the ideal")
        panels = (*(Panel(quantity=name) for name in names), Panel(quantity="room", lines=(0.0,)))
        return [
            Picture(title="Flow and what credit demands", caption=caption, panels=panels, y="log10")
        ]

    def __call__(self, moment: Moment) -> dict[str, float]:
        """Over the probe batch."""
        batch, problem = moment.batch, moment.problem
        ideal_TB = ideal_slopes(moment)
        first_B = (ideal_TB != 0).int().argmax(0)  # 0-based step of the earliest value
        examples = torch.arange(len(first_B))
        kept: dict[int, Tensor] = {}

        def keep(time: int, unit_Rn: Tensor, log10_R: Tensor) -> None:
            kept[time] = log10_R

        groups, _ = walk_back(moment.model, problem, batch, moment.cotangents, "all", keep)
        last = [group for group in groups if group.source == "output"][-1]
        flow_B = torch.stack(
            [kept[int(t) + 1][last.rows.start + b] for b, t in enumerate(first_B.tolist())]
        )
        moved_B = _moved(moment, first_B)
        slope_B = value_slopes(moment)[first_B, examples].abs()
        ideal_B = ideal_TB[first_B, examples].abs()
        demanded_B, right_B = (slope_B / moved_B).log10(), (ideal_B / moved_B).log10()
        return {
            "flow": float(flow_B.mean()),
            "demanded by the slope": float(demanded_B.mean()),
            "demanded by the ideal": float(right_B.mean()),
            "room": float((flow_B - demanded_B).mean()),
        }


def _moved(moment: Moment, first_B: Tensor) -> Tensor:
    """|d s / d v| of each example, [B]: s the whole state after the 0-based step `first_B`, v the
    value that is shown there."""
    moved_B = torch.zeros(len(first_B), dtype=torch.float64, device=first_B.device)
    wide = widened(moment.model)
    inputs_TBI = moment.batch.inputs.double()
    chains = []
    for shift in (0.0, STEP, -STEP):
        shifted = inputs_TBI.clone()
        shifted[..., 0] += shift
        chains.append(wide.chain(shifted))
    as_it_is, *both = chains
    parts = [part for part in as_it_is.parts() if part.name]
    with measuring(wide), torch.no_grad():
        state = as_it_is.start()
        for step in range(int(first_B.max()) + 1):
            here_B = first_B == step
            if here_B.any():
                up, down = (list(flatten(chain.link(step, step + 1)(state)[1])) for chain in both)
                apart_Bn = torch.cat([part.view(up) - part.view(down) for part in parts], 1)
                moved_B[here_B] = apart_Bn.abs().square().sum(1).sqrt()[here_B] / (2 * STEP)
            state = as_it_is.link(step, step + 1)(state)[1]
    return moved_B
