"""One sequence of a problem, for a person to read; needs no torch.

Shapes: T steps of the sequence, I inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

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
