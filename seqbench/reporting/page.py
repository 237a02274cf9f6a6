"""The page: a document as one HTML file that fetches nothing."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.resources import files
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from seqbench.reporting.blocks import Block, Document, Entry, Figure, Part, Spark, Table
from seqbench.reporting.svg import Pictures

SPARK = (120, 32)  # pixels
SHORT = 8  # rows of a table; under one with more there is no room for a figure


def render(document: Document, pictures: Mapping[str, Pictures]) -> str:
    """index.html.

    Args:
        pictures: by the figure's file.
    """
    environment = Environment(
        loader=PackageLoader("seqbench.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "inline": inline,
        "kind": kind,
        "bodies": bodies,
        "columns": columns,
        "slug": slug,
        "entry": entry,
        "spark": spark,
        "quote": quote,
    }
    looks = {which: look for one in pictures.values() for which, look in one.rules.items()}
    css, script = (_template(name) for name in ("style.css", "script.js"))
    rules = css + "".join(f".{which}{{{look}}}\n" for which, look in looks.items())
    return environment.get_template("page.html").render(
        document=document,
        svgs={file: Markup(one.inline) for file, one in pictures.items()},
        css=Markup(rules),
        script=Markup(script),
        policy=f"default-src 'none'; img-src data:; style-src {_hash(rules)}; "
        f"script-src {_hash(script)}; base-uri 'none'; form-action 'none'",
    )


def _template(name: str) -> str:
    return files("seqbench.reporting").joinpath("templates", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """What a content security policy allows to stand in a page: this text and no other."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


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


def columns(part: Part) -> tuple[list[Block], list[Block]]:
    """Blocks that stand side by side: tables and text on the left and, where the tables are short,
    all figures but the first under them."""
    rows = sum(len(block.rows) for block in part.blocks if isinstance(block, Table))
    figures: list[Block] = [block for block in part.blocks if isinstance(block, Figure)]
    right = figures[:1] if rows <= SHORT else figures
    return [block for block in part.blocks if not any(block is one for one in right)], right


def slug(text: str) -> str:
    """A place on the page."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "part"


def entry(given: str | Entry) -> Entry:
    """A word is an entry without more."""
    return given if isinstance(given, Entry) else Entry(given)


def spark(given: Spark) -> Markup:
    """A small picture; its looks are the page's."""
    width, height = SPARK

    def points(line: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{x * width:.0f},{(1 - y) * height:.0f}" for x, y in line)

    drawn = []
    if given.band:
        low, high = (share * width for share in given.band)
        drawn.append(f'<rect x="{low:.0f}" width="{max(1, high - low):.0f}" height="{height}"/>')
    if given.level is not None:
        y = (1 - given.level) * height
        drawn.append(f'<path class="level" d="M0 {y:.0f}H{width}"/>')
    for which, line in (("before", given.before), ("after", given.after)):
        drawn.append(f'<polyline class="{which}" points="{points(line)}"/>' if line else "")
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return Markup(f'<svg class="spark" {size} aria-hidden="true">{"".join(drawn)}</svg>')


def bodies(table: Table) -> list[tuple[str, list[Sequence[str | Entry]]]]:
    """The rows in groups: by their heading, or, where two columns name a row, by the first."""
    found: list[tuple[str, list[Sequence[str | Entry]]]] = []
    before: object = None
    for i, row in enumerate(table.rows):
        heading = table.groups[i] if table.groups else ""
        now = (heading, row[0] if table.stubs > 1 else "")
        if now != before:
            found.append((heading, []))
            before = now
        found[-1][1].append(row)
    return found
