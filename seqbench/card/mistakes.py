"""What pydantic found wrong with a card, in words."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from pydantic import BaseModel, ValidationError

_TYPES = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "a string in quotes",
    "list_type": "a list",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt}",
    "less_than_equal": "{le:,} or less",
    "too_long": "{max_length} at most",
    "string_too_long": "{max_length} characters at most",
    "string_too_short": "a character at least",
    "literal_error": "{expected}",
    "too_short": "at least one",
    "missing": "a value",
    "string_pattern_mismatch": "letters, digits, '.', '_' and '-'",
    "model_type": "a table",
    "model_attributes_type": "a table",
}


def explain(
    error: ValidationError, whole: type[BaseModel], tables: Mapping[str, type[BaseModel]]
) -> str:
    """The first thing that is wrong with a card: key, value and what is allowed, in two lines.

    Args:
        whole: the model of the card.
        tables: key -> the model of that table.
    """
    # pydantic lists every branch of a union; the first bad key is enough, with what any of its
    # branches allows.
    # An unknown key comes first: it is often the misspelt name of one that is missing.
    errors = sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    first, loc = errors[0], _key(errors[0]["loc"])
    same = [e for e in errors if _key(e["loc"]) == loc]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")
    if first["type"] == "extra_forbidden":
        model: type[BaseModel] = tables[loc[0]] if len(loc) > 1 else whole
        fields = list(model.model_fields)
        elsewhere = [t for t, m in tables.items() if t != "cells" and loc[-1] in m.model_fields]
        near = difflib.get_close_matches(str(loc[-1]), fields, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        if len(loc) == 1 and elsewhere:
            hint = f"; did you mean {elsewhere[0]}.{loc[-1]}, in [{elsewhere[0]}]?"
        return f"{key} = {shown(first['input'])}: unknown key{hint}\nallowed: {', '.join(fields)}"
    if first["type"] == "missing":
        needs = "every card has name, lengths, seeds, cells, and [problem] with a name"
        if loc[0] == "cells":
            needs = "each cell says use"
        return f"{key} is missing\nallowed: {needs}"
    if first["type"] == "value_error":
        return f"{key or 'the card'}: {first['ctx']['error']}\nvalue: {shown(first['input'])}"
    allowed = [_TYPES.get(e["type"], e["msg"]).format(**e.get("ctx", {})) for e in same]
    return f"{key} = {shown(first['input'])}\nallowed: {' or '.join(dict.fromkeys(allowed))}"


def shown(value: object) -> str:
    """A value as a message shows it: not all of one that is long."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:120]} [...] {text[-40:]}"


def _key(loc: tuple) -> tuple:
    # Without the names of a union's branches.
    branches = ("constrained-", "function-", "literal[")
    return tuple(part for part in loc if not str(part).startswith(branches))
