"""A function of seqbench, called in a process of its own because it runs somebody's code."""

from __future__ import annotations

import selectors
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from seqbench.errors import InputError
from seqbench.sweep.executors.child import Child
from seqbench.sweep.executors.messages import Message


def call_here(function: str, argument: dict[str, Any]) -> Iterator[Message]:
    """The same in this process: for classes that no other has."""
    module, _, name = function.rpartition(":")
    yield from getattr(import_module(module), name)(argument)


class Died(Exception):
    """The process ended badly; its message says how."""


def call(function: str, argument: dict[str, Any], silence: float) -> Iterator[Message]:
    """What a function yields.

    Args:
        function: "module:name"; takes the argument, yields messages.
        argument: what JSON can hold, and bytes by name.
        silence: seconds between two messages at most; a message with "patience" says others.

    Raises:
        InputError: what the function raised as one.
        Died: the process ended before the function did, or said nothing for too long.
    """
    child, complete = Child(function, argument), False
    with selectors.DefaultSelector() as selector:
        channels = child.channels()
        for channel, read in channels.items():
            selector.register(channel, selectors.EVENT_READ, read)
        try:
            while child.ended is None:
                ready = selector.select(silence)
                if not ready:
                    raise Died(f"nothing happened for {silence:g} s")
                for key, _ in ready:
                    for head, parts in key.data() if child.ended is None else ():
                        if "refused" in head:
                            raise InputError(head["refused"])
                        complete = "complete" in head
                        silence = head.get("patience", silence)
                        if not complete:
                            yield head, parts
            if not complete:
                raise Died(child.ended or "its process ended with exit status 0")
        finally:
            child.close()
