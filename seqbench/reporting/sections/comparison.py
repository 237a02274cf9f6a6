"""The comparison of cells by length: a group of lines a cell, a column a length."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from seqbench.analysis.study import Study
from seqbench.card.status import WITHOUT, Status
from seqbench.reporting.blocks import Block, Fold, Table, Text
from seqbench.reporting.terminal import errors
from seqbench.reporting.words import DASH, FEW_SEEDS, join, percent, reach_of

MANY_ERRORS = 8  # more are folded


class Comparison:
    """How many seeds solved it, how soon, how much was right, how far the flow reaches."""

    title = "Comparison"
    folded = True

    def blocks(self, study: Study) -> Iterator[Block]:
        """The table, how to read it, and what has no result."""
        lengths = study.task.lengths
        rows = [row for cell in study.labels for row in lines(study.comparison, cell)]
        heads = ["cell", "", *map(study.unit.at, lengths)]
        align = "ll" + "r" * len(lengths)
        yield Table(
            "comparison",
            study.comparison,
            heads,
            rows,
            align,
            stubs=2,
            title="Comparison of cells by length",
        )
        yield Text(notes(study, rows), "note")
        yield Table("longest_length_solved", study.longest)
        yield Table("trials", study.results.trials)
        told = errors(study.results)
        if told:
            head, bullets = f"Trials without a result: {len(told)}", Text(told, "bullets")
            if len(told) > MANY_ERRORS:
                yield Fold(head, [bullets])
            else:
                yield from (Text([head]), bullets)


def lines(table: pd.DataFrame, cell: str) -> list[list[str]]:
    """A cell's rows."""
    each = [row for _, row in table[table["cell"] == cell].sort_values("length").iterrows()]
    told = {
        "solved by": [solved(row) for row in each],
        "otherwise": [otherwise(row) for row in each],
        "95 % interval, %": [interval(row) for row in each],
        "median steps": [median_steps(row) for row in each],
        "learned at the end, %": [share(row, "share_learned") for row in each],
        "right at the end, %": [share(row, "score") for row in each],
        "half-life": [both_ends(row, "half_life") for row in each],
        "horizon(1e-3)": [both_ends(row, "horizon_1e-3") for row in each],
    }
    for name in ("otherwise", "learned at the end, %"):
        if all(text == DASH for text in told[name]):
            del told[name]
    return [[cell, name, *texts] for name, texts in told.items()]


def solved(row: pd.Series) -> str:
    """ "● 2/2": of how many seeds, with a sign that needs no colour."""
    if not row["finished"]:
        return DASH
    share = row["solved"] / row["seeds"]
    sign = "●" if share == 1 else "◐" if share > 0 else "○"
    return f"{sign} {row['solved']:.0f}/{row['seeds']:.0f}"


def interval(row: pd.Series) -> str:
    """The Wilson interval."""
    if not row["finished"]:
        return DASH
    return f"{percent(row['solved_low'])}–{percent(row['solved_high'])}"


def median_steps(row: pd.Series) -> str:
    """The median number of steps to solve, infinite or not."""
    value = row["steps_to_solve"]
    if not row["finished"]:
        return DASH
    return "∞" if value == float("inf") else f"{value:,.0f}"


def share(row: pd.Series, name: str) -> str:
    """A share at the end of training."""
    return DASH if pd.isna(row.get(name)) else percent(row[name])


def both_ends(row: pd.Series, name: str) -> str:
    """A reading at the start and at the end."""
    told = [reach_of(row, name, at) for at in ("start", "end")]
    start, end = (text.replace(" and ≥", " / ≥") for text in told)
    return DASH if start == end == DASH else f"{start} → {end}"


def otherwise(row: pd.Series) -> str:
    """What became of trials that neither solved nor spent their budget."""
    told = [f"{row[name]} {name}" for name in (Status.DIVERGED, *WITHOUT) if row[name]]
    return ", ".join(told) or DASH


def notes(study: Study, rows: list[list[str]]) -> list[str]:
    """How to read the table."""
    table = study.comparison
    told = [
        f"Half-life and horizon(1e-3): the lag, in {study.unit.many}, at which the output flow has "
        "fallen to a half and to a thousandth, at the start → at the end of training; median over "
        "seeds. "
        "≥ K: not within the largest lag K.",
        "Median steps: of training, the evaluation from which a trial counts as solved; an "
        "unsolved trial is ∞. The interval is Wilson's 95 %, over the trials that finished. "
        "Right at the end: share of answers, mean of the last three evaluations, median over "
        "seeds.",
    ]
    if any(" / ≥" in text for row in rows for text in row[2:]):
        told.append("Two values, as in 15 / ≥ 100: the two middle seeds, one within K and one not.")
    if (table["finished"] < table["seeds"]).any():
        told.append(
            f"Out of {study.task.seeds}: all seeds of the card; a trial that was interrupted or "
            "ended in an error has no result and is in no median."
        )
    if table["finished"].min() < FEW_SEEDS:
        told.append(f"Fewer than {FEW_SEEDS} seeds: n is too small to claim that cells differ.")
    return [*told, *filter(None, [measured_where(study)])]


def measured_where(study: Study) -> str:
    """Which anchor and which layer the page shows, where there is a choice."""
    told, needs = [], study.needs
    anchors = needs.groupby("length")["anchor"].nunique()
    if (anchors > 1).any():
        last = needs.groupby("length")["anchor"].max()
        steps_told = join(f"{anchor} at {study.unit.at(length)}" for length, anchor in last.items())
        told.append(
            f"There are {anchors.max()} anchors; this page shows the last (step {steps_told}), "
            "flow_read_off.csv has all."
        )
    if any(cell.layers > 1 for cell in study.task.cells):
        told.append("Of a stack, the flow into the state of the top layer is shown.")
    return " ".join(told)
