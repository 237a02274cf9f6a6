"""How far examples agree on the gradient, by lag."""

from __future__ import annotations

import math

import pandas as pd
import torch
from torch import Tensor

from seqbench.card.task import Trial
from seqbench.measure.diagnostics.moment import Moment
from seqbench.measure.diagnostics.picture import Panel, Picture
from seqbench.measure.diagnostics.spectra import check_counts
from seqbench.measure.probe import PROBE_SIZE, Group, walk_back


class SignalToNoise:
    """The gradient at lag k as examples agree on it, against how they scatter about that.

    With Gamma_b the gradient of example b with respect to the whole state (all layers), over the B
    probe examples: log10 of  |mean_b Gamma_b| / sqrt(mean_b |Gamma_b - mean|^2). For output flow
    ("output, anchor A"; both squares averaged over the directions u) and loss flow ("loss"), which
    the optimiser receives. Gradients that have nothing in common give log10 of 1/sqrt(B - 1),
    about -0.75 for the probe's 32: a value there is no signal.

    Norms are carried as powers of ten as in the flow itself, so that it holds in any range.

    Args:
        boundaries: lags beyond 10 at which it is measured.

    Source: the gradient signal-to-noise ratio of Rainforth et al. 2018, arXiv:1802.04537, by lag.
    """

    def __init__(self, boundaries: int = 32) -> None:
        check_counts("signal_to_noise", boundaries=boundaries)
        self.boundaries = boundaries

    def pictures(self, trial: Trial) -> list[Picture]:
        """By lag at both ends of training, with the level of no signal."""
        level = -0.5 * math.log10(PROBE_SIZE - 1)
        caption = (
            "log10 of the size of the mean gradient over the probe's examples, by their scatter "
            "about that mean, at lag k: how far they agree. Output flow, from the last anchor, and "
            "loss flow. Dotted: 1/sqrt(B − 1), about what B examples with nothing in common give; "
            f"here B is {PROBE_SIZE}, and a value there is no signal."
        )
        panels = (
            Panel(quantity="output, anchor *", title="output flow", lines=(level,)),
            Panel(quantity="loss", title="loss flow", lines=(level,)),
        )
        return [
            Picture(
                title="Signal to noise",
                caption=caption,
                panels=panels,
                over="index",
                x="lag k: steps back from the anchor",
                y="log10 of signal by noise",
            )
        ]

    def __call__(self, moment: Moment) -> dict[str, pd.Series]:
        """Series over lags."""
        kept: dict[int, tuple[Tensor, Tensor]] = {}

        def keep(time: int, unit_Rn: Tensor, log10_R: Tensor) -> None:
            kept[time] = unit_Rn, log10_R

        groups, _ = walk_back(
            moment.model, moment.problem, moment.batch, moment.cotangents, self.boundaries, keep
        )
        return {
            _name(group): pd.Series(
                {lag: _ratio(*_at_lag(kept, group, lag)) for lag in group.lags[1:]}
            )
            for group in groups
        }


def _name(group: Group) -> str:
    return f"output, anchor {int(group.anchors_B.max())}" if group.source == "output" else "loss"


def _at_lag(kept: dict, group: Group, lag: int) -> tuple[Tensor, Tensor]:
    """The gradients of a group's rows, each at `lag` before its own anchor: [C, B, n], [C, B]."""
    units, logs = [], []
    anchors_R = group.anchors_B.repeat(group.copies).tolist()
    for row, anchor in enumerate(anchors_R, group.rows.start):
        unit_Rn, log10_R = kept[anchor - lag]
        units.append(unit_Rn[row])
        logs.append(log10_R[row])
    shape = group.copies, len(group.anchors_B)
    return torch.stack(units).view(*shape, -1), torch.stack(logs).view(shape)


def _ratio(unit_CBn: Tensor, log10_CB: Tensor) -> float:
    """log10 of signal over noise; NaN for one example, or no gradient at all."""
    largest = log10_CB.max()
    scale_CB = torch.where(log10_CB.isfinite(), 10 ** (log10_CB - largest), 0.0)
    gradient_CBn = unit_CBn * scale_CB[:, :, None]
    mean_C1n = gradient_CBn.mean(1, keepdim=True)
    signal = mean_C1n.abs().square().sum(2).mean()
    noise = (gradient_CBn - mean_C1n).abs().square().sum(2).mean()
    if gradient_CBn.shape[1] == 1:
        return math.nan  # one example agrees with itself
    return 0.5 * float(torch.log10(signal / noise))
