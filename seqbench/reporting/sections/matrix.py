"""The first screen: which cell at which length, how sure, and the flow beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import pandas as pd

from seqbench.analysis.study import Study
from seqbench.analysis.unit import STEPS
from seqbench.reporting import story
from seqbench.reporting.blocks import Block, Entry, Figure, Table, Text
from seqbench.reporting.sections.comparison import interval, solved
from seqbench.reporting.words import DASH, count, percent

SIGNS = (
    "● all seeds solved it, ◐ some, ○ none; of how many. Under it, medians over seeds: the "
    "training steps to solve, or, where that is infinite, what was learned by the end of the "
    "budget. The 95 % interval of each share stands under Comparison, and here when you point at "
    "it."
)


class Matrix:
    """Cell by length, the story in a picture, what the problem asks."""

    title = "Which cell at which length?"
    beside = True

    def blocks(self, study: Study) -> Iterator[Block]:
        """A table and two figures."""
        heads = ["cell", *map(study.unit.at, study.task.lengths)]
        cells = study.task.cells
        groups = [cell.group or "" for cell in cells] if any(c.group for c in cells) else []
        yield Table(
            name="matrix",
            frame=signs(study),
            heads=heads,
            rows=rows(study),
            groups=groups,
            align="l" * len(heads),
            title="Seeds that solved it, by cell and length",
        )
        yield Text([SIGNS], "note")
        told = story.data(study)
        if told is not None:
            plot = partial(story.draw, told, study.labels)
            yield Figure("story", story.title(told), story.caption(told), plot)
        needs = study.needs
        if not needs.empty and study.unit == STEPS:  # in depth all is shown at once
            longest = needs[needs["length"] == needs["length"].max()]
            plot = partial(story.draw_problem, longest)
            yield Figure("problem", "What the problem asks", story.problem_caption(longest), plot)


def rows(study: Study) -> list[list[str | Entry]]:
    """A cell's entries, shortest length first."""
    rows = {(row["cell"], row["length"]): row for _, row in study.comparison.iterrows()}
    lengths = study.task.lengths
    return [
        [cell, *(_entry(rows.get((cell, length))) for length in lengths)] for cell in study.labels
    ]


def signs(study: Study) -> pd.DataFrame:
    """The same as a file: cell and, for each length, how many of its seeds solved it."""
    table = study.comparison
    told = table.assign(told=[solved(row) for _, row in table.iterrows()])
    wide = told.pivot(index="cell", columns="length", values="told").reindex(study.labels)
    return wide.add_prefix("T=").reset_index()


def _entry(row: pd.Series | None) -> Entry:
    if row is None:
        return Entry(DASH, hint="not among what was run", value=-2.0)
    if not row["finished"]:
        return Entry(DASH, hint="no trial has finished", value=-1.0)
    at, share = row["steps_to_solve"], row["solved"] / row["seeds"]
    learned = learned_of(row)
    detail = f"{at:,.0f} training steps" if math.isfinite(at) else learned
    hint = (
        f"solved by {row['solved']:.0f} of {count(int(row['seeds']), 'seed')} "
        f"(95 % interval {interval(row)} %); median training steps "
        f"{f'{at:,.0f}' if math.isfinite(at) else '∞'}; {learned}"
    )
    least = 0.0 if pd.isna(row["score"]) else float(row["score"])
    return Entry(solved(row), detail, hint, 10 * share + (1 / (1 + at)) + least / 1e3)


def learned_of(row: pd.Series) -> str:
    """ "43 % learned", or of a problem that does not say what that means, "43 % right"."""
    for name, word in (("share_learned", "learned"), ("score", "right")):
        if name in row and pd.notna(row[name]):
            return f"{percent(row[name])} % {word}"
    return ""
