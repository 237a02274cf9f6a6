"""Statistics of trials: intervals and medians that say what an unsolved trial is."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

Z = 1.959964  # two-sided 95 % of the normal distribution


def wilson(solved: int, n: int) -> tuple[float, float]:
    """The 95 % Wilson interval of a share; (0, 1) where nothing was seen."""
    if n == 0:
        return 0.0, 1.0
    share, spread = solved / n, Z**2 / n
    middle = share + spread / 2
    half = Z * math.sqrt(share * (1 - share) / n + spread / (4 * n))
    low, high = (middle - half) / (1 + spread), (middle + half) / (1 + spread)
    # Exact at the ends, where rounding would leave 1e-17.
    return (0.0 if solved == 0 else low), (1.0 if solved == n else high)


def median(values: pd.Series) -> float:
    """The median of what is known, inf included; NaN if nothing is."""
    known = values[values.notna()].to_numpy(float)
    with np.errstate(invalid="ignore"):
        return float(np.median(known)) if len(known) else float("nan")
