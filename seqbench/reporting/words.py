"""What a report says of its numbers, by rule: no more than may be concluded (docs/concepts.md)."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd

from seqbench.analysis import opening
from seqbench.analysis.study import Study
from seqbench.card import task as cards
from seqbench.card.extend import differences, reopened
from seqbench.card.status import Status
from seqbench.card.task import PASSED, Task
from seqbench.results import Results

DASH = "–"
FEW_SEEDS = 5  # fewer allow no claim that cells differ
MANY = 6  # cells; more are not all named in a sentence


def join(words: Iterable[object]) -> str:
    """a, b and c; where one has a comma of its own: a; b, c; and d."""
    *first, last = [str(word) for word in words] or [""]
    if first and any(", " in word for word in (*first, last)):
        return f"{'; '.join(first)}; and {last}"
    return f"{', '.join(first)} and {last}" if first else last


def count(n: int, thing: str) -> str:
    """1 trial, 2 trials."""
    return f"{n:,} {thing}" if n == 1 else f"{n:,} {thing}s"


def steps(value: float) -> str:
    """A number of steps: 0.58, 3.4, 41, 1,200."""
    if value < 1:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 9.95 else f"{value:,.0f}"


def reach(value: float, low: float, largest_lag: float) -> str:
    """A half-life or horizon, a median over seeds that may be infinite.

    Args:
        low: the lower of the two middle values, finite where one seed is inside and one outside.
    """
    if math.isnan(value):
        return DASH
    if math.isfinite(value):
        return steps(value)
    beyond = f"≥ {largest_lag:,.0f}"
    return f"{steps(low)} and {beyond}" if math.isfinite(low) else beyond


def reach_of(row: pd.Series, name: str, at: str) -> str:
    """The same, from a row of the comparison."""
    return reach(row[f"{name}_{at}"], row[f"{name}_{at}_low"], row["largest_lag"])


def percent(share: float) -> str:
    """0.34 -> 34."""
    return f"{100 * share:.0f}"


def what_was_run(results: Results) -> str:
    """One sentence: problem, protocol, cells, lengths, seeds, and how the trials ended."""
    task, statuses = results.task, results.trials["status"].value_counts()
    options = ", ".join(f"{key} {value}" for key, value in task.problem.options.items())
    ended = [f"{int(statuses[one]):,} {one.word}" for one in Status if one in statuses]
    lengths = "length" if len(task.lengths) == 1 else "lengths"
    name = task.problem.name.rpartition(":")[2]
    return (
        f"The {name} problem{f' ({options})' if options else ''}; cells "
        f"{join(cell.label for cell in task.cells)}; {lengths} {join(task.lengths)}; "
        f"{count(task.seeds, 'seed')} each. {count(len(results.trials), 'trial')} of at most "
        f"{task.training.steps:,} steps: {join(ended)}.{truncation(task)}"
    )


def truncation(task: Task) -> str:
    """A sentence that the gradient was cut off, since that changes what is learned; or nothing."""
    windows, segment = task.training.truncate, task.training.segment
    if not windows:
        return ""
    each = "chosen by rule" if segment == "auto" else f"of {count(segment, 'step')}"
    return (
        " Truncated back-propagation: in training no gradient was handed on between windows of "
        f"{count(windows, 'segment')} {each}, counted from the end of the sequence; the measured "
        "flow is not truncated."
    )


def what_was_seen(tables: Study) -> list[str]:
    """Three sentences: who learns how far, the flow at the start and the end, what came first."""
    return [longest_sentence(tables), flow_sentence(tables), opening_sentence(tables)]


def longest_sentence(tables: Study) -> str:
    """The longest length solved for every cell, and whether n allows to claim anything."""
    lengths, longest = tables.results.task.lengths, tables.longest
    if not tables.comparison["finished"].any():
        return "No trial has finished, so nothing can be said of which lengths are solved."
    if len(lengths) == 1:
        told = _at_the_one_length(longest, lengths[0])
    else:
        each = [f"{row.cell} {_length_of(row)}" for row in longest.itertuples()]
        if len(each) > MANY:
            by_length: dict[str, list[str]] = {}
            for row in longest.itertuples():
                by_length.setdefault(_length_of(row), []).append(row.cell)
            each = [f"{found} ({join(cells)})" for found, cells in by_length.items()]
        told = (
            f"The longest T, of {lengths[0]} to {lengths[-1]}, that at least half of the seeds "
            f"solved, and all shorter ones too: {join(each)}"
        )
    return f"{told}; {caution(tables)}."


def _length_of(row) -> str:
    if row.undecided:
        return f"at least {row.longest}" if row.longest else "not known yet"
    return str(row.longest or "none")


def _at_the_one_length(longest: pd.DataFrame, length: int) -> str:
    solved = longest["longest"] > 0
    open_yet = ~solved & longest["undecided"]
    yes, unknown = longest.loc[solved, "cell"].tolist(), longest.loc[open_yet, "cell"].tolist()
    no = longest.loc[~solved & ~open_yet, "cell"].tolist()
    told = [f"with {join(yes)}" if yes else "with no cell so far" if unknown else "with no cell"]
    told += [f"not with {join(no)}"] if no and (yes or unknown) else []
    told += [f"for {join(unknown)} it is not known yet"] if unknown else []
    return f"At T = {length}, the only length, at least half of the seeds solved it {join(told)}"


def caution(tables: Study) -> str:
    """What the number of seeds allows."""
    seeds, fewest = tables.results.task.seeds, int(tables.comparison["finished"].min())
    unfinished = int(tables.longest["unfinished"].sum())
    sure = "the 95 % intervals in the table say how certain each rate is"
    small = "n is too small to claim that cells differ"
    if unfinished:
        missing = f"{count(unfinished, 'trial')} without a result" + (
            f", so as few as {count(fewest, 'seed')} to a cell and length" if fewest else ""
        )
        return f"with {missing}, {small if fewest < FEW_SEEDS else sure}"
    return f"with {count(seeds, 'seed')}, {small if seeds < FEW_SEEDS else sure}"


def flow_sentence(tables: Study) -> str:
    """The horizon at the longest length with a record, at the start and at the end."""
    table = tables.comparison
    known = table[(table["flow_start"] > 0) & (table["flow_end"] > 0)]
    if known.empty:
        return "No trial left a usable record of the output flow at the start and at the end."
    rows = known[known["length"] == known["length"].max()]
    told = {at: _horizons(rows, at) for at in ("start", "end")}
    return (
        f"At T = {rows['length'].iloc[0]} the output flow had, before any training, fallen to a "
        f"thousandth at lag {told['start']}, and at the end of training at {told['end']} (medians "
        "over seeds); the flow at initialisation alone does not tell who learns."
    )


def _horizons(rows: pd.DataFrame, at: str) -> str:
    """Each cell's; of many, the lowest and the highest."""
    each = rows.sort_values(f"horizon_1e-3_{at}", kind="stable") if len(rows) > MANY else rows
    shown = [f"{reach_of(row, 'horizon_1e-3', at)} ({row['cell']})" for _, row in each.iterrows()]
    return f"{shown[0]} to {shown[-1]}" if len(rows) > MANY else join(shown)


