"""The page: chapters of blocks as one HTML file that fetches nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from seqbench.reporting.blocks import Block, Chapter, Table
from seqbench.reporting.words import join


def render(chapters: Sequence[Chapter], svgs: Mapping[str, str]) -> str:
    """index.html.

    Args:
        svgs: a figure's file -> the SVG that stands in the page.
    """
    environment = Environment(
        loader=PackageLoader("seqbench.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"inline": inline, "kind": kind, "stubs": stubs}
    title = join(dict.fromkeys(chapter.title for chapter in chapters))
    pictures = {file: Markup(svg) for file, svg in svgs.items()}
    return environment.get_template("page.html").render(
        chapters=chapters, title=title, svgs=pictures
    )


def kind(block: Block) -> str:
    """Which macro draws it."""
    return type(block).__name__.lower()


def inline(text: str) -> Markup:
    """What stands between two ` as code."""
    parts = str(text).split("`")
    if len(parts) % 2 == 0:  # one of them has no other
        return Markup("{}").format(text)
    shown = [Markup("<code>{}</code>" if i % 2 else "{}").format(p) for i, p in enumerate(parts)]
    return Markup("").join(shown)


def stubs(table: Table) -> list[list[tuple[str, str]]]:
    """Rows in groups that share their first cell, where two columns name a row."""
    groups: list[list[Sequence[str]]] = []
    for row in table.rows:
        if table.stubs < 2 or not groups or groups[-1][0][0] != row[0]:
            groups.append([])
        groups[-1].append(row)
    return groups
