"""One sequence of a problem, for a person to read.

Shapes: T steps of the sequence, I inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from seqbench.problems.batch import Batch, capabilities

MANY = 12  # columns: of more inputs each step is one word of shades
SHADES = " .:-=+*#%@"


@dataclass(frozen=True)
class Example:
    """A sequence, cut at its end.

    Attributes:
        inputs: [T, I]; tokens are one-hot.
        channels: names of the inputs.
        shown: what is shown at each step: the symbol's name; [] where inputs are real values.
        targets: what is asked at each step, in words; "" where nothing is.
        needs: for each anchor, 1-based: the steps at which what it needs was shown.
    """

    inputs: np.ndarray
    channels: list[str]
    shown: list[str]
    targets: list[str]
    needs: dict[int, list[int]]

    def table(self) -> pd.DataFrame:
        """A row a step: step, what is shown, target, scored, needed (by which anchors)."""
        columns: dict[str, Any] = {"step": np.arange(1, len(self.inputs) + 1)}
        if self.shown:
            columns["shown"] = self.shown
        elif len(self.channels) > MANY:
            columns["inputs"] = [_shades(row) for row in self.inputs]
        else:
            columns |= dict(zip(self.channels, self.inputs.T.round(2), strict=True))
        columns["target"] = self.targets
        columns["scored"] = ["x" if target else "" for target in self.targets]
        columns["needed"] = [
            " ".join(f"for {anchor}" for anchor, steps in self.needs.items() if step in steps)
            for step in columns["step"]
        ]
        return pd.DataFrame(columns)


def _shades(row: np.ndarray) -> str:
    level = (row.clip(0, 1) * (len(SHADES) - 1)).round().astype(int)
    return "".join(SHADES[k] for k in level)


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
