"""What is read off a curve S(k): how far the gradient reaches back.

S(k) is a log10 of the output flow at lag k relative to the first lag of the curve: lag 1 of the
whitened state's flow, lag 0 (the readout's own gradient) of a flow in the state's own coordinates.
K is the largest lag.
No quantity depends on which lags were recorded besides those next to it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

HALF = -np.log10(2)
HORIZONS = (1e-1, 1e-3, 1e-6)
# Shares of examples that are exactly 0. Beyond the first the mean is one of survivors, who bias it
# upwards; beyond the second the example in the middle is 0 itself.
MANY_ZEROS, MOST_ZEROS = 0.05, 0.5


class Curve:
    """S at ascending lags.

    Args:
        lags: [n] ascending; lag 0 or 1 first.
        s: [n] log10, relative to the first; -inf where the flow is an exact zero. NaN points, where
            it has no mean or is not finite, are left out.
    """

    def __init__(self, lags: np.ndarray, s: np.ndarray) -> None:
        lags, s = np.asarray(lags, float), np.asarray(s, float)
        keep = ~np.isnan(s)
        self.lags: np.ndarray = lags[keep]
        self.s: np.ndarray = s[keep]

    @property
    def largest_lag(self) -> float:
        """K."""
        return self.lags[-1] if len(self.lags) else 0.0

    def at(self, lag: float) -> float:
        """S(lag), interpolated between the recorded neighbours; NaN where one of them is -inf."""
        if not len(self.lags) or not self.lags[0] <= lag <= self.lags[-1]:
            return float("nan")
        above = min(int(np.searchsorted(self.lags, lag)), len(self.lags) - 1)
        below = above if self.lags[above] == lag else above - 1
        if not np.isfinite(self.s[[below, above]]).all():
            return float("nan")
        return float(np.interp(lag, self.lags[[below, above]], self.s[[below, above]]))

    def crossing(self, level: float) -> float | None:
        """The first lag at which S is at most `level`, interpolated; None if never within K."""
        below = np.flatnonzero(self.s <= level)
        if not len(below):
            return None
        i = below[0]
        if i == 0 or not np.isfinite(self.s[i]):
            return float(self.lags[i])
        (k0, k1), (s0, s1) = self.lags[i - 1 : i + 1], self.s[i - 1 : i + 1]
        return float(k0 + (k1 - k0) * (s0 - level) / (s0 - s1))

    def half_life(self) -> float | None:
        """The first lag with S <= -log10 2; None if none within K."""
        return self.crossing(HALF)

    def horizon(self, theta: float) -> float | None:
        """The first lag at which the flow has fallen to `theta`; None if none within K."""
        return self.crossing(np.log10(theta))

    def rate(self, a: float, b: float) -> float:
        """(S(a) - S(b)) / (b - a): decades lost a step; negative where the flow grows."""
        return (self.at(a) - self.at(b)) / (b - a) if b > a else float("nan")

    def early_rate(self) -> float:
        """Over [1, min(10, K/4)]."""
        return self.rate(1, min(10, self.largest_lag / 4))

    def late_rate(self) -> float:
        """Over [K/2, K]."""
        return self.rate(self.largest_lag / 2, self.largest_lag)

    def late_half_life(self) -> float | str:
        """log10 2 / late rate where S changes by more than 0.3 over [K/2, K], else in words."""
        rate = self.late_rate()
        change = rate * self.largest_lag / 2
        if np.isnan(change):
            return "not defined: exact zeros"
        if abs(change) <= 0.3:
            return "none within K"
        return "grows" if change < 0 else float(-HALF / rate)

    def growth(self) -> tuple[float, float]:
        """The largest S over lags >= 1, and its lag."""
        later = self.lags >= 1
        if not later.any():
            return float("nan"), float("nan")
        i = np.argmax(self.s[later])
        return float(self.s[later][i]), float(self.lags[later][i])

    def factor(self) -> float | None:
        """10^-rate(1, K), one factor a step, where S stays near the chord from lag 1 to K.

        Near: within max(0.15, 5 % of the total change). None where it does not: then the two rates
        say more.
        """
        inside = self.lags >= 1
        lags, s = self.lags[inside], self.s[inside]
        if len(lags) < 2 or lags[0] != 1 or not np.isfinite(s).all():
            return None
        chord = s[0] + (s[-1] - s[0]) * (lags - 1) / (lags[-1] - 1)
        if np.abs(s - chord).max() > max(0.15, 0.05 * abs(s[-1] - s[0])):
            return None
        return float(10 ** -self.rate(1, lags[-1]))


def from_rows(rows: pd.DataFrame, examples: int) -> Curve:
    """The curve of one trial, step, anchor, layer and part of the state.

    Where more than 5 % of the examples are exactly 0, S has no mean (NaN); where more than half
    are, it is -inf. Fewer zeros are left out of the mean.

    Args:
        rows: a DataFrame with columns lag, log10_norm, n_zero, n_nonfinite.
        examples: how many sequences each row summarises.
    """
    rows = rows.sort_values("lag")
    return relative(rows["lag"].to_numpy(), levels(rows, examples))


def levels(rows: pd.DataFrame, examples: int | pd.Series) -> np.ndarray:
    """log10 of the flow in each row; NaN and -inf as `from_rows` says.

    Args:
        examples: how many sequences a row summarises, or each row.
    """
    zeros = (rows["n_zero"] / examples).to_numpy()
    s = np.where(zeros > MANY_ZEROS, np.nan, rows["log10_norm"].to_numpy(float))
    s = np.where(zeros > MOST_ZEROS, -np.inf, s)
    return np.where(rows["n_nonfinite"].to_numpy() > 0, np.nan, s)


def relative(lags: np.ndarray, s: np.ndarray) -> Curve:
    """The curve of levels at ascending lags, of which the first is to be finite."""
    start = s[0] if len(s) and lags[0] <= 1 else np.nan
    return Curve(lags, s - start if np.isfinite(start) else np.full_like(s, np.nan))
