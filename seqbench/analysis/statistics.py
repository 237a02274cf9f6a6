"""Statistics of trials: what an unsolved trial counts as is part of each.

Steps to solve are infinite where a trial did not solve: no mean is taken over them that would have
to pretend a number, and NaN (no result) is left out everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from seqbench.card.status import FINISHED

Z = 1.959964  # two-sided 95 % of the normal distribution
DRAWS = 2000  # of a bootstrap
LEAST = 5  # values in a stratum; fewer have no interval
CONFIDENCE = 0.95


class Interval(NamedTuple):
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float


def wilson(solved: int, n: int) -> tuple[float, float]:
    """The 95 % Wilson interval of a share; (0, 1) where nothing was seen.

    Source: Wilson 1927, Journal of the American Statistical Association 22(158).
    """
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


def interquartile_mean(values: Sequence[float] | np.ndarray) -> float:
    """The mean of the middle half: a quarter of the values, rounded down, is cut at either end.

    inf where an infinite value is among the middle half; NaN if nothing is known.

    Source: Agarwal et al. 2021, arXiv:2108.13264, section 4.3.
    """
    known = np.sort(np.asarray(values, float))
    known = known[~np.isnan(known)]
    cut = len(known) // 4
    middle = known[cut : len(known) - cut]
    return float(middle.mean()) if len(middle) else float("nan")


def bootstrap(
    strata: Sequence[Sequence[float] | np.ndarray],
    statistic: Callable[[np.ndarray], float] = interquartile_mean,
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> Interval:
    """A percentile bootstrap interval; each stratum (a length, a cell) is drawn from on its own.

    The same seed gives the same interval. The ends are drawn values: an infinite one stays one.

    Args:
        strata: the values of each; those that are empty are left out.
        statistic: of all values together.

    Returns:
        NaN throughout where nothing is known; no ends where a stratum has fewer than LEAST values,
        which say too little of how others would scatter.

    Source: Efron & Tibshirani 1993, An introduction to the bootstrap, chapters 8 and 13.
    """
    known = [np.asarray(one, float) for one in strata]
    known = [one[~np.isnan(one)] for one in known]
    known = [one for one in known if len(one)]
    if not known:
        return Interval(math.nan, math.nan, math.nan)
    generator = np.random.default_rng(seed)
    value = statistic(np.concatenate(known))
    if min(map(len, known)) < LEAST:
        return Interval(value, math.nan, math.nan)
    found = [
        statistic(np.concatenate([generator.choice(one, len(one)) for one in known]))
        for _ in range(draws)
    ]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(found, [tail, 1 - tail], method="nearest")
    return Interval(value, float(low), float(high))


def sign_test(more: int, less: int) -> float:
    """Two-sided exact p: how often a fair coin is at least as one-sided; ties are left out."""
    n = more + less
    tail = sum(math.comb(n, k) for k in range(min(more, less) + 1)) / 2**n
    return min(1.0, 2 * tail)


def paired(trials: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Each cell against one of them, seed by seed: both saw the same batches.

    Args:
        trials: of the results.
        reference: the cell that the others are compared with.

    Returns:
        A row a cell and length: pairs (seeds that both finished); sooner, later, level: how often
        the cell solved in fewer steps than the reference, in more (never being most), in as many;
        p of the sign test; loss_ratio: the median of log10(its loss / the reference's), with the
        ends of its bootstrap interval.
    """
    done = trials[trials["status"].isin(FINISHED)]
    done = done.assign(steps=done["solved_at"].astype(float).fillna(np.inf))
    columns = ["length", "seed", "steps", "loss"]
    base = done.loc[done["cell"] == reference, columns]
    rows = []
    for (cell, length), group in done.groupby(["cell", "length"], sort=False):
        if cell == reference:
            continue
        both = group[columns].merge(base, on=["length", "seed"], suffixes=("", "_reference"))
        sooner = int((both["steps"] < both["steps_reference"]).sum())
        later = int((both["steps"] > both["steps_reference"]).sum())
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios = np.log10((both["loss"] / both["loss_reference"]).to_numpy(float))
        ratio = bootstrap([ratios[np.isfinite(ratios)]], np.median)
        rows.append(
            {
                "cell": cell,
                "length": length,
                "reference": reference,
                "pairs": len(both),
                "sooner": sooner,
                "later": later,
                "level": len(both) - sooner - later,
                "p": sign_test(sooner, later),
                "loss_ratio": ratio.value,
                "loss_ratio_low": ratio.low,
                "loss_ratio_high": ratio.high,
            }
        )
    columns = [
        "cell",
        "length",
        "reference",
        "pairs",
        "sooner",
        "later",
        "level",
        "p",
        "loss_ratio",
        "loss_ratio_low",
        "loss_ratio_high",
    ]
    return pd.DataFrame(rows, columns=columns)


def solved_by_step(trials: pd.DataFrame) -> pd.DataFrame:
    """The share of finished trials that had solved by each step at which one did.

    Returns:
        cell, length, step, share: ascending, from step 0; a trial that never solves is never
        counted, as in a survival curve whose every censoring is at the budget.
    """
    done = trials[trials["status"].isin(FINISHED)]
    rows = []
    for (cell, length), group in done.groupby(["cell", "length"], sort=False):
        at = group["solved_at"].dropna().astype(float).value_counts().sort_index()
        told = pd.DataFrame({"step": at.index, "share": at.cumsum().to_numpy() / len(group)})
        start = pd.DataFrame({"step": [0.0], "share": [0.0]})
        rows.append(pd.concat([start, told]).assign(cell=cell, length=length))
    columns = ["cell", "length", "step", "share"]
    if not rows:
        return pd.DataFrame(columns=columns)
    return pd.concat(rows, ignore_index=True)[columns]


def rank_correlation(
    x: Sequence[float], y: Sequence[float], clusters: Sequence[object] | None = None
) -> Interval:
    """Spearman's, with a bootstrap interval; NaN where one of them does not vary.

    Infinite values take their rank; pairs with a NaN are left out. The same data give the same
    interval.

    Args:
        clusters: which pairs belong together, and are drawn together (those of one cell); None:
            each is drawn on its own. Fewer than LEAST clusters have no interval.
    """
    pairs = np.column_stack([np.asarray(x, float), np.asarray(y, float)])
    known = ~np.isnan(pairs).any(1)
    pairs = pairs[known]
    value = _spearman(pairs)
    if math.isnan(value):
        return Interval(value, math.nan, math.nan)
    group = np.arange(len(known)) if clusters is None else pd.factorize(pd.Series(clusters))[0]
    groups = [np.flatnonzero(group[known] == one) for one in np.unique(group[known])]
    if clusters is not None and len(groups) < LEAST:
        return Interval(value, math.nan, math.nan)
    generator = np.random.default_rng(0)
    drawn = (generator.integers(0, len(groups), len(groups)) for _ in range(DRAWS))
    found = [_spearman(pairs[np.concatenate([groups[i] for i in draw])]) for draw in drawn]
    found = [one for one in found if not math.isnan(one)]
    if not found:
        return Interval(value, math.nan, math.nan)
    tail = (1 - CONFIDENCE) / 2
    return Interval(value, *map(float, np.quantile(found, [tail, 1 - tail])))


def _spearman(pairs: np.ndarray) -> float:
    ranks = pd.DataFrame(pairs).rank().to_numpy()
    if len(ranks) < 2 or (ranks == ranks[:1]).all(0).any():
        return math.nan
    return float(np.corrcoef(ranks.T)[0, 1])
