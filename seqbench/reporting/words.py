"""Numbers and lists in words, the same everywhere."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd

from seqbench.analysis.statistics import Interval

DASH = "–"
FEW_SEEDS = 5  # fewer allow no claim that cells differ


def join(words: Iterable[object]) -> str:
    """a, b and c; where one has a comma of its own: a; b, c; and d."""
    *first, last = [str(word) for word in words] or [""]
    if first and any(", " in word for word in (*first, last)):
        return f"{'; '.join(first)}; and {last}"
    return f"{', '.join(first)} and {last}" if first else last


def count(n: int, thing: str) -> str:
    """1 trial, 2 trials."""
    return f"{n:,} {thing}" if n == 1 else f"{n:,} {thing}s"


def many(unit: str) -> str:
    """ "step or layer" -> "steps or layers"."""
    return " or ".join(f"{word}s" for word in unit.split(" or "))


def steps(value: float) -> str:
    """A number of steps: 0.58, 3.4, 41, 1,200."""
    if value < 1:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 9.95 else f"{value:,.0f}"


def percent(share: float) -> str:
    """0.34 -> 34."""
    return f"{100 * share:.0f}"


def decades(value: float) -> str:
    """A level S: −8.1; −∞ where it is an exact zero; a dash where there is none."""
    if math.isnan(value):
        return DASH
    if math.isinf(value):
        return "−∞" if value < 0 else "∞"
    return f"{value:.1f}".replace("-0.0", "0.0").replace("-", "−")


def reach(value: float, low: float, largest_lag: float) -> str:
    """A half-life or horizon, a median over seeds that may be infinite.

    Args:
        low: the lower of the two middle values, finite where one seed is inside and one outside.
    """
    if math.isnan(value):
        return DASH
    if math.isfinite(value):
        return steps(value)
    beyond = f"≥ {largest_lag:,.0f}"
    return f"{steps(low)} and {beyond}" if math.isfinite(low) else beyond


def reach_of(row: pd.Series, name: str, at: str) -> str:
    """The same, from a row of the comparison."""
    return reach(row[f"{name}_{at}"], row[f"{name}_{at}_low"], row["largest_lag"])


def correlation(found: Interval) -> str:
    """+0.62 [0.40, 0.78], the interval where there is one."""
    value, low, high = (f"{x:+.2f}".replace("-", "−") for x in found)
    return value if math.isnan(found.low) else f"{value} [{low}, {high}]"
