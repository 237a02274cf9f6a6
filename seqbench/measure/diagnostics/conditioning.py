"""How unevenly a gradient survives: the condition number of the long-term Jacobian."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import torch

from seqbench.card.task import Trial
from seqbench.measure.diagnostics.jacobian import jacobians, last_steps
from seqbench.measure.diagnostics.moment import Moment
from seqbench.measure.diagnostics.picture import Panel, Picture
from seqbench.measure.diagnostics.spectra import check_steps, log10_singular_values

DECADES = 3.0  # the same thousandth as the horizon that a report shows


class ConditionNumber:
    """The condition number of d s_T / d s_(T-k), sigma_max / sigma_min, over k.

    1: the Jacobian turns and scales the state and loses nothing (an orthogonal matrix). Large:
    some directions of the state have been forgotten in favour of others. Quantities, over k, means
    over sequences:

    "log10 condition": over the sequences that have all singular values above 0; NaN without one.
    "singular": how many sequences have one that is 0, to rounding.
    "share of directions": singular values above a thousandth of the largest.

    From the QR factors of the steps, as `singular_values`; T as there.

    Args:
        steps: the k; those that the sequence is too short for are left out.
        sequences: of the probe batch.

    Source: the dynamical isometry of Pennington, Schoenholz & Ganguli 2017, arXiv:1711.04735; for
    recurrent networks Chen, Pennington & Schoenholz 2018, arXiv:1806.05394.
    """

    over_time = True

    def __init__(self, steps: Sequence[int] = (1, 10, 50), sequences: int = 4) -> None:
        self.steps = check_steps("condition_number", steps, sequences)
        self.sequences = sequences

    def pictures(self, trial: Trial) -> list[Picture]:
        """The condition number and what is left, over k, at both ends of training."""
        caption = (
            "How unevenly a gradient survives k steps: log10 of the largest by the smallest "
            "singular value of d s_T / d s_(T−k), and the share of singular values above a "
            f"thousandth of the largest; means over {self.sequences} probe sequences, the first "
            "over those whose Jacobian is not singular. Dotted: 0, and 1: a rotation."
        )
        panels = (
            Panel(quantity="log10 condition", lines=(0.0,)),
            Panel(quantity="share of directions", lines=(1.0,)),
        )
        return [
            Picture(
                title="Condition number",
                caption=caption,
                panels=panels,
                over="index",
                x="k, steps",
                y="decades; share",
            )
        ]

    def __call__(self, moment: Moment) -> dict[str, pd.Series]:
        """Series over k."""
        inputs_TBI = moment.batch.inputs[:, : self.sequences]
        window = last_steps(moment, self.steps[-1])
        each = list(jacobians(moment.model, inputs_TBI, window))
        conditions, singular, shares = {}, {}, {}
        for count in (count for count in self.steps if count <= len(each)):
            logs_Bn = log10_singular_values(each[-count:])
            condition_B = logs_Bn[:, 0] - logs_Bn[:, -1]
            regular_B = condition_B.isfinite()
            conditions[count] = float(torch.where(regular_B, condition_B, torch.nan).nanmean())
            singular[count] = int((~regular_B).sum())
            shares[count] = float((logs_Bn > logs_Bn[:, :1] - DECADES).double().mean())
        found = {
            "log10 condition": conditions,
            "singular": singular,
            "share of directions": shares,
        }
        return {name: pd.Series(values, dtype=float) for name, values in found.items() if values}
