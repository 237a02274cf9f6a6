"""One page over runs of several problems: how far each cell gets, the flow, the way to each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import pandas as pd

from seqbench.analysis import overview
from seqbench.analysis.study import Study
from seqbench.analysis.unit import Unit
from seqbench.problems import GROUPS, group
from seqbench.reporting import problems_map, scatter, story
from seqbench.reporting.blocks import Block, Document, Entry, Figure, Part, Spark, Table, Text
from seqbench.reporting.sections import published
from seqbench.reporting.words import DASH, count, join, percent

LOW, HIGH = -9.0, 1.0  # decades that a small picture shows
MANY_POINTS = 40  # of a line
NOTE = (
    "The longest length that at least half of the seeds solved, and all shorter ones of the card "
    "too; of which lengths stands under the problem. Where there is none: what was learned, over "
    "all "
    "lengths and seeds (0 %: as much as somebody earns who knows nothing; right: the share of "
    "answers). Under it the output flow S(k) at the longest length against the lag k, dashed "
    "before training, solid at the end, from 10 down to a billionth; dotted: a thousandth; shaded: "
    "the lags that the answer needs. A click on an entry leads to its report."
)


def document(studies: Mapping[str, Study]) -> Document:
    """The page, of runs by the names of their folders."""
    ordered = {run: studies[run] for run in sorted(studies, key=lambda run: _place(studies[run]))}
    table, cells = overview.reached(ordered), overview.common_cells(ordered)
    points, reached = overview.points(ordered), overview.lengths_reached(ordered)
    parts = [
        Part("", [Text([_what_was_run(ordered, table)], "note")]),
        Part("Which problem, which cell?", list(_matrix(ordered, table, cells))),
        Part(published.TITLE, list(published.over_all(ordered))),
        Part(scatter.TITLE, list(_scatter(reached, points))),
        Part("What was run", [_runs(ordered, table)], folded=True),
    ]
    lead = "Each problem asks a cell to remember something else. How far does each cell get?"
    facts = f"{count(len(ordered), 'problem')}, {count(len(table), 'cell')} in all."
    return Document(title(ordered), lead, facts, [part for part in parts if part.blocks])


def title(studies: Mapping[str, Study]) -> str:
    """Of the page."""
    return count(len(studies), "problem")


def _place(study: Study) -> int:
    return [*GROUPS, "others"].index(group(study.task.problem.name))


def _what_was_run(studies: Mapping[str, Study], table: pd.DataFrame) -> str:
    trials, finished = int(table["trials"].sum()), int(table["finished"].sum())
    solved = table.groupby("run")["longest"].max() > 0
    missing = f", of which {trials - finished:,} have no result yet" if finished < trials else ""
    return (
        f"{count(len(studies), 'problem')}, {count(trials, 'trial')}{missing}. On "
        f"{int(solved.sum())} of {len(solved)} problems some cell solved the card's shortest "
        "length, with at least half of the seeds, within the budget."
    )


def _matrix(studies: Mapping[str, Study], table: pd.DataFrame, cells: list[str]) -> Iterator[Block]:
    others = any(set(study.labels) - set(cells) for study in studies.values())
    heads = ["problem", *cells, *(["best of the others"] if others else [])]
    rows = []
    for run, study in studies.items():
        mine = table[table["run"] == run].set_index("cell")
        told = story.data(study)
        entries = [
            _entry(mine.loc[c], told, study.unit, run) if c in mine.index else DASH for c in cells
        ]
        rows.append(
            [
                _head(run, mine, study.unit),
                *entries,
                *([_best(mine, cells, run, study.unit)] if others else []),
            ]
        )
    groups = [group(study.task.problem.name) for study in studies.values()]
    title = "The longest length solved, by problem and cell"
    yield Table("overview", table, heads, rows, "l" * len(heads), title=title, groups=groups)
    yield Text([NOTE], "note")
    flows = {run: story.data(study) for run, study in studies.items()}
    plot = partial(problems_map.draw, table, flows, cells)
    yield Figure("overview", "The same as a picture", problems_map.CAPTION, plot)


def _head(run: str, mine: pd.DataFrame, unit: Unit) -> Entry:
    """A problem: its name, its lengths, and whether something is missing."""
    row = mine.iloc[0]
    low, high = row["shortest"], row["length"]
    lengths = unit.at(low) if low == high else f"{unit.at(low)} to {high}"
    trials, finished = int(mine["trials"].sum()), int(mine["finished"].sum())
    partial_run = f"; {finished} of {trials} trials" if finished < trials else ""
    return Entry(run, f"{lengths}{partial_run}", link=run)


def _entry(row: pd.Series, told: story.Story | None, unit: Unit, run: str) -> Entry:
    text, detail = problems_map.reached(row, unit)
    value = float(row["share"]) if row["longest"] else -1 + float(np.nan_to_num(row["learned"]))
    return Entry(text, detail, _hint(row), value, link=run, spark=spark(told, str(row.name)))


def _hint(row: pd.Series) -> str:
    learned = DASH if pd.isna(row["learned"]) else f"{percent(row['learned'])} %"
    if not pd.isna(row["learned_low"]):
        learned += f" [{percent(row['learned_low'])}, {percent(row['learned_high'])}]"
    return (
        f"{percent(row['share'])} % of the lengths solved; {row['what']}: {learned}; "
        f"{row['finished']:.0f} of {row['trials']:.0f} trials finished; S at the needed lag "
        f"{row['needed_lag']:g}: {row['s_start']:.1f} before, {row['s_end']:.1f} after training"
    ).replace("nan", DASH)


def _best(mine: pd.DataFrame, cells: list[str], run: str, unit: Unit) -> Entry | str:
    rest = mine[~mine.index.isin(cells)].sort_values(["longest", "learned"], ascending=False)
    if rest.empty:
        return DASH
    text, _ = problems_map.reached(rest.iloc[0], unit)
    return Entry(text, f"{rest.index[0]}, of {len(rest)}", link=run)


def spark(told: story.Story | None, cell: str) -> Spark | None:
    """The flow of a cell as a small picture; None where there is no record."""
    if told is None or cell not in set(told.flow["cell"]):
        return None
    end = float(told.flow["lag"].max()) or 1.0
    needs = told.needs[told.needs["anchor"] == told.needs["anchor"].max()]
    band = None if needs.empty else (needs["low"].min() / end, min(1.0, needs["high"].max() / end))
    mine = told.flow[told.flow["cell"] == cell]
    before, after = (_points(mine[mine["at"] == at], end) for at in ("start", "end"))
    return Spark(before, after, band, height(story.OPEN))


def _points(line: pd.DataFrame, end: float) -> list[tuple[float, float]]:
    chosen = np.unique(np.linspace(0, len(line) - 1, MANY_POINTS).round()).astype(int)
    rows = line.sort_values("lag").iloc[chosen if len(line) else []]
    return [(row.lag / end, height(row.s)) for row in rows.itertuples()]


def height(s: float) -> float:
    """A level as a share of the small picture's height."""
    return (min(max(s, LOW), HIGH) - LOW) / (HIGH - LOW)


