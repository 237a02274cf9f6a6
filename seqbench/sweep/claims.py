"""Who works at which trial of a run's folder, when several commands do at once.

Each trial is a byte of the file `.lock`; whoever runs it holds that byte locked, and the system
lets go of it when its holder ends, however that happens. Locks are the process's own (POSIX record
locks), so they work over NFS too; where a file system has none, everybody may work at everything.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from seqbench.card.task import Trial

try:
    import fcntl
except ImportError:  # not on every system
    fcntl = None  # type: ignore[assignment]

TASK = 0  # the byte of task.toml
HELD = (errno.EACCES, errno.EAGAIN)


class Claims:
    """The claims of this process in one folder, which must be there; they end with the context."""

    def __init__(self, path: Path) -> None:
        self.file = os.open(path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def __enter__(self) -> Claims:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self.file)

    def claim(self, trial: Trial) -> bool:
        """Whether nobody else works at it, who from now on can't."""
        return self._lock(_byte(trial), wait=False)

    def release(self, trial: Trial) -> None:
        """Done with it."""
        if fcntl:
            with suppress(OSError):
                fcntl.lockf(self.file, fcntl.LOCK_UN, 1, _byte(trial))

    @contextmanager
    def task(self) -> Iterator[None]:
        """Alone with task.toml."""
        self._lock(TASK, wait=True)
        try:
            yield
        finally:
            if fcntl:
                with suppress(OSError):
                    fcntl.lockf(self.file, fcntl.LOCK_UN, 1, TASK)

    def _lock(self, byte: int, *, wait: bool) -> bool:
        if not fcntl:
            return True
        try:
            fcntl.lockf(self.file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, byte)
        except OSError as error:
            return error.errno not in HELD  # else the file system has no locks
        return True


def running(path: Path, trials: Iterable[Trial]) -> list[Trial]:
    """Those that another process has claimed in a folder."""
    file = path / ".lock"
    if not fcntl or not file.is_file():
        return []
    with open(file, "rb") as opened:
        return [trial for trial in trials if _is_held(opened.fileno(), _byte(trial))]


def _is_held(file: int, byte: int) -> bool:
    try:
        fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, byte)
    except OSError as error:
        return error.errno in HELD
    fcntl.lockf(file, fcntl.LOCK_UN, 1, byte)
    return False


def _byte(trial: Trial) -> int:
    return 1 + int(trial.key[:12], 16)
