"""The same chapters as Markdown, for a repository's pages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from seqbench.reporting.blocks import Block, Chapter, Figure, Fold, Table, Text
from seqbench.reporting.words import join

SPECIAL = re.compile(r"([\\`*_$\[\]<>|])")


def render(chapters: Sequence[Chapter]) -> str:
    """report.md."""
    several = len(chapters) > 1
    lines: list[str] = []
    if several:
        lines += [f"# {plain(join(dict.fromkeys(one.title for one in chapters)))}", ""]
        lines += [f"- [{plain(one.id)}](#{_anchor(one.id)})" for one in chapters] + [""]
    for chapter in chapters:
        lines += _chapter(chapter, "##" if several else "#", chapter.id if several else "")
    return "\n".join(lines)


def _chapter(chapter: Chapter, level: str, name: str) -> Iterator[str]:
    yield from (f"{level} {plain(name or chapter.title)}", "")
    if chapter.lead:
        yield from (plain(chapter.lead), "")
    for part in chapter.parts:
        if part.title:
            yield from (f"{level}# {plain(part.title)}", "")
        for block in part.blocks:
            yield from _block(block, chapter, f"{level}##", part.title)
    files = ", ".join(f"[{name}.csv](tables/{name}.csv)" for name in chapter.tables())
    yield from (f"**Numbers.** {files}", "")


def _block(block: Block, chapter: Chapter, level: str, title: str) -> Iterator[str]:
    match block:
        case Text():
            yield from _text(block)
        case Table():
            yield from _table(block)
        case Figure():
            if block.title != title:
                yield from (f"{level} {plain(block.title)}", "")
            yield from (f"![{plain(block.title)}](figures/{chapter.file(block.name)}.png)", "")
            yield from (plain(block.caption), "")
        case Fold():
            yield from ("<details>", f"<summary>{plain(block.summary)}</summary>", "")
            for inner in block.blocks:
                yield from _block(inner, chapter, level, title)
            yield from ("</details>", "")


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
    yield _row(block.heads)
    yield "|" + "|".join({"l": ":--", "r": "--:"}[side] for side in block.align) + "|"
    before = heading = None
    for i, row in enumerate(block.rows):
        if block.groups and block.groups[i] != heading:
            heading = block.groups[i]
            if heading:
                yield _row([f"*{plain(heading)}*", *[""] * (len(row) - 1)])
        first, *rest = (plain(str(entry)) for entry in row)
        new = block.stubs == 1 or first != before
        before = first
        yield _row([f"**{first}**" if new else "", *rest])
    yield ""


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


def _anchor(name: str) -> str:
    return name.lower().replace(".", "")
