"""What commands read and say: options in, lines out."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable
from typing import Any

from seqbench.errors import InputError, say

MOST_NARROW = 20  # columns of a terminal that lines are fitted to


def fitted(line: str, indent: int) -> str:
    """A line, in as many as a terminal needs for it, all but the first of them indented; where
    there is no terminal, as it is."""
    if not sys.stdout.isatty():
        return line
    width = max(MOST_NARROW, shutil.get_terminal_size().columns)
    if len(line) <= width:
        return line
    under = " " * min(max(indent, len(line) - len(line.lstrip())), width // 2)
    return textwrap.fill(
        line, width, subsequent_indent=under, break_on_hyphens=False, drop_whitespace=True
    )


def busy(line: str) -> None:
    """For somebody who sits and waits."""
    if sys.stderr.isatty():
        say(line)


def numbers(option: str, given: list[str] | None) -> list[int] | None:
    """Whole numbers from "50,100", or the option several times; None where it was not given.

    Raises:
        InputError: something else between the commas.
    """
    if given is None:
        return None
    text = ",".join(given)
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise InputError(f"{option} {text}\nallowed: whole numbers, as in 50,100") from None


def cells(given: Iterable[str], labels: Iterable[str] = ()) -> list[str]:
    """Cells as every command takes them: words of their own, or with commas between them.

    Args:
        labels: that may have commas themselves.
    """
    from seqbench.card.select import split_labels

    known = list(labels)
    return [one for text in given for one in split_labels(text, known)]


def changes(
    given: list[str], allowed: str = "table.key=value, as in training.steps=500"
) -> dict[str, Any]:
    """What each --set says: key -> value, in TOML, or as plain text where it is none.

    Raises:
        InputError: no key, or no equals sign.
    """
    import tomllib

    found: dict[str, Any] = {}
    for one in given:
        key, equals, value = one.partition("=")
        if not equals or not key.strip():
            raise InputError(f"--set {one}\nallowed: {allowed}")
        try:
            found[key.strip()] = tomllib.loads(f"value = {value}")["value"]
        except (ValueError, RecursionError):
            text = value.strip()
            found[key.strip()] = {"True": True, "False": False}.get(text, text)
    return found
