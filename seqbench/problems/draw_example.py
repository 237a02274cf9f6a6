"""The first sequence that a problem draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqbench.problems.batch import Batch, capabilities
from seqbench.problems.example import Example


def example(problem: Any, seed: int = 0) -> Example:
    """The first sequence that a problem draws from a seed."""
    can = capabilities(problem)
    batch = problem.sample(1, torch.Generator().manual_seed(seed))
    # a sequence ends with its last step that shows or asks something
    shows = batch.inputs if can.vocabulary else batch.inputs.abs().sum(2)
    last = int(((shows != 0) | (batch.weights > 0)).nonzero()[:, 0].max()) + 1
    if can.vocabulary:
        names = _names(can.symbols, can.vocabulary)
        shown = [names[k] for k in batch.inputs[:last, 0].tolist()]
        channels = sorted(set(shown), key=names.index)
        inputs = np.array([[float(name == word) for name in channels] for word in shown])
    else:
        inputs, shown = batch.inputs[:last, 0].numpy(), []
        channels = list(can.channels) or [f"input {i + 1}" for i in range(inputs.shape[1])]
        if can.symbols:
            channels = _names(can.symbols, inputs.shape[1])
            shown = [channels[k] for k in inputs.argmax(1)]
    targets = _asked(batch, can.classes, last)
    return Example(inputs, channels, shown, targets, _needs(problem, batch))


def _names(given: Any, count: int) -> list[str]:
    return list(given) or [str(k) for k in range(count)]


def _asked(batch: Batch, classes: Any, last: int) -> list[str]:
    told = []
    for target, weight in zip(batch.targets[:last, 0], batch.weights[:last, 0], strict=True):
        if weight == 0:
            told.append("")
        elif batch.targets.is_floating_point():
            told.append(" ".join(f"{value:.2f}" for value in target.tolist()))
        else:
            told.append(str(classes[int(target)]) if len(classes) else str(int(target)))
    return told


def _needs(problem: Any, batch: Batch) -> dict[int, list[int]]:
    def steps(anchor: Tensor, lags_n: Tensor) -> list[int]:
        return sorted({int(anchor - lag) for lag in lags_n})

    each = zip(problem.anchors(batch), problem.needed_lags(batch), strict=True)
    return {int(anchor_B[0]): steps(anchor_B[0], lags_Bn[0]) for anchor_B, lags_Bn in each}
