"""What `seqbench.measure.untrained` has seen; needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd


class Gate(NamedTuple):
    """The gate that a cell's memory is multiplied with at each step, before any training.

    Attributes:
        name: "forget gate", "update gate".
        mean: over units, steps and examples.
        loss: the mean of -log10: the decades that a memory loses a step by this gate alone.
        bias: the name of the constructor's option that opens it, if there is one and it is not set.
    """

    name: str
    mean: float
    loss: float
    bias: str | None


@dataclass(frozen=True)
class Untrained:
    """What there is to see in freshly initialised cells.

    Attributes:
        table: the columns of `gradient_flow`, with cell, length, seed, step (0) and source
            ("output"); in attrs["unit"] what lags count: "step", "layer", or "step or layer".
        float32_zeros: cell -> the first lag from which on an ordinary backward pass in float32
            says that the gradient of the inputs is exactly 0 for all examples; inf if there is
            none. An input's lag is that of the state before it. Subnormal numbers are kept, as
            torch does unless told otherwise.
        gates: cell -> its gate, for those whose gates are known (see `Saturation`).
        unreached: cell -> parts of its state that no input reaches, where there are any.
    """

    table: pd.DataFrame
    float32_zeros: dict[str, float]
    gates: dict[str, Gate]
    unreached: dict[str, list[str]]
