"""The same document as Markdown, for a repository's pages.

Pictures of folded sections are on the page alone, so that a repository's reports stay small.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from urllib.parse import quote

from seqbench.reporting.blocks import Block, Document, Entry, Figure, Fold, Table, Text

SPECIAL = re.compile(r"([\\`*_$\[\]<>|])")


def render(document: Document) -> str:
    """report.md."""
    lines = [f"# {plain(document.title)}", ""]
    if document.lead:
        lines += [plain(document.lead), ""]
    if document.up:
        lines += [f"[{plain(document.up)}](../report.md)", ""]
    seen = document.seen()
    for part in document.parts:
        if part.title and part.shown:
            lines += [f"## {plain(part.title)}", ""]
        for block in part.blocks:
            lines += _block(block, seen, part.title)
    files = ", ".join(f"[{name}.csv](tables/{name}.csv)" for name in document.tables())
    return "\n".join([*lines, f"**Numbers.** {files}", ""])


def _block(block: Block, seen: Collection[str], title: str) -> Iterator[str]:
    match block:
        case Text():
            yield from _text(block)
        case Table():
            yield from _table(block)
        case Figure():
            if block.name in seen:
                yield from _figure(block, title)
            else:
                yield from (f"*{plain(block.title)}: a figure of index.html.*", "")
        case Fold():
            yield from ("<details>", f"<summary>{plain(block.summary)}</summary>", "")
            for inner in block.blocks:
                yield from _block(inner, seen, title)
            yield from ("</details>", "")


def _figure(block: Figure, title: str) -> Iterator[str]:
    if block.title != title:
        yield from (f"### {plain(block.title)}", "")
    yield from (f"![{plain(block.title)}](figures/{block.name}.png)", "")
    yield from (plain(block.caption), "")


def _text(block: Text) -> Iterator[str]:
    head = f"**{plain(block.head)}**" if block.head else ""
    if block.style == "verbatim":
        for line in block.lines:
            fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", line) or [""]))
            yield from (f"{fence}toml", line.rstrip("\n"), fence, "")
    elif block.style in ("numbered", "bullets"):
        if head:
            yield from (head, "")
        for number, line in enumerate(block.lines, 1):
            yield f"{f'{number}.' if block.style == 'numbered' else '-'} {inline(line)}"
        yield ""
    else:
        for line in block.lines:
            yield from (f"{head} {inline(line)}".strip(), "")
            head = ""


def _table(block: Table) -> Iterator[str]:
    if not block.heads:
        return
    yield _row([plain(head) for head in block.heads])
    yield "|" + "|".join({"l": ":--", "r": "--:"}[side] for side in block.align) + "|"
    before = heading = None
    for i, row in enumerate(block.rows):
        if block.groups and block.groups[i] != heading:
            heading = block.groups[i]
            if heading:
                yield _row([f"*{plain(heading)}*", *[""] * (len(row) - 1)])
        first, *rest = map(_entry, row)
        new = block.stubs == 1 or first != before
        before = first
        yield _row([f"**{first}**" if new else "", *rest])
    yield ""


def _entry(given: str | Entry) -> str:
    text = plain(str(given))
    link = given.link if isinstance(given, Entry) else ""
    return f"[{text}]({quote(link)}/report.md)" if link else text


def _row(entries: Sequence[str]) -> str:
    return "|" + "".join(f" {entry} |" if entry else " |" for entry in entries)


def plain(text: str) -> str:
    """Text that Markdown takes for nothing else: no tag, no table, no emphasis."""
    return SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def inline(text: str) -> str:
    """The same, with what stands between two ` as code."""
    parts = str(text).split("`")
    if len(parts) % 2 == 0:
        return plain(text)
    return "".join(f"`{part}`" if i % 2 else plain(part) for i, part in enumerate(parts))
