"""What a trial leaves behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
from torch import Tensor

from seqbench.problems.batch import Batch, Problem

MOST_NEEDS = 8  # that a record tells one by one


@dataclass
class Outcome:
    """What a trial leaves behind.

    Attributes:
        summary: status, steps, solved_at, parameters, seconds, loss, score, baseline,
            baseline_score, error, baselines, needed_lags, probe_size, probe_precision ("float64",
            or the cell's own where it runs in no other), segment, recompute, graph_bytes; truncate
            and compile_seconds where the card asks for that; chain: "layers" for networks in
            depth.
        curves: a row an evaluation: step, loss, score, gradient_norm, the problem's own numbers.
        flow: a row for each recorded step, source, anchor, layer, lag and part of the state.
        diagnostics: a row for each reading: step, diagnostic, quantity, index, value.
        lengths: a row for each recorded step and evaluated length; see `seqbench.training.lengths`.
    """

    summary: dict[str, Any]
    curves: pd.DataFrame
    flow: pd.DataFrame
    diagnostics: pd.DataFrame
    lengths: pd.DataFrame


def needed_lags(problem: Problem, probe: Batch) -> list[dict[str, Any]]:
    """For each anchor: smallest, median and largest needed lag over the probe, by need; of many
    needs the nearest, the middle and the farthest."""
    return [
        {
            "anchor": int(anchor_B.max()),
            "lags": [
                [int(lag_B.min()), float(lag_B.double().median()), int(lag_B.max())]
                for lag_B in _a_few(lags_Bn).unbind(1)
            ],
        }
        for anchor_B, lags_Bn in zip(
            problem.anchors(probe), problem.needed_lags(probe), strict=True
        )
    ]


def _a_few(lags_Bn: Tensor) -> Tensor:
    if lags_Bn.shape[1] <= MOST_NEEDS:
        return lags_Bn
    return lags_Bn.sort(1).values[:, [0, lags_Bn.shape[1] // 2, -1]]