def opening_sentence(tables: Study) -> str:
    """How often the flow opened before, after or without the loss falling."""
    n = tables.opening["category"].value_counts().reindex(opening.CATEGORIES, fill_value=0)
    total = int(n.sum()) - int(n[opening.UNKNOWN])
    if not total:
        return "No trial has the records that tell whether the flow opened before the loss fell."
    stayed = int(n[[opening.ONLY_OPENED, opening.NEITHER, opening.OPEN_STAYED]].sum())
    told = f"The loss fell in {total - stayed} of {count(total, 'trial')}"
    if total > stayed:
        when = [f"before that in {n[opening.BEFORE]}", f"after it in {n[opening.AFTER]}"]
        if n[opening.BETWEEN]:
            when.append(f"between the same two records in {n[opening.BETWEEN]}")
        when.append(f"not at all in {n[opening.ONLY_FELL]}")
        told += f": the flow at the longest needed lag opened {join(when)}"
        if n[opening.OPEN_FELL]:
            told += f"; in {n[opening.OPEN_FELL]} it was open before any training"
    if stayed:
        opened = n[opening.ONLY_OPENED]
        told += f"; where the loss did not fall, the flow opened in {opened} of {stayed}"
        if n[opening.OPEN_STAYED]:
            told += f" and was open before any training in {n[opening.OPEN_STAYED]}"
    return f"{told} (an association, not a cause)."


