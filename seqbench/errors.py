"""The one exception that means: what the user gave us is wrong; and how a terminal is told."""

import sys
from contextlib import suppress

MOST = 2000  # characters of a line that are shown


class InputError(ValueError):
    """A card, an option or a path that can't be used.

    Its message says what was wrong, where (file, key, value) and what is allowed; the command line
    prints it without a traceback and exits with status 2.
    """

    def __str__(self) -> str:
        return super().__str__().strip() or "refused without a reason"


def words(error: BaseException) -> str:
    """An exception in one line: its type and its message; the type alone where there is none."""
    name, told = type(error).__name__, " ".join(str(error).split())
    return f"{name}: {told}" if told.strip("'\"") else name


def reason(error: BaseException) -> str:
    """An exception's message in one line; its type where there is none."""
    told = " ".join(str(error).split())
    return told if told.strip("'\"") else type(error).__name__


def printable(text: str) -> str:
    """Text of any origin for a terminal: control characters but line ends and tabs are spelled out,
    and the middle of a line that is too long is left out."""
    spelled = "".join(c if c in "\n\t" or c.isprintable() else ascii(c)[1:-1] for c in text)
    return "\n".join(
        line if len(line) <= MOST else f"{line[: MOST // 2]} [...] {line[-MOST // 4 :]}"
        for line in spelled.split("\n")
    )


def say(line: str) -> None:
    """A line on stderr: what is going on, apart from what was asked for. Where nobody listens, or
    wants to hear it, nothing stops."""
    with suppress(OSError, ValueError):
        print(printable(line), file=sys.stderr, flush=True)
