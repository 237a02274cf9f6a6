"""What the constructors of problems refuse, in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from seqbench.errors import InputError


def check_choice(option: str, value: Any, allowed: Iterable[Any], problem: str) -> Any:
    """An option that is one of a few, such as the protocol.

    Raises:
        InputError: another value.
    """
    allowed = list(allowed)
    if value not in allowed or type(value) not in map(type, allowed):
        raise InputError(
            f"problem.{option} = {value!r}: {problem} has no such {option}\n"
            f"allowed: {', '.join(map(str, allowed))}"
        )
    return value


def check_count(option: str, count: int, least: int) -> int:
    """An option that counts something.

    Raises:
        InputError: not a whole number, or below the least.
    """
    if type(count) is not int or count < least:
        raise InputError(f"problem.{option} = {count!r}\nallowed: {least} or more, whole")
    return count


def check_length(length: int, shortest: int, problem: str) -> int:
    """A length.

    Raises:
        InputError: shorter than the shortest, which it says.
    """
    if length < shortest:
        raise InputError(
            f"lengths: {length} is too short for {problem}\nallowed: {shortest} or more"
        )
    return length


def check_train_set(train_set: int) -> int:
    """A size of the training set, 0 for fresh sequences.

    Raises:
        InputError: not a whole number, or negative.
    """
    return check_count("train_set", train_set, 0)
