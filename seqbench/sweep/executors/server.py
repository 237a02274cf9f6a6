"""A process that starts workers: `python -c "... main()"`, asked over a socket.

Where it may fork, it has imported torch before, so that a worker costs milliseconds instead of
seconds; nobody's code but ours has run in it, so that no trial sees another's traces. Elsewhere (a
GPU, whose state does not survive a fork; a system other than Linux) each worker is a fresh
interpreter. Either way a worker is a session of its own without a terminal, it ends when the server
does, and the server ends when whoever started it does.

Asked: one byte (what kind of worker), with three file descriptors of the worker-to-be. `data`: its
request in, messages out (see `messages`). `status`: the server writes "pid N" and "exit N" (below
0: a signal's number); when the other end closes, the worker is killed. `words`: what it prints.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import traceback
from typing import NoReturn

from seqbench.errors import InputError
from seqbench.sweep.executors.messages import pack, receive

FORK, TRAIN, FRESH = b"F", b"T", b"N"  # a fork; one that will train; an interpreter of its own
BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from seqbench.sweep.executors import server; server.{}(*map(int, sys.argv[2:]))"
)
PRELOADED = ("pyarrow.parquet", "seqbench.sweep.worker", "seqbench.sweep.look", "faulthandler")
PR_SET_PDEATHSIG = 1


def main(control_fd: int) -> None:
    """Serve until the other end of the control socket closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent(signal.SIGKILL)  # while it imports; from then on it ends its workers first
    Server(socket.socket(fileno=control_fd)).serve()


def can_fork() -> bool:
    """Whether a process that has imported torch may fork."""
    return sys.platform == "linux"


class Server:
    """Starts workers, reaps them, ends those whose owner has gone."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.trains = False  # whether it has what training needs besides
        self.workers: dict[int, socket.socket] = {}  # process -> status
        self.selector = selectors.DefaultSelector()
        self.woken, wake = socket.socketpair()
        wake.setblocking(False)
        self.wake = wake  # kept open: a signal writes to it
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        self.selector.register(control, selectors.EVENT_READ, self.start)
        self.selector.register(self.woken, selectors.EVENT_READ, self.reap)

    def serve(self) -> None:
        """Until there is nobody left to serve."""
        if can_fork():
            preload()
        end_with_parent(0)
        while True:
            for key, _ in self.selector.select():
                key.data(key.fileobj)

    def start(self, control: socket.socket) -> None:
        """Start the worker that is asked for, or end with all of them."""
        asked, fds, _, _ = socket.recv_fds(control, 1, 3)
        if not asked:
            for pid in self.workers:
                end_group(pid)
            os._exit(0)
        data, status, words = fds
        if asked == TRAIN and not self.trains:
            preload_training()
            self.trains = True
        pid = fresh(data, words) if asked == FRESH else fork(data, words)
        os.close(data)
        os.close(words)
        self.workers[pid] = socket.socket(fileno=status)
        self.selector.register(self.workers[pid], selectors.EVENT_READ, self.hang_up)
        self.tell(pid, f"pid {pid}\n")

    def hang_up(self, status: socket.socket) -> None:
        """The owner of a worker wants it ended, or is gone."""
        self.selector.unregister(status)
        end_group(next(pid for pid, known in self.workers.items() if known is status))

    def reap(self, woken: socket.socket) -> None:
        """Say how workers ended; what they started themselves ends too."""
        woken.recv(4096)
        while self.workers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            end_group(pid)
            if pid in self.workers:
                self.tell(pid, f"exit {os.waitstatus_to_exitcode(status)}\n")
                connection = self.workers.pop(pid)
                if connection.fileno() in self.selector.get_map():
                    self.selector.unregister(connection)
                connection.close()

    def tell(self, pid: int, line: str) -> None:
        """A line to a worker's owner, who may be gone."""
        try:
            self.workers[pid].sendall(line.encode())
        except OSError:
            end_group(pid)


def preload() -> None:
    """Import what every worker needs; what is there now is shared between them."""
    for name in PRELOADED:
        importlib.import_module(name)
    import torch

    from seqbench.engine import kernels

    torch.set_num_threads(1)
    kernels.form()
    gc.collect()
    gc.freeze()


def preload_training() -> None:
    """What would take each trial as long as some hundred steps: torch's first optimiser imports its
    compiler, and the first use of a kernel compiles it or reads it from where it is kept."""
    import torch

    from seqbench.engine import kernels

    torch.optim.SGD([torch.zeros(1)])
    kernels.warm()
    gc.collect()
    gc.freeze()


def end_group(pid: int) -> None:
    """Kill a process and all that it has started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def fork(data: int, words: int) -> int:
    """A copy of this process as the worker; returns its number."""
    server = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDONLY)
        kept = (os.dup2(nothing, 0), os.dup2(words, 1), os.dup2(words, 2), data)
        signal.set_wakeup_fd(-1)
        for fd in map(int, os.listdir("/proc/self/fd")):
            if fd not in kept:
                with contextlib.suppress(OSError):  # the listing's own
                    os.close(fd)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        work(data, server)
    finally:
        os._exit(1)


def fresh(data: int, words: int) -> int:
    """A fresh interpreter as the worker; returns its number."""
    import json

    boot = [sys.executable, "-P", "-c", BOOT.format("work"), json.dumps(sys.path)]
    process = subprocess.Popen(
        [*boot, str(data), str(os.getpid())],
        pass_fds=[data],
        stdin=subprocess.DEVNULL,
        stdout=words,
        stderr=words,
        start_new_session=True,
    )
    process.returncode = 0  # the server reaps it
    return process.pid


def work(data: int, server: int) -> NoReturn:
    """Be a worker: take the request, say what its function yields, and end."""
    die_with(server)
    import faulthandler

    faulthandler.enable(file=2)
    connection = socket.socket(fileno=data)
    status = 1
    try:
        request = receive(connection)
        if request is not None:
            carry_out(connection, *request)
            status = 0
    except InputError as error:
        connection.sendall(pack({"refused": str(error)}))
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(status & 0xFF)


def carry_out(connection: socket.socket, head: dict, parts: dict[str, bytes]) -> None:
    """Call the function that a request names, in the circumstances of whoever asked."""
    os.chdir(head["folder"])
    os.environ.clear()
    os.environ.update(head["environment"])
    sys.path[:] = head["path"]
    module, _, name = head["function"].rpartition(":")
    argument = head["argument"] | parts
    for told in getattr(importlib.import_module(module), name)(argument):
        connection.sendall(pack(*told))
    connection.sendall(pack({"complete": True}))  # and no exit of somebody's on the way


def die_with(parent: int) -> None:
    """End when the parent ends, however that happens; where the system can do that."""
    end_with_parent(signal.SIGKILL)
    if sys.platform == "linux" and os.getppid() != parent:
        os._exit(1)


def end_with_parent(how: int) -> None:
    """Have the system send this process a signal when its parent ends; 0: none."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, how)
