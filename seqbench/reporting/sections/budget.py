"""Score against budget: would fewer steps have said the same?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from seqbench.analysis.budget import SHARES, at_budgets, still_moving
from seqbench.analysis.study import Study
from seqbench.reporting.blocks import Block, Table, Text
from seqbench.reporting.words import DASH, count


class Budget:
    """What was solved, and what was left of the loss, within parts of the budget."""

    title = "What fewer training steps would have said"
    folded = True

    def blocks(self, study: Study) -> Iterator[Block]:
        """A table, and what was still moving at the end."""
        table = at_budgets(study.results)
        if table.empty or table["loss"].isna().all():
            return
        steps = study.task.training.steps
        heads = [
            "cell",
            study.unit.symbol,
            *(f"within {int(share * steps):,} steps" for share in SHARES),
        ]
        align = "lr" + "l" * len(SHARES)
        yield Table("budget", table, heads, _rows(table), align, title=self.title)
        moving, rows = len(still_moving(table)), count(len(_rows(table)), "row")
        told = (
            "Trials solved, and the loss over the reference baseline, median over seeds; means of "
            "the last three evaluations up to there. Between half the budget and all of it the "
            "number of solved trials changed, or the loss fell by more than a tenth of the "
            f"baseline, in {moving} of {rows}: of these, more training steps may say "
            "something else."
        )
        yield Text([told + _schedule(study)], "note")


def _rows(table: pd.DataFrame) -> list[list[str]]:
    return [
        [cell, str(length), *(_cell(row) for row in group.itertuples())]
        for (cell, length), group in table.groupby(["cell", "length"], sort=False)
    ]


def _cell(row: Any) -> str:
    loss = DASH if pd.isna(row.loss) else f"{row.loss:.2g}"
    return f"{row.solved}/{row.trials}; {loss}"


def _schedule(study: Study) -> str:
    name = study.task.training.schedule
    if name == "constant":
        return ""
    return (
        f" The learning rate's schedule ({name}) ends with the whole budget: a run of fewer "
        "training steps would have ended it sooner, so the first columns are no verdict on such "
        "a run."
    )
