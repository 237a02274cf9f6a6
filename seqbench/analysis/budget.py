"""Score against budget: what a quarter, half and all of the training steps would have said."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from seqbench.analysis.statistics import median
from seqbench.card.status import FINISHED
from seqbench.results import Results

SHARES = (0.25, 0.5, 1.0)  # of the card's steps
IN_A_ROW = 3  # evaluations: of the criterion, and of final values


def at_budgets(results: Results) -> pd.DataFrame:
    """Each cell and length after a share of the budget, from the learning curves.

    What a trial had shown by then: solved if the third of the evaluations that make it so had been
    made; its loss and score are means over the last three evaluations up to there. Under a schedule
    of the learning rate that ends with the budget it is not what a shorter run would have given:
    that run's rate would have fallen sooner.

    Returns:
        A row a cell, length and share, in the card's order: steps; trials (finished ones), solved;
        loss over the reference baseline and score, medians over the trials.
    """
    budget = results.task.training.steps
    done = results.trials[results.trials["status"].isin(FINISHED)]
    ordered = results.curves.sort_values("step")
    curves = {
        key: [curve[name].to_numpy() for name in ("step", "loss", "score")]
        for key, curve in ordered.groupby(["cell", "length", "seed"])
    }
    by_sequences = results.task.training.right_in_a_row > 0
    rows = []
    for (cell, length), group in done.groupby(["cell", "length"], sort=False):
        for share in SHARES:
            steps = int(share * budget)
            shown = [
                _shown(curves[cell, length, trial.seed], trial, steps, by_sequences)
                for trial in group.itertuples()
                if (cell, length, trial.seed) in curves
            ]
            seen = pd.DataFrame(shown, columns=["solved", "loss", "score"])
            rows.append(
                {
                    "cell": cell,
                    "length": length,
                    "share": share,
                    "steps": steps,
                    "trials": len(seen),
                    "solved": int(seen["solved"].sum()),
                    "loss": median(seen["loss"]),
                    "score": median(seen["score"]),
                }
            )
    columns = ["cell", "length", "share", "steps", "trials", "solved", "loss", "score"]
    return pd.DataFrame(rows, columns=columns)


def _shown(
    curve: Sequence[np.ndarray], trial: Any, steps: int, by_sequences: bool
) -> tuple[bool, float, float]:
    """Solved, loss over the baseline, score: of one trial, after so many steps.

    Args:
        curve: the steps of its evaluations, ascending, losses, scores.
    """
    step, loss, score = (column[: np.searchsorted(curve[0], steps, "right")] for column in curve)
    solved = False
    if pd.notna(trial.solved_at):
        needed = 1 if by_sequences else IN_A_ROW
        solved = int((step >= trial.solved_at).sum()) >= needed
    return solved, _mean(loss) / trial.baseline, _mean(score)


def _mean(values: np.ndarray) -> float:
    last = values[-IN_A_ROW:]
    return float(last.mean()) if len(last) else math.nan


def still_moving(table: pd.DataFrame) -> pd.DataFrame:
    """The cells and lengths of which more steps changed the conclusion: between half the budget and
    all of it, the share of solved trials changed, or the loss fell by more than a tenth of the
    baseline.

    Args:
        table: from `at_budgets`.

    Returns:
        cell, length, solved_half, solved, loss_half, loss; in the card's order.
    """
    keys = ["cell", "length"]
    half, whole = (table[table["share"] == share].set_index(keys) for share in (0.5, 1.0))
    both = whole[["solved", "loss"]].join(half[["solved", "loss"]].add_suffix("_half"))
    moved = (both["solved"] != both["solved_half"]) | (both["loss_half"] - both["loss"] > 0.1)
    return both[moved].reset_index()[[*keys, "solved_half", "solved", "loss_half", "loss"]]