def _scatter(reached: pd.DataFrame, points: pd.DataFrame) -> Iterator[Block]:
    if len(points) < scatter.LEAST:
        return
    plot = partial(scatter.draw, reached, points)
    yield Figure("predicts", scatter.TITLE, scatter.caption(reached, points), plot)
    (far, of_far), (often, of_often) = (
        overview.concordance(reached, "reached"),
        overview.concordance(points),
    )
    if of_far or of_often:
        yield Text(
            [
                "Problems differ in how hard they are, and in the lag that they need, which moves "
                "both numbers. Of two cells at the same problem, where both numbers differ, the "
                "one with the more open flow before training solved the longer lengths in "
                f"{far} of {count(of_far, 'pair')}; of two at the same problem and length, it was "
                f"solved by more seeds in {often} of {count(of_often, 'pair')} (half of them by "
                f"chance; all pairs are of {count(points['cell'].nunique(), 'cell')}, so they are "
                "not independent)."
            ]
        )
    yield Table("predicts", points)
    yield Table("longest_predicted", reached)


def _runs(studies: Mapping[str, Study], table: pd.DataFrame) -> Table:
    heads = ["run", "what is asked", "needed lag", "seeds", "training steps at most", "cells"]
    rows: list[list[str | Entry]] = []
    for run, study in studies.items():
        need = table.loc[table["run"] == run, "needed_lag"].iloc[0]
        told = DASH if math.isnan(need) else f"{need:g} at {study.unit.at(max(study.task.lengths))}"
        asked = study.task.description or study.task.problem.name
        size = [str(study.task.seeds), f"{study.task.training.steps:,}"]
        labels = study.labels
        named = join(labels) if len(labels) <= overview.MOST else count(len(labels), "cell")
        rows.append([Entry(run, link=run), asked, told, *size, named])
    return Table(heads=heads, rows=rows, align="llrrrl", title="What was run")