def rule() -> str:
    """The rule behind the third sentence."""
    return (
        f"Open: at the median longest needed lag, S is at least −{-opening.OPEN:g} (a thousandth "
        f"of the flow at lag 0 arrives); if it was below that at step 0, it must also have risen "
        f"by at least {opening.RISE:g} decade. Fallen: the first evaluation whose loss is below "
        f"{PASSED:g} of the reference baseline, the first one in the learning curves. The "
        "flow is known at the recorded steps only, so what happened between two of them can't be "
        "ordered."
    )


def how_to_read() -> str:
    """The words of the page, for who has read nothing else."""
    return (
        "How to read this: T is the length of the problem. The output flow S(k) says how strongly "
        "the answer depends on the state k steps earlier (the lag), as a power of ten relative to "
        "lag 0: −3 is a thousandth. It is measured on 32 sequences, the same for every cell, "
        "from an anchor, a step whose answer is scored. The needed lag is how far back lies what "
        "the answer needs. The flow counts as open where at least a thousandth arrives from there. "
        "A baseline is the loss of somebody with partial knowledge."
    )


def changes(task: Task) -> str:
    """What a run has changed of the bundled card of its name; empty if nothing."""
    path = cards.bundled().get(task.name)
    if path is None:
        return ""
    card = cards.load(task.name)
    task = reopened(task, card)
    changed = [name for name in ("lengths", "seeds", "cells")
               if getattr(card, name) != getattr(task, name)]  # fmt: skip
    changed += [key for key, _, _ in differences(card, task)]
    if not changed:
        return ""
    return (
        f"This run differs from the bundled card in {join(changed)}; the description and the "
        "deviations are the bundled card's."
    )


def learning_rates(results: Results) -> str:
    """One rate for all, or each cell's own, and how they were chosen."""
    training, tuning = results.task.training, results.task.tuning
    rates = {
        cell.label: cell.learning_rate or training.learning_rate for cell in results.task.cells
    }
    each = join(f"{rate:g} ({cell})" for cell, rate in rates.items())
    if tuning is None and len(set(rates.values())) == 1:
        return f"One learning rate for all cells: {next(iter(rates.values())):g}."
    if tuning is None:
        return f"A learning rate for each cell: {each}."
    seeds = range(tuning.first_seed, tuning.first_seed + tuning.seeds)
    return (
        f"Chosen for each cell from {join(f'{rate:g}' for rate in tuning.learning_rates)}: most "
        f"trials solved, then fewest steps, then lowest loss, at T = {join(tuning.lengths)} on "
        f"{'seed' if tuning.seeds == 1 else 'seeds'} {join(seeds)}, which the report does not "
        f"show otherwise. The choice: {each}. tuning.csv has every rate that was tried."
    )


def measured_where(tables: Study) -> str:
    """Which anchor and which layer the page shows, where there is a choice."""
    told, needs = [], tables.needs
    anchors = needs.groupby("length")["anchor"].nunique()
    if (anchors > 1).any():
        last = needs.groupby("length")["anchor"].max()
        steps_told = join(f"{anchor} at T = {length}" for length, anchor in last.items())
        told.append(
            f"There are {anchors.max()} anchors; this page shows the last (step {steps_told}), "
            "flow_read_off.csv has all."
        )
    if any(cell.layers > 1 for cell in tables.results.task.cells):
        told.append("Of a stack, the flow into the state of the top layer is shown.")
    return " ".join(told)
