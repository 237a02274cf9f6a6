"""S(k) and what is read off it, for every trial and recorded step, as DataFrames.

The state's parts are taken together, each coordinate in units of its standard deviation over the
probe ("whitened"), and S is relative to lag 1: neither the units that a cell keeps its state in nor
the readout's own step is in it. Runs from before that was recorded have the state's own coordinates
("all"), relative to lag 0. Of a stack, the layer that the readout reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from seqbench.analysis import curve
from seqbench.analysis.curve import Curve
from seqbench.results import Results

TRIAL = ["cell", "length", "seed"]
KEY = [*TRIAL, "anchor", "step"]
THETAS = {"horizon_1e-1": 1e-1, "horizon_1e-3": 1e-3, "horizon_1e-6": 1e-6}
READ_OFF = ["half_life", *THETAS]
PROBE_SIZE = 32  # where a record does not say


def summaries(results: Results) -> dict[tuple[str, int, int], dict[str, Any]]:
    """(cell, length, seed) -> what trial.json sums up, for the trials that have one."""
    return {
        (trial.cell.label, trial.length, trial.seed): results.records[trial.folder]["summary"]
        for trial in results.task.trials()
        if trial.folder in results.records
    }


def needed_lags(results: Results) -> pd.DataFrame:
    """The lags that the problem needs, a row a length, anchor and need.

    Returns:
        Columns length, anchor, low, median, high (over the probe), main: True for the longest need
        of the last anchor, the one that the report's rules look at.
    """
    rows, seen = [], set()
    for (_, length, _), summary in summaries(results).items():
        anchors = summary.get("needed_lags") or []
        if length in seen or not anchors:
            continue
        seen.add(length)
        for entry in anchors:
            longest = max((lag[1] for lag in entry["lags"]), default=None)
            for low, median, high in entry["lags"]:
                main = entry is anchors[-1] and median == longest
                rows.append((length, entry["anchor"], low, median, high, main))
    columns = ["length", "anchor", "low", "median", "high", "main"]
    return pd.DataFrame(rows, columns=columns).sort_values(["length", "anchor"], kind="stable")


def longest_needs(results: Results) -> dict[int, float]:
    """Length -> the median needed lag that the rules look at."""
    needs = needed_lags(results)
    return {row.length: row.median for row in needs[needs["main"]].itertuples()}


def output_flow(results: Results) -> pd.DataFrame:
    """The rows of the output flow that S(k) is made of, with `examples` and `main_anchor`."""
    rows = results.output_flow
    if is_whitened(results):
        rows = whitened(rows)
    if rows.empty:
        return rows.assign(examples=[], main_anchor=np.zeros(0, bool))
    rows = rows[rows["layer"] == rows.groupby(TRIAL)["layer"].transform("max")]
    sizes = {key: summary.get("probe_size") for key, summary in summaries(results).items()}
    examples = [
        sizes.get(key) or PROBE_SIZE
        for key in zip(rows["cell"], rows["length"], rows["seed"], strict=True)
    ]
    last = rows.groupby(TRIAL)["anchor"].transform("max")
    return rows.assign(examples=examples, main_anchor=rows["anchor"] == last)


def is_whitened(results: Results) -> bool:
    """Whether every trial of the run recorded the flow of the whitened state."""
    rows = results.output_flow
    if "whitened_zero" not in rows or rows.empty:
        return False
    return bool(rows.loc[rows["lag"] > 0, "whitened_zero"].notna().all())


def whitened(rows: pd.DataFrame) -> pd.DataFrame:
    """The flow of the whitened state, from lag 1 on, in the columns of any flow.

    Args:
        rows: of the joint state ("all"), with the columns `whitened`, ...
    """
    rows = rows[rows["lag"] > 0]
    return rows.assign(
        log10_norm=rows["whitened"],
        log10_p10=rows["whitened_p10"],
        log10_p90=rows["whitened_p90"],
        n_zero=rows["whitened_zero"].astype(int),
    )


def reference(results: Results) -> str:
    """What S is relative to, in words."""
    if is_whitened(results):
        return "lag 1, each coordinate of the state in units of its standard deviation"
    return "lag 0, in the coordinates that the cell keeps its state in"


def shapes(results: Results) -> pd.DataFrame:
    """S(k) and its spread over the examples, in decades relative to the first lag: 1, or 0.

    Returns:
        A row a trial, anchor, recorded step and lag: s, p10, p90; hollow where more than 5 % of the
        examples are exact zeros; NaN where a value was not finite; at ("start" or "end", else "").
    """
    rows = output_flow(results)
    columns = [*KEY, "main_anchor", "at", "lag", "s", "p10", "p90", "hollow"]
    if rows.empty:
        return pd.DataFrame(columns=columns).astype({"main_anchor": bool, "s": float})
    rows = rows.assign(hollow=rows["n_zero"] > curve.MANY_ZEROS * rows["examples"])
    broken = rows["n_nonfinite"] > 0
    start = 1 if is_whitened(results) else 0
    first = rows[(rows["lag"] == start) & ~rows["hollow"] & ~broken]
    zero = first.set_index(KEY)["log10_norm"].rename("level")
    rows = rows.join(zero, on=KEY)
    for name, source in {"s": "log10_norm", "p10": "log10_p10", "p90": "log10_p90"}.items():
        rows[name] = (rows[source] - rows["level"]).mask(rows["n_nonfinite"] > 0)
    return rows.assign(at=moments(rows))[columns].sort_values([*KEY, "lag"], ignore_index=True)


def moments(rows: pd.DataFrame) -> np.ndarray:
    """ "start" for step 0, "end" for a trial's last recorded step, "" in between."""
    last = rows.groupby(TRIAL)["step"].transform("max")
    end = np.where(rows["step"] == last, "end", "")
    return np.where(rows["step"] == 0, "start", end)


