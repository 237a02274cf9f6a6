"""What goes on around a command: signals, and streams that are closed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Stopped(BaseException):
    """Somebody asked the process to end, by a signal; no KeyboardInterrupt, which typer takes for
    a mistake."""

    def __init__(self, number: int, told: str = "") -> None:
        self.number, self.told = number, told


@contextmanager
def stopping_once() -> Iterator[None]:
    """The first Ctrl-C or SIGTERM ends what is going on; while that is tidied up, a second does not
    get in its way."""
    asked = False

    def stop(number: int, _: object) -> None:
        nonlocal asked
        if not asked:
            asked = True
            raise Stopped(number)

    before = {}
    with suppress(ValueError):  # not in the main thread
        before = {one: signal.signal(one, stop) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items() if not asked else ():
            signal.signal(one, handler)


def open_standard_streams() -> None:
    """Where one was closed, what is written goes nowhere, and not into a file of ours."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
