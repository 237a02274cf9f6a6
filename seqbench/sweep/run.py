"""Runs the trials of a task: one trial a core, each in a fresh interpreter, largest first.

What is finished stays finished: every trial writes itself down, and the same command again runs
only what is missing.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from seqbench import results
from seqbench.card.extend import merge
from seqbench.card.status import Status
from seqbench.card.task import Task, Trial
from seqbench.errors import InputError
from seqbench.sweep.plan import Plan, lay_out, plan
from seqbench.sweep.progress import Display, display, size


def run(
    task: str | Path | Task,
    out: str | Path | None = None,
    *,
    cells: str | Sequence[str | type] | None = None,
    lengths: Iterable[int] | None = None,
    seeds: int | None = None,
    steps: int | None = None,
    overrides: dict[str, Any] | None = None,
    workers: int | None = None,
    device: str = "cpu",
    quiet: bool = False,
) -> results.Results:
    """Run a task, or what is missing of it.

    Args:
        task: a bundled name, the path of a card, or a Task.
        out: the run's folder; default runs/NAME.
        cells: labels or names of the card's cells, other specs, or classes (those run in this
            process), as a list or as text with commas; default: the card's.
        lengths, seeds, steps: in place of the card's.
        overrides: dotted key -> value, in place of the card's.
        workers: how many trials at a time; default one a core.
        device: "cpu", "cuda", or "auto" (cuda where there is one).
        quiet: show no progress.

    Returns:
        The run, opened.

    Raises:
        InputError: anything in the card or the arguments that can't be.
    """
    planned = plan(task, out, cells=cells, lengths=lengths, seeds=seeds, steps=steps,
                   overrides=overrides)  # fmt: skip
    return carry_out(planned, workers=workers, device=device, quiet=quiet)


def carry_out(
    planned: Plan, *, workers: int | None = None, device: str = "cpu", quiet: bool = False
) -> results.Results:
    """Run what a plan says is missing, learning rates first, and open the run.

    Raises:
        InputError: no such device, or the folder can't be written.
        KeyboardInterrupt: passes through once the workers are stopped; what is finished is kept.
    """
    device = check_device(device)
    check_workers(workers)
    if planned.first:
        if not quiet:
            tuning = planned.task.tuning
            rates = ", ".join(f"{rate:g}" for rate in tuning.learning_rates)
            print(f"first the learning rates, of {rates}: {len(planned.first.missing)} trials",
                  file=sys.stderr, flush=True)  # fmt: skip
        carry_out(planned.first, workers=workers, device=device, quiet=quiet)
        planned = lay_out(planned.path, planned.task, planned.cells, choose_now=True)
    make_folder(planned)
    here, away = [], []
    for trial in planned.missing:
        (here if isinstance(planned.cells[trial.cell.label], type) else away).append(trial)
    with display(len(planned.missing), sum(map(size, planned.missing)), quiet) as shown:
        if away:
            count = min(workers or cores(), len(away))
            _Workers(planned, device, shown, away, count).serve()
        if here:
            _run_here(planned, device, shown, here)
    return results.load(planned.path)


def check_device(device: str) -> str:
    """ "cpu" or "cuda" from what was asked.

    Raises:
        InputError: another word, or no such device here.
    """
    if device not in ("cpu", "cuda", "auto"):
        raise InputError(f"--device {device}\nallowed: cpu, cuda, auto")
    if device == "cpu":
        return device
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        raise InputError("--device cuda: torch finds no such device here\nallowed: cpu, auto")
    return "cpu"


def check_workers(workers: int | None) -> None:
    """Raises InputError for less than one worker."""
    if workers is not None and workers < 1:
        raise InputError(f"--workers {workers}\nallowed: 1 or more")


def make_folder(planned: Plan) -> None:
    """Write the run's task.toml, which also shows that the folder can be written.

    Raises:
        InputError: it can't.
    """
    try:
        # Once more: another command may have added to the task since the plan was made.
        stored = results.read_task(planned.path)
        whole = merge(stored, planned.stored, str(planned.path)) if stored else planned.stored
        results.write_task(planned.path, whole)
        (planned.path / "trials").mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(
            f"--out {planned.path}: can't be written: {error.strerror}\n"
            "allowed: a folder that you may write to"
        ) from None


def cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def _run_here(planned: Plan, device: str, shown: Display, trials: list[Trial]) -> None:
    from seqbench.sweep.worker import execute

    for trial in trials:
        shown.start(trial)

        def progress(step: int, loss: float, trial: Trial = trial) -> None:
            shown.step(trial, step, loss)
            shown.tick()

        cls = planned.cells[trial.cell.label]
        shown.finish(trial, execute(planned.path, trial, cls, device, progress))


class _Workers:
    """Worker processes, a thread for each to talk to it; the display belongs to this thread."""

    def __init__(
        self, planned: Plan, device: str, shown: Display, trials: list[Trial], count: int
    ) -> None:
        self.planned, self.device, self.shown, self.count = planned, device, shown, count
        self.todo = deque(trials)
        self.events: queue.SimpleQueue[tuple[str, Any, Any]] = queue.SimpleQueue()
        self.processes: list[subprocess.Popen] = []
        self.stopping = False

    def serve(self) -> None:
        """Until every trial has ended."""
        threads = [threading.Thread(target=self.feed, daemon=True) for _ in range(self.count)]
        try:
            for thread in threads:
                thread.start()
            alive = len(threads)
            while alive:
                self.shown.tick()
                try:
                    kind, trial, told = self.events.get(timeout=0.25)
                except queue.Empty:
                    continue
                match kind:
                    case "start":
                        self.shown.start(trial)
                    case "step":
                        self.shown.step(trial, told["step"], told["loss"])
                    case "finish":
                        self.shown.finish(trial, told)
                    case "broken":
                        raise told
                    case "end":
                        alive -= 1
        finally:
            self.stopping = True
            for process in self.processes:
                process.kill()
                process.wait()

    def feed(self) -> None:
        """One worker's thread: hand it trials until there are none; replace it if it dies."""
        process = None
        try:
            while (trial := self.take()) is not None:
                if process is None or process.poll() is not None:
                    process, last_words = self.spawn()
                self.events.put(("start", trial, None))
                summary = self.hand_over(process, trial)
                if summary is None and not self.stopping:
                    process.wait()
                    said = " / ".join(last_words)
                    told = f"the worker died with status {process.returncode}: {said}"
                    summary = {"status": Status.ERROR, "error": told}
                if summary is not None:
                    self.events.put(("finish", trial, summary))
        except BaseException as error:
            self.events.put(("broken", None, error))
        finally:
            self.events.put(("end", None, None))

    def take(self) -> Trial | None:
        """The next trial, if there is one."""
        try:
            return None if self.stopping else self.todo.popleft()
        except IndexError:
            return None

    def hand_over(self, process: subprocess.Popen, trial: Trial) -> dict[str, Any] | None:
        """One job; its summary, or None if the worker ended first."""
        job = {
            "path": str(self.planned.path.resolve()),
            "trial": trial.model_dump(),
            "cell": self.planned.cells[trial.cell.label],
            "device": self.device,
        }
        try:
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            return None
        for line in process.stdout:
            told = json.loads(line)
            if "summary" in told:
                return told["summary"]
            self.events.put(("step", trial, told))
        return None

    def spawn(self) -> tuple[subprocess.Popen, deque[str]]:
        """A fresh interpreter with one thread, in a session of its own (Ctrl-C is for us)."""
        environment = os.environ | {
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        }
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "seqbench.sweep.worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            encoding="utf-8", errors="replace", env=environment, start_new_session=True,
        )  # fmt: skip
        self.processes.append(process)
        if self.stopping:
            process.kill()
        last_words: deque[str] = deque(maxlen=3)
        threading.Thread(
            target=lambda: last_words.extend(line.strip() for line in process.stderr), daemon=True
        ).start()
        return process, last_words
