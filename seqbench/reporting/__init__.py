"""DataFrames become pages: what a person reads of a run. `seqbench.report` is the function here."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from seqbench import plugins
from seqbench.analysis.study import Study
from seqbench.errors import InputError
from seqbench.reporting.blocks import Chapter, Part, Section
from seqbench.results import Results, load, write_atomically

__all__ = ["report"]

FORMULA = tuple("=+-@\t\r")  # begins one in a spreadsheet


def report(
    runs: Results | str | Path | Sequence[Results | str | Path],
    out: str | Path | None = None,
    *,
    sections: Sequence[str | type] = (),
    latex: bool = False,
) -> Path:
    """Write a page, its Markdown twin, tables and figures.

    Args:
        runs: a run, opened or its folder, or several: one page with a chapter each.
        out: the folder; None: "report" in the first run's folder.
        sections: further ones, after the bundled: classes, "module:Class" or "file.py:Class".
        latex: whether to write report.tex, tables/*.tex and figures/*.pdf too.

    Returns:
        The page, index.html; beside it report.md, tables/*.csv, figures/*.png and *.svg.

    Raises:
        InputError: no run there, no such section, or the folder can't be written.
    """
    given = [runs] if isinstance(runs, Results | str | Path) else list(runs)
    if not given:
        raise InputError(
            "no run to report on\nallowed: at least one folder that `seqbench run` wrote"
        )
    shown = [*_bundled(), *map(_section, sections)]
    opened = [run if isinstance(run, Results) else load(run) for run in given]
    folder = Path(out) if out is not None else opened[0].path / "report"
    chapters = [
        _chapter(name, Study(run), shown) for name, run in zip(_names(opened), opened, strict=True)
    ]
    try:
        for part in (folder, folder / "tables", folder / "figures"):
            part.mkdir(parents=True, exist_ok=True)
        _write(chapters, folder)
        if latex:
            _write_latex(chapters, folder)
    except OSError as error:
        raise InputError(
            f"--out {folder}: can't be written: {error.strerror or error}\n"
            "allowed: a folder that you may write to"
        ) from None
    return folder / "index.html"


def _bundled() -> list[Section]:
    return [plugins.load(spec)() for spec, _ in plugins.bundled("sections").values()]


def _section(given: str | type) -> Section:
    cls = plugins.load(plugins.resolve(given, "sections")) if isinstance(given, str) else given
    for name in ("title", "blocks"):
        if not hasattr(cls, name):
            raise InputError(
                f"--section {given}: {cls.__name__} has no {name}\n"
                "allowed: a class with a title and blocks(study), see docs/adding-a-figure.md"
            )
    return cls()


def _chapter(name: str, study: Study, sections: Sequence[Section]) -> Chapter:
    parts = [
        Part(
            section.title,
            list(section.blocks(study)),
            folded=getattr(section, "folded", False),
            beside=getattr(section, "beside", False),
        )
        for section in sections
    ]
    task = study.task
    facts = (
        f"T = {', '.join(map(str, task.lengths))}; n = {task.seeds} seeds a cell and length; at "
        f"most {task.training.steps:,} training steps."
    )
    shown = [part for part in parts if part.blocks]
    return Chapter(name, task.name, task.description, facts, shown)


def _write(chapters: Sequence[Chapter], folder: Path) -> None:
    """Everything, the page last."""
    from seqbench.reporting import markdown, page, style, svg  # matplotlib takes a second

    drawn: dict[str, svg.Pictures] = {}
    for chapter in chapters:
        for file, table in chapter.tables().items():
            target = folder / "tables" / f"{file}.csv"
            write_atomically(target, partial(written(table).to_csv, index=False))
        for file, figure in chapter.figures().items():
            with style.drawing():
                pictures = svg.pictures(figure.draw(), file)
            drawn[file] = pictures
            _write_text(folder / "figures" / f"{file}.svg", pictures.svg)
            target = folder / "figures" / f"{file}.png"
            write_atomically(target, partial(Path.write_bytes, data=pictures.png))
    _write_text(folder / "report.md", markdown.render(chapters))
    _write_text(folder / "index.html", page.render(chapters, drawn))


def _write_latex(chapters: Sequence[Chapter], folder: Path) -> None:
    from seqbench.reporting import latex

    text, tables = latex.render(chapters)
    for file, table in tables.items():
        _write_text(folder / "tables" / f"{file}.tex", table)
    for chapter in chapters:
        for file, figure in chapter.figures().items():
            target = folder / "figures" / f"{file}.pdf"
            write_atomically(target, partial(latex.save_pdf, figure.draw))
    _write_text(folder / "report.tex", text)


def written(table: pd.DataFrame) -> pd.DataFrame:
    """As a file has it: a text that a spreadsheet would take for a formula begins with a '."""
    texts = table.select_dtypes(include=["object", "string"]).columns
    return table.assign(
        **{
            name: table[name].map(
                lambda text: f"'{text}" if isinstance(text, str) and text[:1] in FORMULA else text
            )
            for name in texts
        }
    )


def _write_text(target: Path, text: str) -> None:
    write_atomically(target, lambda file: file.write_text(text, encoding="utf-8"))


def _names(runs: list[Results]) -> list[str]:
    """A name for each run's files: none for one alone; the task's, numbered where two share it."""
    if len(runs) == 1:
        return [""]
    names: list[str] = []
    for run in runs:
        taken = sum(
            name.rpartition("-run")[0] == run.task.name or name == run.task.name for name in names
        )
        names.append(run.task.name if not taken else f"{run.task.name}-run{taken + 1}")
    return names
