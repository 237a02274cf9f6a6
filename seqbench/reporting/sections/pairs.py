"""Cells compared seed by seed: with the same seed all of them saw the same batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from seqbench.analysis.statistics import sign_test
from seqbench.analysis.study import Study
from seqbench.reporting.blocks import Block, Table, Text
from seqbench.reporting.words import DASH, count

STOPPED = "A trial that is solved ends there, with the loss that it has then. "


class Pairs:
    """Each cell against the card's first."""

    title = "Seed by seed"
    folded = True

    def blocks(self, study: Study) -> Iterator[Block]:
        """A table and how to read it; nothing where there is one cell."""
        table = study.paired
        if table.empty:
            return
        heads = [
            "cell",
            study.unit.symbol,
            "pairs",
            "sooner",
            "later",
            "level",
            "p",
            "loss, decades",
        ]
        most = int(table["pairs"].max())
        stopped = STOPPED if study.task.training.stop_when_solved else ""
        yield Text(
            [
                f"Each cell against {study.labels[0]}, on the seeds that both finished. Sooner: it "
                "solved the problem in fewer training steps, or alone. p: how often a fair coin "
                "would be as one-sided, ties left out (sign test, two-sided). Loss: the median of "
                "log10(its loss / the other's) at the end and, of 5 pairs or more, its 95 % "
                f"bootstrap interval; below 0 the cell's is lower. {stopped}"
                f"{count(len(table), 'comparison')}, none corrected for the others: "
                f"divided by their number, 0.05 is {0.05 / len(table):.2g}; of "
                f"{count(most, 'pair')} p is {sign_test(most, 0):.2g} or more."
            ],
            "note",
        )
        yield Table("pairs", table, heads, list(map(_row, table.itertuples())), "lrrrrrrr")


def _row(row: Any) -> list[str]:
    counts = (row.length, row.pairs, row.sooner, row.later, row.level)
    p = f"{row.p:.2g}" if row.sooner + row.later else DASH
    return [row.cell, *map(str, counts), p, _ratio(row)]


def _ratio(row: Any) -> str:
    if pd.isna(row.loss_ratio):
        return DASH
    texts = [row.loss_ratio, row.loss_ratio_low, row.loss_ratio_high]
    value, low, high = (f"{x:+.2f}".replace("-", "−") for x in texts)
    return value if pd.isna(row.loss_ratio_low) else f"{value} [{low}, {high}]"
