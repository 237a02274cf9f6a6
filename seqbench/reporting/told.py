"""What a report says, by rule, of interventions and of diagnostics that were silent."""

from __future__ import annotations

import math

from seqbench.analysis.falling import Intervention, interventions, rank_correlation
from seqbench.analysis.readings import silent
from seqbench.analysis.study import Study
from seqbench.reporting.words import count, join

MORE = "An option may change more than the flow, so this alone does not make the flow the reason."


def decades(value: float) -> str:
    """A level S: −8.1; −∞ where it is an exact zero."""
    if math.isinf(value):
        return "−∞" if value < 0 else "∞"
    return f"{value:.1f}".replace("-0.0", "0.0").replace("-", "−")


def intervention_sentences(tables: Study) -> list[str]:
    """One for each kind of cell of which some differ in one option alone, at the longest length."""
    told = [_sentence(tables, one) for one in interventions(tables.results.task)]
    told = [sentence for sentence in told if sentence]
    return [*told[:-1], f"{told[-1]} {MORE}"] if told else []


def _sentence(tables: Study, one: Intervention) -> str:
    rows = tables.falls[tables.falls["cell"].isin(list(one.values))].dropna(subset=["s_start"])
    rows = rows[rows["length"] == rows["length"].max()].set_index("cell")
    rows = rows.loc[[label for label in one.values if label in rows.index]]
    if len(rows) < 2:
        return ""
    values = [_value(one.values[label]) for label in rows.index]
    fell = [f"{row.fell}/{row.trials}" for row in rows.itertuples()]
    at = ["never" if math.isinf(value) else f"{value:,.0f}" for value in rows["fell_at"]]
    when = f"at the median steps {join(at)}" if set(at) != {"never"} else "in the median never"
    return (
        f"The {_kind(one)} cells differ in {one.option} alone. At T = {rows['length'].iloc[0]} and "
        f"{one.option} {join(values)}, S at the median longest needed lag was, before training, "
        f"{join(decades(value) for value in rows['s_start'])}; the loss fell in {join(fell)} of "
        f"the trials, {when}."
    )


def _value(value: object) -> str:
    """An option's value; None is what the cell does by itself."""
    if value is None:
        return "default"
    return f"{value:g}".replace("-", "−") if type(value) in (int, float) else str(value)


def _kind(one: Intervention) -> str:
    return one.use.rpartition(":")[2]


def fall_notes(tables: Study) -> list[str]:
    """How to read the table of falls, and rank correlations where there is an intervention."""
    notes = [
        "S at the median longest needed lag before training, in decades; in how many trials the "
        "loss fell, and at which step (no step: not in half of them); how many solved the problem. "
        "Medians over seeds."
    ]
    each = [
        text for one in interventions(tables.results.task) if (text := _correlations(tables, one))
    ]
    if each:
        notes.append(
            "Spearman's rank correlation of S there before training with the step of the fall "
            f"(never: last): {'; '.join(each)}. A description: the trials of one cell share its "
            "option, so they are no independent doses."
        )
    return notes


def _correlations(tables: Study, one: Intervention) -> str:
    trials = tables.marks[tables.marks["cell"].isin(list(one.values))]
    found = []
    for length, group in trials.groupby("length"):
        rho, n = rank_correlation(group)
        if not math.isnan(rho):
            number = f"{rho:+.2f}".replace("-", "−")
            found.append(f"{number} at T = {length} ({count(n, 'trial')})")
    return f"{_kind(one)} cells, {join(found)}" if found else ""


def silences(tables: Study) -> list[str]:
    """Which cells a diagnostic has no values of."""
    return [
        f"{diagnostic}: no values from {join(cells)}."
        for diagnostic, cells in silent(tables.readings, tables.results).items()
    ]
