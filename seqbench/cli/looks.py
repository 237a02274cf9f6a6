"""Commands that look at what there is: cells, problems, names; nothing is trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from seqbench.cli import words
from seqbench.cli.help import at_least
from seqbench.cli.words import busy, changes, fitted
from seqbench.errors import InputError, printable

if TYPE_CHECKING:
    pass

UNDER = 16  # what a check says stands in this column

CellKind = Annotated[
    str | None,
    typer.Option(metavar="KIND", help="cell, or layer: those that take whole sequences."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="OPTION=VALUE",
        help="For the constructor, as in forget_bias=3. May be repeated.",
    ),
]
Figure = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write a figure: .png, .svg or .pdf.")
]


def flow(
    cells: Annotated[
        list[str],
        typer.Argument(
            metavar="CELL...",
            help="""Names or specs, or tables: '{ use = "lstm", forget_bias = 3 }'""",
        ),
    ],
    length: Annotated[
        int,
        typer.Option(
            metavar="T",
            help="Time steps of the sequence; layers of a network.",
            callback=at_least(1),
        ),
    ] = 400,
    hidden: Annotated[
        int, typer.Option(metavar="H", help="Hidden size.", callback=at_least(1))
    ] = 128,
    seed: Annotated[
        int,
        typer.Option(
            metavar="N", help="Of initialisation, inputs, cotangent.", callback=at_least(0)
        ),
    ] = 0,
    kind: CellKind = None,
    settings: Settings = None,
    out: Figure = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the data.")] = None,
) -> None:
    """How far back the gradient reaches in freshly initialised cells; nothing is trained.

    \b
    seqbench flow rnn gru lstm --length 100
    seqbench flow lstm '{ use = "lstm", forget_bias = 3 }'
    seqbench flow dense --length 50 --set activation=sigmoid
    """
    from seqbench.reporting import terminal
    from seqbench.reporting.flow_files import check_files, save
    from seqbench.sweep import apart

    cells = words.cells(cells)
    check_files(out, csv)
    busy(f"measuring {', '.join(cells)}, length {length:,}")
    seen = apart.untrained(
        cells,
        length=length,
        hidden_size=hidden,
        seed=seed,
        kind=kind,
        options=changes(settings or [], "option=value, as in forget_bias=3"),
    )
    terminal.print_flow(seen.table, seen.float32_zeros, seen.gates, seen.unreached)
    for path in save(seen.table, figure=out, csv=csv):
        print(path)


def check(
    cell: Annotated[str, typer.Argument(metavar="CELL", help="A name or a spec.")],
    kind: CellKind = None,
    input_size: Annotated[
        int, typer.Option("--input", metavar="N", help="Input size to try.", callback=at_least(1))
    ] = 3,
    hidden_size: Annotated[
        int, typer.Option("--hidden", metavar="N", help="Hidden size to try.", callback=at_least(1))
    ] = 8,
    settings: Settings = None,
) -> None:
    """Whether a cell keeps the contract; for each check that fails, what to do.

    \b
    seqbench check my.py:MyCell
    seqbench check my.py:MyLayer --kind layer --set depth=2
    """
    from seqbench.sweep.apart import examined

    sizes = {"input_size": input_size, "hidden_size": hidden_size}
    options = changes(settings or [], "option=value, as in forget_bias=3")
    _print_checks(cell, examined("examine", cell, kind=kind, **sizes, options=options))


def _print_checks(subject: str, results: Iterable[tuple[str, str]]) -> None:
    counts: Counter[str] = Counter()
    for status, text in results:
        for line in printable(text).splitlines():
            print(fitted(line, UNDER), flush=True)
        counts[status] += 1
    print(f"\n{subject}: " + ", ".join(f"{n} {status}" for status, n in counts.items()))
    if counts["failed"]:
        raise typer.Exit(1)


def check_problem(
    problem: Annotated[str, typer.Argument(metavar="PROBLEM", help="A name or a spec.")],
    length: Annotated[
        int,
        typer.Option(metavar="T", help="The length that it is tried with.", callback=at_least(1)),
    ] = 20,
    settings: Settings = None,
) -> None:
    """Whether a problem keeps the contract; for each check that fails, what to do.

    \b
    seqbench check-problem my.py:MyProblem
    seqbench check-problem adding --set protocol=early
    """
    from seqbench.sweep.apart import examined

    options = changes(settings or [], "option=value, as in protocol=early")
    results = examined("examine_problem", problem, length=length, options=options)
    _print_checks(problem, results)


def show(
    problem: Annotated[str, typer.Argument(metavar="PROBLEM", help="A name or a spec.")],
    length: Annotated[
        int, typer.Option(metavar="T", help="Its length.", callback=at_least(1))
    ] = 20,
    seed: Annotated[
        int, typer.Option(metavar="N", help="Which sequence.", callback=at_least(0))
    ] = 0,
    settings: Settings = None,
    out: Figure = None,
) -> None:
    """An example sequence of a problem: what is shown, what is asked, which steps that needs.

    \b
    seqbench show temporal_order --length 20
    seqbench show adding --seed 3 --out adding.png
    """
    from seqbench.reporting import example as picture
    from seqbench.reporting.flow_files import check_files
    from seqbench.sweep.apart import shown

    check_files(out, None)
    options = changes(settings or [], "option=value, as in protocol=early")
    sequence, baselines = shown(problem, length=length, seed=seed, options=options)
    print(printable(sequence.table().to_string(index=False)))
    print()
    for name, (loss, score) in baselines.items():
        print(printable(f"baseline, {name}: loss {loss:.4g}, score {score:.3g}"))
    if out is not None:
        picture.save(sequence, out, f"{problem}, T = {length}")
        print(out)


def list_(
    what: Annotated[
        str,
        typer.Argument(
            metavar="[KIND]",
            help="tasks, problems, cells, diagnostics or sections.",
            show_default="all of them",
        ),
    ] = "",
) -> None:
    """What there is by name.

    seqbench list cells
    """
    from seqbench import plugins
    from seqbench.card import task as cards
    from seqbench.problems import group

    kinds = ("tasks", "problems", "cells", "diagnostics", "sections")
    if what and what not in kinds:
        raise InputError(f"list {what}\nallowed: {', '.join(kinds)}")
    for kind in [what] if what else kinds:
        if not what:
            print(f"{kind}:")
        groups: dict[str, str] = {}  # name -> the heading that it stands under
        if kind == "tasks":
            loaded = {name: cards.load(name) for name in cards.bundled()}
            rows = {name: card.description for name, card in loaded.items()}
            groups = {name: group(card.problem.name) for name, card in loaded.items()}
        else:
            available = plugins.available(cast("plugins.Kind", kind))
            rows = {name: told for name, (_, told) in available.items()}
        if kind == "problems":
            groups = {name: group(name) for name in rows}
        width = max(map(len, rows), default=0)
        for heading in dict.fromkeys(groups.get(name, "") for name in rows):
            if heading:
                print(f" {heading}")
            for name, told in rows.items():
                if groups.get(name, "") == heading:
                    print(fitted(f"  {name:<{width}} {told}", width + 3))