def trial_curves(results: Results) -> dict[tuple, Curve]:
    """(cell, length, seed, anchor, step) -> its Curve."""
    rows = output_flow(results).sort_values([*KEY, "lag"])
    if rows.empty:
        return {}
    lags, levels = rows["lag"].to_numpy(), curve.levels(rows, rows["examples"])
    sizes = rows.groupby(KEY, sort=True).size()  # in the order of the rows
    ends = np.cumsum(sizes.to_numpy())[:-1]
    parts = zip(np.split(lags, ends), np.split(levels, ends), strict=True)
    return {key: curve.relative(*part) for key, part in zip(sizes.index, parts, strict=True)}


def read_offs(results: Results, curves: Mapping[tuple, Curve]) -> pd.DataFrame:
    """What is read off each curve, a row a trial, anchor and recorded step.

    Args:
        curves: from `trial_curves`.

    Returns:
        half_life and the horizons are inf where S(k) does not get there within largest_lag, and NaN
        where there is no curve; at_needed is S at the longest needed lag; at as in `shapes`.
    """
    needs, rows = longest_needs(results), []
    for key, one in curves.items():
        told = {name: _lag(one, one.horizon(theta)) for name, theta in THETAS.items()}
        rows.append(
            {
                **dict(zip(KEY, key, strict=True)),
                "largest_lag": one.largest_lag,
                "half_life": _lag(one, one.half_life()),
                **told,
                "early_rate": one.early_rate(),
                "late_rate": one.late_rate(),
                "at_needed": level_at(one, needs.get(key[1], np.nan)),
            }
        )
    columns = [*KEY, "largest_lag", *READ_OFF, "early_rate", "late_rate", "at_needed"]
    table = pd.DataFrame(rows, columns=columns)
    if table.empty:
        return table.assign(main_anchor=np.zeros(0, bool), at=[])
    last = table.groupby(TRIAL)["anchor"].transform("max")
    return table.assign(main_anchor=table["anchor"] == last, at=moments(table))


def _lag(one: Curve, crossing: float | None) -> float:
    if len(one.lags) < 2:  # nothing but the first lag, or nothing finite
        return np.nan
    return np.inf if crossing is None else crossing


def level_at(one: Curve, lag: float) -> float:
    """S(lag), interpolated between the recorded neighbours.

    -inf if one of them is (exact zeros are the smallest flow there is); NaN beyond the largest lag.
    """
    if not len(one.lags) or not one.lags[0] <= lag <= one.lags[-1]:
        return float("nan")
    i = int(np.searchsorted(one.lags, lag))
    if one.lags[i] == lag:
        return float(one.s[i])
    if not np.isfinite(one.s[i - 1 : i + 1]).all():
        return -float("inf")
    return float(np.interp(lag, one.lags[i - 1 : i + 1], one.s[i - 1 : i + 1]))
