"""Cells as they are written on a command line: names, and inline tables as a card has them.

rnn,lstm
lstm,{ use = "lstm", forget_bias = 3 }
"""

from __future__ import annotations

import tomllib
from typing import Any

from seqbench.errors import InputError

EXAMPLE = """'{ use = "lstm", forget_bias = 3 }'"""
CLOSES = {"{": "}", "[": "]"}


def first(text: str) -> str:
    """What stands before the first comma outside of tables, lists and quoted strings."""
    open_, quote = "", ""
    for i, c in enumerate(text):
        if quote:
            quote = "" if c == quote else quote
        elif c in "\"'":
            quote = c
        elif c in CLOSES:
            open_ += CLOSES[c]
        elif open_ and c == open_[-1]:
            open_ = open_[:-1]
        elif c == "," and not open_:
            return text[:i]
    return text


def entry(text: str) -> dict[str, Any]:
    """One cell: a name or a spec, or an inline table.

    A table that has options and no label is called by them: "lstm, forget_bias 3".

    Raises:
        InputError: a table that is not TOML, or does not say `use`.
    """
    if not text.lstrip().startswith("{"):
        return {"use": text}
    try:
        table = tomllib.loads(f"cell = {text}")["cell"]
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"cell {text}: not TOML: {error}\nallowed: as in {EXAMPLE}") from None
    return labelled(checked(table))


def checked(table: dict[str, Any]) -> dict[str, Any]:
    """Raises InputError for a table that does not say which cell it is."""
    if not isinstance(table.get("use"), str):
        raise InputError(f"cell {table}: which one?\nallowed: a table with use, as in {EXAMPLE}")
    return table


def labelled(table: dict[str, Any]) -> dict[str, Any]:
    """The table with a label, its own or one of its options."""
    return table if "label" in table else table | {"label": label(table)}


def label(table: dict[str, Any]) -> str:
    """ "lstm, forget_bias 3" of { use = "lstm", forget_bias = 3 }."""
    told = [
        f"{name} {_told(value)}" for name, value in table.items() if name not in ("use", "kind")
    ]
    return ", ".join([table["use"].rpartition(":")[2], *told])


def _told(value: Any) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
