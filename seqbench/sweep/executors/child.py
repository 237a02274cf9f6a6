"""A worker process, seen by whoever asked for it: what it says, what it prints, how it ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from seqbench.sweep.executors import server
from seqbench.sweep.executors.messages import Inbox, Message, pack

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
# glibc keeps what a step frees for the next one, and does not fault it in again (docs/engine.md)
ONE_THREAD |= {"MALLOC_MMAP_THRESHOLD_": str(2**28), "MALLOC_TRIM_THRESHOLD_": str(2**28)}

KEPT = 1 << 18  # bytes of what it printed last: a crash is told in some thousands
CRASH = "Fatal Python error: "  # as Python's faulthandler begins

_SERVER: tuple[subprocess.Popen, socket.socket] | None = None
_LOCK = threading.Lock()


class Child:
    """A function of seqbench, called in a process of its own.

    Args:
        function: "module:name"; takes the argument, yields messages.
        argument: what JSON can hold, and bytes by name.
        how: one of the server's kinds; FRESH for all where it can't fork.

    Attributes:
        ended: how: "" as it should, else in words; None while it runs.
    """

    def __init__(self, function: str, argument: dict[str, Any], how: bytes = server.FORK) -> None:
        self.data, data = socket.socketpair()
        self.status, status = socket.socketpair()
        words, their_words = os.pipe()
        self.words = os.fdopen(words, "rb", buffering=0)
        self.ended: str | None = None
        self.last_words = bytearray()
        self.inbox, self.said = Inbox(), ""
        try:
            _ask(
                how if server.can_fork() else server.FRESH,
                [data.fileno(), status.fileno(), their_words],
            )
        finally:
            data.close()
            status.close()
            os.close(their_words)
        parts = {name: value for name, value in argument.items() if isinstance(value, bytes)}
        request = {
            "function": function,
            "argument": {name: value for name, value in argument.items() if name not in parts},
            "path": import_path(),
            "folder": os.getcwd(),
            "environment": os.environ | ONE_THREAD,
        }
        with suppress(OSError):  # it died before it listened: the status says how
            self.data.sendall(pack(request, parts))
        self.data.setblocking(False)
        os.set_blocking(self.words.fileno(), False)

    def channels(self) -> dict[Any, Callable[[], list[Message]]]:
        """What to wait for, and what to call when it can be read."""
        return {self.data: self.hear, self.words: self.overhear, self.status: self.learn}

    def hear(self) -> list[Message]:
        """The messages that have come."""
        found: list[Message] = []
        try:
            while data := self.data.recv(1 << 20):
                found += self.inbox.feed(data)
        except OSError:  # nothing more for now, or it is gone
            pass
        return found

    def overhear(self) -> list[Message]:
        """What it prints; the last of it is kept."""
        try:
            while data := self.words.read(1 << 16):
                self.last_words += data
                del self.last_words[:-KEPT]
        except OSError:
            pass
        return []

    def learn(self) -> list[Message]:
        """How it is: that it ended, after all that it said."""
        try:
            data = self.status.recv(4096)
        except OSError:
            data = b""
        self.said += data.decode()
        if data and "exit" not in self.said:
            return []
        found = self.hear()
        self.overhear()
        code = self.said.partition("exit ")[2].strip()
        self.ended = _ending(int(code) if code else None, self.printed())
        self.close()
        return found

    def printed(self) -> str:
        """The last lines that it printed; of a crash, what and where."""
        text = self.last_words.decode("utf-8", "replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        crash = next((i for i, line in enumerate(lines) if line.startswith(CRASH)), None)
        if crash is None:
            return " / ".join(lines[-3:])
        where = [line for line in lines[crash:] if line.startswith("File ")]
        return " / ".join([lines[crash], *where[:2]])

    def close(self) -> None:
        """End it, if it still runs."""
        for end in (self.status, self.data, self.words):
            end.close()


def _ending(code: int | None, printed: str) -> str:
    """How a process ended, in words; "" for one that ended well."""
    if code == 0:
        return ""
    if code is None:
        told = "its worker is gone"
    elif code < 0:
        try:
            told = f"its worker was ended by {signal.Signals(-code).name}"
        except ValueError:
            told = f"its worker was ended by signal {-code}"
    else:
        told = f"its worker ended with exit status {code}"
    return f"{told}: {printed}" if printed else told


def import_path() -> list[str]:
    """Where a worker looks for modules: where this process does, less the working directory that
    Python puts first, and where seqbench itself lies."""
    home = str(Path(__file__).parents[3])
    path = [entry for entry in sys.path if entry]
    return path if home in path else [*path, home]


def _ask(byte: bytes, fds: list[int]) -> None:
    """Ask this process's server for a worker; start the server first, if there is none."""
    global _SERVER
    with _LOCK:
        for _ in range(2):
            if _SERVER is None or _SERVER[0].poll() is not None:
                _SERVER = _start_server()
            try:
                socket.send_fds(_SERVER[1], [byte], fds)
                return
            except OSError:  # it died just now
                _SERVER[0].kill()
                _SERVER[0].wait()
    raise OSError("the process that starts workers can't be started")


def _start_server() -> tuple[subprocess.Popen, socket.socket]:
    ours, theirs = socket.socketpair()
    fd = str(theirs.fileno())
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", server.BOOT.format("main"), json.dumps(import_path()), fd],
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=os.environ | ONE_THREAD,
        start_new_session=True,  # Ctrl-C is for us
    )
    theirs.close()
    return process, ours
