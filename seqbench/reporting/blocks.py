"""What a report is made of: a document of sections of blocks.

A renderer knows these and nothing else; a section makes them and knows no format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import pandas as pd

if TYPE_CHECKING:  # slow to import, and not needed to say what a block is
    from matplotlib.figure import Figure as Drawing

    from seqbench.analysis.study import Study


@dataclass(frozen=True)
class Text:
    """Paragraphs, or a list. What stands between two ` is code.

    Attributes:
        lines: a paragraph or an entry each.
        style: note: small print; verbatim: as it stands, such as a card.
        head: bold words before the first line.
    """

    lines: Sequence[str]
    style: Literal["plain", "note", "numbered", "bullets", "verbatim"] = "plain"
    head: str = ""


@dataclass(frozen=True)
class Spark:
    """Two lines as small as a word, in shares of its width and height from the lower left.

    Attributes:
        before, after: dashed and solid: (x, y), ascending in x.
        band: from which x to which is shaded; None: nothing is.
        level: the height of a dotted line; None: there is none.
    """

    before: Sequence[tuple[float, float]]
    after: Sequence[tuple[float, float]]
    band: tuple[float, float] | None = None
    level: float | None = None


@dataclass(frozen=True)
class Entry:
    """One place of a table that says more than a word.

    Attributes:
        text: what is read first.
        detail: in small under it.
        hint: on demand, where a format can; else it is left to the tables that have it.
        value: what rows are sorted by.
        link: the folder of the report that it leads to.
        spark: a small picture under it, where a format can.
    """

    text: str
    detail: str = ""
    hint: str = ""
    value: float | None = None
    link: str = ""
    spark: Spark | None = None

    def __str__(self) -> str:
        return f"{self.text} {self.detail}".strip()


@dataclass(frozen=True)
class Table:
    """Numbers: a CSV file, and how they are read.

    Attributes:
        name: of the file.
        frame: what the file has; None: none is written.
        heads: above the columns; none: there is the file alone.
        rows: in words, made of the same frame.
        align: "l" or "r" for each column.
        stubs: how many columns name a row; where the first repeats, it is written once.
        title: for those who do not see the heading above it.
        groups: a heading for each row, said where it changes; none: there are none.
    """

    name: str = ""
    frame: pd.DataFrame | None = None
    heads: Sequence[str] = ()
    rows: Sequence[Sequence[str | Entry]] = ()
    align: str = ""
    stubs: int = 1
    title: str = ""
    groups: Sequence[str] = ()


@dataclass(frozen=True)
class Figure:
    """A picture.

    Attributes:
        name: of its files.
        title: of the picture; not repeated where the section has the same.
        caption: how to read it.
        draw: returns it, of data that were counted before.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[], Drawing]


@dataclass(frozen=True)
class Fold:
    """Blocks that stay folded until somebody asks.

    Attributes:
        summary: what is shown of them.
        blocks: what is not.
    """

    summary: str
    blocks: Sequence[Text | Table | Figure]


Block = Text | Table | Figure | Fold


class Section(Protocol):
    """A class with a title; nothing to inherit, built without arguments.

    Attributes:
        title: above it; "": none.
        folded: whether it waits until somebody asks (optional; False).
        beside: whether its blocks stand side by side where there is room (optional; False).
    """

    title: str

    def blocks(self, study: Study) -> Iterable[Block]:
        """What it has to show of a run; nothing: the section is left out."""


@dataclass(frozen=True)
class Part:
    """A section, its blocks made; the rest as in Section."""

    title: str
    blocks: Sequence[Block]
    folded: bool = False
    beside: bool = False

    @property
    def shown(self) -> bool:
        """Whether there is more than files to it."""
        return any(not isinstance(block, Table) or block.heads for block in self.blocks)

    def leaves(self) -> Iterable[Text | Table | Figure]:
        """Every block, those that are folded too."""
        for block in self.blocks:
            yield from block.blocks if isinstance(block, Fold) else [block]


@dataclass(frozen=True)
class Document:
    """A report.

    Attributes:
        title: the task's.
        lead: what it is about.
        facts: lengths, seeds and budget, for captions that stand alone.
        parts: its sections.
        up: the page that it belongs to; "": none.
    """

    title: str
    lead: str
    facts: str
    parts: Sequence[Part]
    up: str = ""

    def leaves(self) -> Iterable[Text | Table | Figure]:
        """Every block, those that are folded too."""
        for part in self.parts:
            yield from part.leaves()

    def tables(self) -> dict[str, pd.DataFrame]:
        """What is written as CSV: the file's name -> its table."""
        return {
            block.name: block.frame
            for block in self.leaves()
            if isinstance(block, Table) and block.frame is not None
        }

    def figures(self) -> dict[str, Figure]:
        """What is drawn: the file's name -> the figure."""
        return {block.name: block for block in self.leaves() if isinstance(block, Figure)}

    def seen(self) -> set[str]:
        """The figures that Markdown shows: those that are not in a folded section and, of a report
        that belongs to another page, the first section's alone."""
        return {
            block.name
            for part in self.parts
            if (part.beside if self.up else not part.folded)
            for block in part.blocks
            if isinstance(block, Figure)
        }
