"""What the bundled cells ask of their options: a wrong value is answered in two lines."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from torch import nn

from seqbench.errors import InputError


def one_of(name: str, value: Any, allowed: Iterable[str]) -> None:
    """Raises InputError for a value that is none of the allowed words."""
    allowed = list(allowed)
    if value not in allowed:
        raise _refused(name, value, ", ".join(map(repr, allowed)))


def yes_or_no(name: str, value: Any) -> None:
    """Raises InputError for anything but true or false."""
    if type(value) is not bool:
        raise _refused(name, value, "true or false")


def number(
    name: str,
    value: Any,
    allowed: str = "a number",
    *,
    above: float = -math.inf,
    below: float = math.inf,
    optional: bool = True,
) -> None:
    """Raises InputError for what is no finite number in between.

    Args:
        allowed: the same in words, for the message.
        above, below: bounds, both excluded.
        optional: None will do.
    """
    if value is None and optional:
        return
    if type(value) not in (int, float) or not above < value < below:
        raise _refused(name, value, allowed)


def whole(name: str, value: Any, least: int) -> None:
    """Raises InputError for anything but a whole number from `least` on."""
    if type(value) is not int or value < least:
        raise _refused(name, value, f"a whole number, {least} or more")


def divides(name: str, value: int, whole: str, of: int) -> None:
    """Raises InputError if one number is no divisor of the other."""
    if of % value:
        raise _refused(name, value, f"a divisor of {whole}, which is {of}")


def at_most_one(**given: Any) -> None:
    """Raises InputError if two options that exclude each other are both set (not None)."""
    chosen = [name for name, value in given.items() if value is not None]
    if len(chosen) > 1:
        told = ", ".join(f"{name} = {given[name]!r}" for name in chosen)
        raise InputError(f"{told}: they exclude each other\nallowed: one of {', '.join(given)}")


def _refused(name: str, value: Any, allowed: str) -> InputError:
    return InputError(f"{name} = {value!r}\nallowed: {allowed}")


INITIALISATIONS = ("default", "glorot")


def initialise(layer: nn.RNNBase, name: str) -> None:
    """The parameters of one of torch's layers, drawn anew; "default" leaves torch's draws.

    "glorot": each gate's matrices from U(+-sqrt(6 / (rows + columns))), biases 0 (Glorot & Bengio
    2010, equation 16).

    Raises:
        InputError: another name.
    """
    one_of("init", name, INITIALISATIONS)
    if name == "default":
        return
    for parameter in layer.parameters():
        if parameter.ndim == 1:
            nn.init.zeros_(parameter)
        else:
            for block in parameter.data.split(layer.hidden_size):
                nn.init.xavier_uniform_(block)
