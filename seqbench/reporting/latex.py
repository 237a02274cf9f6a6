"""For a paper: tables in LaTeX (booktabs), figures as PDF, one file that has them all.

pdflatex report.tex        in the folder; or \\input tables/NAME.tex from a paper
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from seqbench.reporting import style
from seqbench.reporting.blocks import Document, Entry, Table
from seqbench.reporting.blocks import Figure as Drawn

# TrueType, so that a publisher's check finds no Type 3 fonts; letters like those of Times.
SETTINGS: dict[Any, Any] = {
    "pdf.fonttype": 42,
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
}
SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "^": r"\textasciicircum{}",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "%": r"\%",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"$|$",
    '"': r"''",
    "`": r"\textasciigrave{}",
    "−": "$-$",
    "∞": r"$\infty$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "→": r"$\to$",
    "×": r"$\times$",
    "●": r"$\bullet$",
    "○": r"$\circ$",
    "◐": r"$\odot$",
    "–": "--",
    "·": r"$\cdot$",
    "…": r"\ldots",
}
PREAMBLE = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{booktabs,graphicx,lmodern}
\usepackage[margin=2cm]{geometry}
\begin{document}
"""


def plain(text: str) -> str:
    """Text that LaTeX takes for nothing else; what it has no letter for is a question mark."""
    return "".join(SPECIAL.get(c, c if ord(c) < 0x250 else "?") for c in " ".join(text.split()))


def table(block: Table, caption: str, label: str) -> str:
    """A floating table.

    Args:
        caption: what its numbers are of: lengths, seeds, budget.
        label: for \\ref.
    """
    rows = [_row([_bold(head) for head in block.heads]), r"\midrule"]
    before, heading = None, ""
    for i, row in enumerate(block.rows):
        if block.groups and block.groups[i] != heading:
            heading = block.groups[i]
            rows.append(rf"\multicolumn{{{len(row)}}}{{l}}{{\emph{{{plain(heading)}}}}} \\")
        shown = [_entry(one) for one in row]
        if block.stubs > 1:
            if before not in (None, row[0]):
                rows.append(r"\addlinespace")
            shown[0] = "" if before == row[0] else shown[0]
            before = row[0]
        rows.append(_row(shown))
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            r"\footnotesize\setlength{\tabcolsep}{3pt}" if len(block.align) > 6 else r"\small",
            rf"\caption{{{plain(caption)}}}",
            rf"\label{{tab:{label}}}",
            rf"\begin{{tabular}}{{{block.align}}}",
            r"\toprule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _row(entries: Sequence[str]) -> str:
    return " & ".join(entries) + r" \\"


def _bold(head: str) -> str:
    return rf"\textbf{{{plain(head)}}}" if head else ""


def _entry(given: str | Entry) -> str:
    if isinstance(given, Entry) and given.detail:
        return rf"{plain(given.text)} {{\footnotesize {plain(given.detail)}}}"
    return plain(str(given))


def save_pdf(draw: Callable[[], Figure], target: Path) -> None:
    """Draw a figure in a paper's font; the same bytes for the same data."""
    with style.drawing(), mpl.rc_context(SETTINGS):
        metadata = dict.fromkeys(("CreationDate", "Producer", "Creator"))
        draw().savefig(target, format="pdf", metadata=metadata)


def render(document: Document) -> tuple[str, dict[str, str]]:
    """report.tex, and the tables that it takes in: file -> LaTeX."""
    body, files = [PREAMBLE, rf"\section*{{{plain(document.title)}}}"], {}
    for block in document.leaves():
        if isinstance(block, Table) and block.heads:
            files[block.name] = table(block, f"{block.title}. {document.facts}", block.name)
            body.append(rf"\input{{tables/{block.name}.tex}}")
        elif isinstance(block, Drawn):
            body += _figure(block, document.facts)
    return "\n".join([*body, r"\end{document}", ""]), files


def _figure(block: Drawn, facts: str) -> list[str]:
    size = r"width=\linewidth,height=.8\textheight,keepaspectratio"
    return [
        r"\begin{figure}",
        r"\centering",
        rf"\includegraphics[{size}]{{figures/{block.name}.pdf}}",
        rf"\caption{{{plain(f'{block.title}. {block.caption} {facts}')}}}",
        rf"\label{{fig:{block.name}}}",
        r"\end{figure}",
    ]
