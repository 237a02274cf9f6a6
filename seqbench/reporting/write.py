"""A document's files: the page, its Markdown twin, tables, figures; the same bytes every time."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pandas as pd

from seqbench.errors import InputError
from seqbench.reporting import latex as tex
from seqbench.reporting import markdown, page, style
from seqbench.reporting import svg as vectors
from seqbench.reporting.blocks import Document
from seqbench.results import write_atomically

DIGITS = "%.7g"  # of a number in a table: those of float32
FORMULA = tuple("=+-@\t\r")  # begins one in a spreadsheet


def write(document: Document, folder: Path, *, latex: bool = False, svg: bool = False) -> Path:
    """Everything, the page last.

    Args:
        latex: whether to write report.tex, tables/*.tex and figures/*.pdf too.
        svg: whether to write figures/*.svg too.

    Returns:
        The page.

    Raises:
        OSError: the folder can't be written.
    """
    for part in (folder, folder / "tables", folder / "figures"):
        if part != folder and part.is_symlink():
            raise no_link(part)
        part.mkdir(parents=True, exist_ok=True)
    for file, table in document.tables().items():
        target = folder / "tables" / f"{file}.csv"
        write_atomically(target, partial(written(table).to_csv, index=False, float_format=DIGITS))
    drawn, seen = {}, document.seen()
    for file, figure in document.figures().items():
        with style.drawing():
            pictures = vectors.pictures(figure.draw(), file)
        drawn[file] = pictures
        if svg:
            _text(folder / "figures" / f"{file}.svg", pictures.svg)
        if file in seen:
            target = folder / "figures" / f"{file}.png"
            write_atomically(target, partial(Path.write_bytes, data=pictures.png))
    if latex:
        _write_latex(document, folder)
    _text(folder / "report.md", markdown.render(document))
    _text(folder / "index.html", page.render(document, drawn))
    return folder / "index.html"


def no_link(folder: Path) -> InputError:
    """Whoever sent a run may not choose where its report is written."""
    return InputError(f"{folder} is a link\nallowed: a folder, or --out")


def _write_latex(document: Document, folder: Path) -> None:
    text, tables = tex.render(document)
    for file, table in tables.items():
        _text(folder / "tables" / f"{file}.tex", table)
    for file, figure in document.figures().items():
        target = folder / "figures" / f"{file}.pdf"
        write_atomically(target, partial(tex.save_pdf, figure.draw))
    _text(folder / "report.tex", text)


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


def _text(target: Path, text: str) -> None:
    write_atomically(target, lambda file: file.write_text(text, encoding="utf-8"))
