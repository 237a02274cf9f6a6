"""What was seen: sentences made by rule, no more than may be concluded (docs/concepts.md)."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from seqbench.analysis import depth, opening, rates
from seqbench.analysis.falling import Intervention, interventions
from seqbench.analysis.shapes import TRIAL, reference
from seqbench.analysis.study import Study
from seqbench.card.status import Status
from seqbench.card.task import PASSED
from seqbench.reporting.blocks import Fold, Text
from seqbench.reporting.words import FEW_SEEDS, count, decades, join

MANY = 6  # cells; more are not all named in a sentence
MORE = (
    "An option may change more than the flow: that cells differ in one alone does not make the "
    "flow the reason."
)
MEANT = (
    "(open: at least a thousandth of the output flow arrives from the median longest needed lag, "
    "median over seeds; solved: by at least half of the seeds)"
)
HOW_TO_READ = (
    "{symbol} is {length}. The output flow S(k) says how strongly "
    "the answer depends on the state k {many} earlier (the lag), as a power of ten relative to "
    "{reference}: −3 is a thousandth. It is measured on 32 sequences, the same for every cell, "
    "from an anchor, a step whose answer is scored. The needed lag is how far back lies what "
    "the answer needs. The flow counts as open where at least a thousandth arrives from there. "
    "A baseline is the loss of somebody with partial knowledge."
)


class Seen:
    """Who learns how far, who starts with an open flow, what came first; interventions."""

    title = "What was seen"

    def blocks(self, study: Study) -> list[Text | Fold]:
        """Sentences, and the words they use."""
        told = [longest_sentence(study), rates_sentence(study), flow_sentence(study)]
        told += [opening_sentence(study), depth_sentence(study), *intervention_sentences(study)]
        sentences = [one for one in told if one]
        unit = study.unit
        facts = {"symbol": unit.symbol, "length": unit.length, "many": unit.many}
        how = HOW_TO_READ.format(reference=reference(study.results), **facts)
        words = Fold("The words of this page", [Text([how], "note")])
        return [Text(sentences, "numbered"), words]


def longest_sentence(study: Study) -> str:
    """The longest length solved for every cell, and whether n allows to claim anything."""
    lengths, longest = study.task.lengths, study.longest
    if not study.comparison["finished"].any():
        return "No trial has finished, so nothing can be said of which lengths are solved."
    if len(lengths) == 1:
        told = _at_the_one_length(longest, study.unit.at(lengths[0]))
    else:
        each = [f"{row.cell} {_length_of(row)}" for row in longest.itertuples()]
        if len(each) > MANY:
            counts = Counter(_length_of(row) for row in longest.itertuples())
            each = [f"{found} with {count(n, 'cell')}" for found, n in counts.most_common()]
        told = (
            f"The longest {study.unit.symbol}, of {lengths[0]} to {lengths[-1]}, that at least "
            "half "
            f"of the seeds solved, and all shorter ones too: {join(each)}"
        )
    return f"{told}; {caution(study)}."


def _length_of(row: Any) -> str:
    if row.undecided:
        return f"at least {row.longest}" if row.longest else "not known yet"
    return str(row.longest or "none")


def _at_the_one_length(longest: pd.DataFrame, at: str) -> str:
    solved = longest["longest"] > 0
    open_yet = ~solved & longest["undecided"]
    yes, unknown = longest.loc[solved, "cell"].tolist(), longest.loc[open_yet, "cell"].tolist()
    no = longest.loc[~solved & ~open_yet, "cell"].tolist()
    told = [f"with {join(yes)}" if yes else "with no cell so far" if unknown else "with no cell"]
    told += [f"not with {join(no)}"] if no and (yes or unknown) else []
    told += [f"for {join(unknown)} it is not known yet"] if unknown else []
    return f"At {at}, the only length, at least half of the seeds solved it {join(told)}"


def caution(study: Study) -> str:
    """What the number of seeds allows."""
    seeds, fewest = int(study.comparison["seeds"].min()), int(study.comparison["finished"].min())
    unfinished = int(study.longest["unfinished"].sum())
    sure = "the 95 % intervals in the table say how certain each rate is"
    small = "n is too small to claim that cells differ"
    if unfinished:
        missing = f"{count(unfinished, 'trial')} without a result" + (
            f", so as few as {count(fewest, 'seed')} to a cell and length" if fewest else ""
        )
        return f"with {missing}, {small if fewest < FEW_SEEDS else sure}"
    more = "" if seeds == study.comparison["seeds"].max() else " or more"
    return f"with {count(seeds, 'seed')}{more}, {small if seeds < FEW_SEEDS else sure}"


def rates_sentence(study: Study) -> str:
    """Whose learning rate was chosen by chance; nothing where each was chosen by what it did."""
    cells = rates.by_chance(study.rates)
    if not cells:
        return ""
    return (
        f"While rates were chosen, none that was tried brought the loss of {join(cells)} below "
        f"{PASSED:g} of the reference baseline: chance chose, and what is not learned is said of "
        "that rate."
    )


def flow_sentence(study: Study) -> str:
    """At the largest length: who starts with an open flow, and who solves it."""
    told = study.started
    if told.empty:
        return (
            f"At {study.unit.at(max(study.task.lengths))} no trial left a usable record of the "
            "output flow at the needed lag before training."
        )
    length = int(told["length"].iloc[0])
    if len(told) == 1:
        (one,) = told.itertuples()
        how, what = (
            "an open" if one.open else "a closed",
            "solves" if one.solves else "does not solve",
        )
        return (
            f"At {study.unit.at(length)}, {one.cell} starts with {how} flow and {what} it {MEANT}."
        )
    parts = []
    for opened, how in ((True, "an open"), (False, "a closed")):
        mine = told[told["open"] == opened]
        if len(mine):
            solves = int(mine["solves"].sum())
            verb = "starts" if len(mine) == 1 else "start"
            which = f"{solves} of them {'solves' if solves == 1 else 'solve'} it"
            if len(mine) == 1:
                which = "solves it" if solves else "does not solve it"
            parts.append(f"{len(mine)} of {len(told)} cells {verb} with {how} flow and {which}")
    return f"At {study.unit.at(length)}, {'; '.join(parts)} {MEANT}."


def opening_sentence(study: Study) -> str:
    """In how many trials the flow was open before the loss fell, and open without a fall; nothing
    where no trial is long enough to tell."""
    seen = opening.counted(study.opening)
    n = seen["category"].value_counts().reindex(opening.CATEGORIES, fill_value=0)
    fell = int(n[opening.OPEN_FELL] + n[opening.CLOSED_FELL])
    stayed = int(n[opening.OPEN_STAYED] + n[opening.CLOSED_STAYED])
    if not fell + stayed:
        return ""
    more = len(opening.counted(study.results.trials)) - fell - stayed
    told = (
        f"At {study.unit.at(opening.SHORT)} or more the loss fell in {fell} of "
        f"{count(fell + stayed, 'trial')}"
    )
    if more:
        told += f" ({more:,} more left no usable record of the flow before training)"
    if fell:
        told += (
            "; the flow at the longest needed lag was open at the last record before that in "
            f"{n[opening.OPEN_FELL]}, at the next one in {opening.opened_between(seen).sum()} more"
        )
    if stayed:
        told += (
            f"; where it did not fall, the flow was open at some time in {n[opening.OPEN_STAYED]}"
        )
        told += f" of {stayed}"
        if diverged := _diverged(study, seen):
            told += f" ({diverged} diverged)"
    return f"{told} (an association, not a cause)."


def _diverged(study: Study, seen: pd.DataFrame) -> int:
    """How many of the trials whose loss did not fall had no time to."""
    stayed = seen[seen["category"].isin([opening.OPEN_STAYED, opening.CLOSED_STAYED])]
    ended = stayed.merge(study.results.trials[[*TRIAL, "status"]], on=TRIAL)["status"]
    return int((ended == Status.DIVERGED).sum())


def depth_sentence(study: Study) -> str:
    """How far apart the speeds of learning of the first and the last hidden layer are."""
    table = depth.speed_ratios(study.results).sort_values("start")
    table = table[np.isfinite(table["start"])]
    if table.empty:
        return ""
    least, most = table.iloc[0], table.iloc[-1]
    told = f"before training {_times(most.start)}"
    if len(table) > 1:
        told = (
            f"before training from {_times(least.start)} ({least.cell}, "
            f"{study.unit.at(least.length)}) to {_times(most.start)} ({most.cell}, "
            f"{study.unit.at(most.length)}), of {count(len(table), 'network')},"
        )
    elif np.isfinite(most.end):
        told += f", and {_times(most.end)} at step {most.step:,}, ({study.unit.at(most.length)})"
    return (
        f"The hidden layer next to the output learns {told} as fast as the one next "
        "to the input (speed of learning: the norm of the gradient of the mean loss with respect "
        "to a layer's biases; medians over seeds)."
    )


def _times(ratio: float) -> str:
    """111 times, or 2e+34 times."""
    return f"{ratio:,.3g} times"


def intervention_sentences(study: Study) -> list[str]:
    """One for each kind of cell of which some differ in one option alone, at the longest length;
    and what none of them says."""
    told = [_sentence(study, one) for one in interventions(study.task)]
    told = [sentence for sentence in told if sentence]
    return [*told, MORE] if told else []


def _sentence(study: Study, one: Intervention) -> str:
    rows = study.falls[study.falls["cell"].isin(list(one.values))].dropna(subset=["s_start"])
    rows = rows[rows["length"] == rows["length"].max()].set_index("cell")
    rows = rows.loc[[label for label in one.values if label in rows.index]]
    if len(rows) < 2:
        return ""
    values = [_value(one.values[label]) for label in rows.index]
    fell = [f"{row.fell}/{row.trials}" for row in rows.itertuples()]
    at = ["never" if math.isinf(value) else f"{value:,.0f}" for value in rows["fell_at"]]
    when = f"at the median steps {join(at)}" if set(at) != {"never"} else "in the median never"
    return (
        f"The {kind(one)} cells differ in {one.option} alone. At "
        f"{study.unit.at(rows['length'].iloc[0])} and "
        f"{one.option} {join(values)}, S at the median longest needed lag was, before training, "
        f"{join(decades(value) for value in rows['s_start'])}; the loss fell in {join(fell)} of "
        f"the trials, {when}."
    )


def _value(value: object) -> str:
    """An option's value; None is what the cell does by itself."""
    if value is None:
        return "default"
    return f"{value:g}".replace("-", "−") if type(value) in (int, float) else str(value)


def kind(one: Intervention) -> str:
    """The name of the class that was intervened on, without where it comes from."""
    return one.use.rpartition(":")[2]
