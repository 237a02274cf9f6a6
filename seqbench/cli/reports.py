"""Commands that write about runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seqbench.cli.words import busy
from seqbench.errors import say


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Folders of runs, or names of references."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where to write it.", show_default="RUN/report"),
    ] = None,
    sections: Annotated[
        list[str] | None,
        typer.Option(
            "--section", metavar="SPEC", help="One more: module:Class or file.py:Class. Repeatable."
        ),
    ] = None,
    latex: Annotated[
        bool, typer.Option("--latex", help="Tables in LaTeX and figures as PDF too.")
    ] = False,
    svg: Annotated[bool, typer.Option("--svg", help="Figures as SVG too.")] = False,
) -> None:
    """Write a page, tables and figures that compare the cells of one run or several.

    Runs of one problem share a page; runs of several problems get a page each, and one over all.

    \b
    seqbench report runs/adding
    seqbench report runs/adding runs/mine --out both --latex
    """
    from seqbench import report as write
    from seqbench.results.reference import find

    opened = [find(path) for path in runs]
    busy(f"drawing tables and figures of {sum(len(one.trials) for one in opened)} trials")
    print(write(opened, out, sections=sections or [], latex=latex, svg=svg))


def gallery(
    reports: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder of reports.")],
) -> None:
    """Write a README.md that leads to every report in a folder, with a picture of each.

    seqbench gallery reports
    """
    from seqbench.reporting.gallery import gallery as write

    print(write(reports))


def cite(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Folders of runs, or names of references."),
    ],
) -> None:
    """What to cite for the problems, cells and measures of a run, as BibTeX.

    seqbench cite runs/adding > used.bib
    """
    from seqbench.reporting.citations import bibtex
    from seqbench.results.reference import find

    print(bibtex([find(path).task for path in runs]), end="")


def diff(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="The folder of a run.")],
    after: Annotated[
        Path, typer.Argument(metavar="AFTER", help="Of another, of the same problem.")
    ],
    allow: Annotated[
        float | None,
        typer.Option(
            metavar="DECADES", help="Exit with 1 where a loss grew by more, or less was solved."
        ),
    ] = None,
) -> None:
    """What changed between two runs of the same problem, seed by seed.

    seqbench diff runs/before runs/after --allow 0.5
    """
    from seqbench import load
    from seqbench.analysis.difference import difference, exceeded
    from seqbench.reporting.terminal import print_difference

    table = difference(load(before), load(after))
    print_difference(table)
    worse = table[:0] if allow is None else exceeded(table, allow)
    for row in worse.itertuples():
        say(f"seqbench: {row.cell} T={row.length}: more than was allowed")
    if len(worse):
        raise typer.Exit(1)


def table(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs.")],
    length: Annotated[
        int | None, typer.Option(metavar="T", help="This length alone.", show_default="all")
    ] = None,
    sort: Annotated[
        str, typer.Option(metavar="COLUMN", help="Best first, by this column of the table.")
    ] = "solved",
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the data.")] = None,
) -> None:
    """Which cell to take, of one run or several: what was solved, how sure, at what cost.

    seqbench table runs/adding runs/mine --length 200 --sort seconds
    """
    from seqbench import choices, load
    from seqbench.reporting.flow_files import check_files
    from seqbench.reporting.terminal import print_choices

    check_files(None, csv)
    found = choices(load(runs), length=length, sort=sort)
    print_choices(found)
    if csv is not None:
        found.to_csv(csv, index=False)
        print(csv)
