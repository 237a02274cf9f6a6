"""What the paper says, and what came out here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from seqbench.analysis.published import side_by_side
from seqbench.analysis.study import Study
from seqbench.reporting.blocks import Block, Entry, Table, Text
from seqbench.reporting.words import DASH

TITLE = "Beside the published numbers"
OURS = ["what", "published", "ours", "95 %", "seeds", "where"]
NOTE = (
    "Ours: the mean over seeds of the final loss or score, the share of trials solved, the "
    "median of the steps or training sequences until solved (never: ∞); with a bootstrap "
    "interval over seeds. In what a run deviates stands on its page, under the paper."
)


class Published:
    """The card's published numbers beside this run's."""

    title = TITLE

    def blocks(self, study: Study) -> Iterator[Block]:
        """A table, where the card has any."""
        table = side_by_side(study.results)
        if table.empty:
            return
        symbol = study.unit.symbol
        heads = ["cell", symbol, f"tested at {symbol}", *OURS]
        rows = [_row(row) for row in table.to_dict("records")]
        yield Table("published", table, heads, rows, "lrrlrrlrl", stubs=3, title=TITLE)
        yield Text([NOTE], "note")


def over_all(studies: Mapping[str, Study]) -> Iterator[Block]:
    """The same of several runs, by the names of their folders: a table, where a card has any."""
    found = {run: side_by_side(study.results) for run, study in studies.items()}
    found = {run: table for run, table in found.items() if len(table)}
    if not found:
        return
    table = pd.concat([one.assign(run=run) for run, one in found.items()])
    heads = ["run", "cell", "length", "tested at", *OURS]
    rows: list[list[str | Entry]] = [
        [Entry(row["run"], link=row["run"]), *_row(row)] for row in table.to_dict("records")
    ]
    yield Table("published", table, heads, rows, "llrrlrrlrl", stubs=4, title=TITLE)
    yield Text([NOTE], "note")


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
