"""What the lengths and lags of a run count: time steps, or the layers of a network in depth."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Unit:
    """How a report speaks of lengths and lags.

    Attributes:
        symbol: stands for a length.
        length: what that is, in words.
        one: what a lag counts, one of it.
    """

    symbol: str
    length: str
    one: str

    @property
    def many(self) -> str:
        """Several of what a lag counts."""
        return f"{self.one}s"

    def at(self, *lengths: object) -> str:
        """ "T = 10", "T = 10, 20"."""
        return f"{self.symbol} = {', '.join(map(str, lengths))}"


STEPS = Unit("T", "the length of the problem", "step")
LAYERS = Unit("L", "the number of layers below the output layer", "layer")
