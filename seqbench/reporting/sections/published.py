"""What the paper says, and what came out here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from seqbench.analysis.published import side_by_side
from seqbench.analysis.study import Study
from seqbench.reporting.blocks import Block, Table, Text
from seqbench.reporting.words import DASH


class Published:
    """The card's published numbers beside this run's."""

    title = "Beside the published numbers"

    def blocks(self, study: Study) -> Iterator[Block]:
        """A table, where the card has any."""
        table = side_by_side(study.results)
        if table.empty:
            return
        rows = [_row(row) for row in table.to_dict("records")]
        symbol = study.unit.symbol
        ours = ["what", "published", "ours", "95 %", "seeds", "where"]
        heads = ["cell", symbol, f"tested at {symbol}", *ours]
        yield Table("published", table, heads, rows, "lrrlrrlrl", stubs=3, title=self.title)
        told = (
            "Ours: the mean over seeds of the final loss or score, the share of trials solved, the "
            "median of the steps or training sequences until solved (never: ∞); with a bootstrap "
            "interval over seeds. In what this run deviates stands under the paper."
        )
        yield Text([told], "note")


def _row(row: dict[str, Any]) -> list[str]:
    theirs = row["words"] or _number(row["value"])
    within = f"{_number(row['low'])} to {_number(row['high'])}"
    return [
        row["cell"],
        str(row["length"]),
        str(row["evaluated_length"]),
        row["quantity"],
        theirs,
        _number(row["ours"]),
        DASH if pd.isna(row["low"]) else within,
        str(row["seeds"]),
        row["where"],
    ]


def _number(value: float) -> str:
    if pd.isna(value):
        return DASH
    if value == float("inf"):
        return "∞"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
