"""How it was made: the paper, the cells, learning rates, versions, the card."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from seqbench.analysis import depth
from seqbench.analysis.comparison import without_folder
from seqbench.analysis.rates import at_the_edge, tried
from seqbench.analysis.study import Study
from seqbench.card.task import Task
from seqbench.reporting.blocks import Block, Fold, Table, Text
from seqbench.reporting.command import reproduce
from seqbench.reporting.words import DASH, count, join
from seqbench.results import Results

HEADS = ("cell", "what", "hidden size", "layers", "learning rate", "parameters", "options")


class Made:
    """All that is needed to run it again."""

    title = "What was run"
    folded = True

    def blocks(self, study: Study) -> Iterator[Block]:
        """Paper and deviations, cells, seconds, versions, the command, the card."""
        task, runs = study.task, study.results.parts or {"": study.results}
        for name, run in runs.items():
            yield from _words(run, f" of {name}" if name else "")
        yield Table("cells", study.cells, HEADS, cell_rows(study.cells), "llrrrrl", title="Cells")
        told = "(median)."
        if study.seconds.empty and study.results.parts:
            told = "are not compared: the runs were made by different machines or versions."
        yield Text([told], head="Seconds a trial")
        heads = ["cell", *map(study.unit.at, task.lengths)]
        yield Table(
            name="seconds",
            frame=study.seconds.reset_index(),
            heads=heads,
            rows=second_rows(study),
            align="l" + "r" * len(task.lengths),
            title="Seconds a trial",
        )
        if not study.rates.empty:
            yield Table("tuning", study.rates)
        for name, run in runs.items():
            yield from _again(run, f" of {name}" if name else "")


def _words(run: Results, of: str) -> Iterator[Text]:
    """Paper, deviations, learning rates."""
    if run.task.paper:
        yield Text([run.task.paper], head=f"Paper{of}.")
    if run.task.deviations:
        yield Text(run.task.deviations, "bullets", head=f"Deviations{of}.")
    yield Text([learning_rates(run)], head=f"Learning rate{of}.")


def _again(run: Results, of: str) -> Iterator[Block]:
    """Versions, machine, command, card."""
    for head, key in (("Versions", "versions"), ("Machine", "machine")):
        told = distinct(run.records, key)
        if told:
            yield Text([f"{'; '.join(told)}."], head=f"{head}{of}.")
    command, needs_card = reproduce(run.task)
    saved = ", with the card below saved under that name" if needs_card else ""
    yield Text([f"`{command}`{saved}"], head=f"Again{of}.")
    yield Fold(f"The card{of}, as it was resolved", [Text([card(run.task)], "verbatim")])


def cell_rows(table: pd.DataFrame) -> list[list[str]]:
    """What each cell was, in words."""
    return [
        [
            row.cell,
            row.use,
            str(row.hidden_size),
            str(row.layers),
            f"{row.learning_rate:g}",
            row.parameters or DASH,
            row.options or DASH,
        ]
        for row in table.itertuples()
    ]


def second_rows(study: Study) -> list[list[str]]:
    """Seconds of a trial, a row a cell and a column a length."""
    table = study.seconds.reindex(columns=study.task.lengths)
    return [
        [cell, *(DASH if pd.isna(value) else f"{value:,.1f}" for value in row)]
        for cell, row in zip(table.index, table.to_numpy(), strict=True)
    ]


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
    symbol = depth.unit(results).symbol
    seeds = range(tuning.first_seed, tuning.first_seed + tuning.seeds)
    return (
        f"Chosen for each cell from {join(f'{rate:g}' for rate in tuning.learning_rates)}: most "
        f"trials solved, then fewest training steps, then lowest loss, at {symbol} = "
        f"{join(tuning.lengths)} on "
        f"{'seed' if tuning.seeds == 1 else 'seeds'} {join(seeds)}, which the report does not "
        f"show otherwise; where the best lies at the edge, the next one beyond is tried too, up to "
        f"{count(tuning.widen, 'time')}. The choice: {each}. {_edges(results)}One rate for all "
        "lengths: what is compared is how far one setting goes. tuning.csv has every rate that was "
        "tried."
    )


def _edges(results: Results) -> str:
    """Whose best rate lies at the edge of its grid all the same."""
    edge = at_the_edge(tried(results))
    if not edge:
        return ""
    return f"At the edge all the same, so that a better one may lie beyond: {join(edge)}. "


def distinct(records: dict[str, dict], key: str) -> list[str]:
    """The different versions or machines, in words, each once."""
    told = [
        ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in record[key].items())
        for record in records.values()
        if record.get(key)
    ]
    return list(dict.fromkeys(told))


def card(task: Task) -> str:
    """The card, without the folders of somebody's files."""
    cells = [cell.model_copy(update={"use": without_folder(cell.use)}) for cell in task.cells]
    problem = task.problem.model_copy(update={"name": without_folder(task.problem.name)})
    return task.model_copy(update={"cells": cells, "problem": problem}).to_toml()
