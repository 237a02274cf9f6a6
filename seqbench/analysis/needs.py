"""What a flow that is open before training does at each needed lag: who solved it, counted.

An association: cells that start open at a lag differ in more than that. Where the cells are one
with an option changed, as in an intervention, it is the nearest to a dose.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from seqbench.analysis.curve import Curve
from seqbench.analysis.opening import OPEN
from seqbench.analysis.shapes import TRIAL, level_at, needed_lags
from seqbench.analysis.statistics import wilson
from seqbench.card.status import FINISHED, Status
from seqbench.results import Results

COLUMNS = ["length", "lag", "open", "trials", "solved", "low", "high"]


def by_needed_lag(results: Results, curves: Mapping[tuple, Curve]) -> pd.DataFrame:
    """Trials that ended, by whether their flow was open before training at a needed lag.

    Args:
        curves: from `shapes.trial_curves`.

    Returns:
        A row a length, needed lag (its median over the probe) and open or not: how many trials,
        how many solved it, the 95 % Wilson interval of that share. Sorted by length and lag.
    """
    needs = needed_lags(results)
    rows = [
        {**dict(zip(TRIAL, key[:3], strict=True)), "lag": lag, "open": level >= OPEN}
        for key, curve in curves.items()
        if key[-1] == 0
        for lag in needs[(needs["length"] == key[1]) & (needs["anchor"] == key[3])]["median"]
        if (level := level_at(curve, lag)) == level  # NaN: not recorded so far back
    ]
    trials = results.trials[results.trials["status"].isin(FINISHED)]
    known = pd.DataFrame(rows, columns=[*TRIAL, "lag", "open"]).drop_duplicates()
    known = known.merge(trials[[*TRIAL, "status"]], on=TRIAL)
    found = []
    for (length, lag, is_open), group in known.groupby(["length", "lag", "open"]):
        solved, n = int((group["status"] == Status.SOLVED).sum()), len(group)
        found.append((length, lag, is_open, n, solved, *wilson(solved, n)))
    return pd.DataFrame(found, columns=COLUMNS)
