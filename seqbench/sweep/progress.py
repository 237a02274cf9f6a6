"""What a sweep shows while it runs: a live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from seqbench.card.status import Status
from seqbench.card.task import Trial
from seqbench.errors import printable, say
from seqbench.sweep import outlook
from seqbench.sweep.forecast import Forecast

TICK = 0.25  # seconds between two looks of the clock
NOTE = 5.0  # seconds between two notes for others
HEARTBEAT = 30.0  # seconds between plain lines while nothing finishes


def name(trial: Trial) -> str:
    """A trial in words."""
    return f"{trial.cell.label} T={trial.length} seed {trial.seed}"


def duration(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


@dataclass
class _Running:
    trial: Trial
    step: int = 0
    loss: float = math.nan


class Display:
    """Plain lines on stderr; a base for the live one, which shows the same things.

    Args:
        forecast: of the trials that there are to run.
        path: the run's folder, for those who look from outside.
    """

    says_time_left = True

    def __init__(self, forecast: Forecast, path: Path) -> None:
        self.path, self.noted = path, -math.inf
        self.forecast, self.total, self.done = forecast, len(forecast.waiting), 0
        self.running: dict[str, _Running] = {}
        self.started = self.spoken = time.monotonic()
        self.waiting = False
        self.lock = threading.RLock()  # between the sweep and the clock
        self.over = threading.Event()
        self.clock = threading.Thread(target=self.run_clock, daemon=True)

    def __enter__(self) -> Display:
        self.clock.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.clock.join()
        if self.done == self.total:
            outlook.drop(self.path)

    def run_clock(self) -> None:
        """Show the passing of time."""
        while not self.over.wait(TICK):
            with self.lock, suppress(OSError, ValueError):  # a terminal that is gone
                self.tick()
                if time.monotonic() - self.noted > NOTE:
                    outlook.write(self.path, self.forecast)
                    self.noted = time.monotonic()

    def start(self, trial: Trial) -> None:
        """A trial has begun."""
        with self.lock:
            self.running[trial.folder] = _Running(trial)
            self.forecast.start(trial)

    def step(self, trial: Trial, step: int, loss: float) -> None:
        """A trial has been evaluated."""
        with self.lock:
            self.running[trial.folder] = _Running(trial, step, loss)
            self.forecast.step(trial, step)

    def resume(self, trial: Trial, step: int, fault: str) -> None:
        """A trial goes on from a checkpoint, or starts anew because it can't."""
        with self.lock:
            if fault:
                self.say(f"        {name(trial)}: not resumed from its checkpoint: {fault}")
                return
            self.running[trial.folder] = _Running(trial, step)
            self.say(f"        {name(trial)}: resumed at step {step:,}")

    def complain(self, trial: Trial, fault: str) -> None:
        """A checkpoint could not be kept, if there is a fault."""
        if fault:
            with self.lock:
                self.say(f"        {name(trial)}: no checkpoint: {fault}")

    def finish(self, trial: Trial, summary: dict[str, Any]) -> None:
        """A trial has ended."""
        with self.lock:
            self.running.pop(trial.folder, None)
            self.forecast.end(trial)
            self.done += 1
            seconds = summary.get("seconds")
            took = f" ({duration(seconds)})" if seconds else ""
            more = self.says_time_left and self.done < self.total
            left = f"; {self.time_left()}" if more else ""
            ending = Status(summary["status"]).of(summary)
            self.say(f"[{self.done}/{self.total}] {name(trial)}: {ending}{took}{left}")

    def tick(self) -> None:
        """Called by the clock."""
        if time.monotonic() - self.spoken > HEARTBEAT:
            for one in self.running.values():
                self.say(f"        {name(one.trial)}: {progress_of(one)}")
            self.say(f"        {self.time_left()}")

    def spare(self, trial: Trial) -> None:
        """A trial need not be run after all."""
        with self.lock:
            self.forecast.end(trial)
            self.total -= 1

    def wait(self, count: int) -> None:
        """All that is left is being run by another command."""
        with self.lock:
            if not self.waiting:
                self.say(f"{count} trials are being run by another command: waiting for them")
            self.waiting = True

    def say(self, line: str) -> None:
        """One line, kept."""
        say(line)
        self.spoken = time.monotonic()

    def time_left(self) -> str:
        """An upper bound: a trial that is solved early ends early."""
        if self.done == self.total:
            return f"in {duration(time.monotonic() - self.started)}"
        left = self.forecast.left()
        return "time left: not known yet" if left is None else f"at most {duration(left)} left"


def progress_of(one: _Running) -> str:
    """Where a running trial is."""
    loss = "" if math.isnan(one.loss) else f", loss {one.loss:.4g}"
    return f"step {one.step:,}/{one.trial.training.steps:,}{loss}"


class LiveDisplay(Display):
    """The same on a terminal: a bar, and a line for every running trial."""

    says_time_left = False  # the bar does

    def __init__(self, forecast: Forecast, path: Path) -> None:
        super().__init__(forecast, path)
        self.bar = Progress(
            TextColumn("trials"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
        )
        self.bar_task = self.bar.add_task("trials", total=self.total, left="")
        self.console = Console(stderr=True)
        # Refreshed by the clock alone: lines and display can't get into each other's way.
        self.live = Live(console=self.console, get_renderable=self.render, auto_refresh=False)

    def __enter__(self) -> LiveDisplay:
        self.live.start()
        super().__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        with suppress(OSError, ValueError):
            self.live.stop()

    def tick(self) -> None:
        """Draw again."""
        self.live.refresh()

    def say(self, line: str) -> None:
        """One line above the display."""
        with suppress(OSError, ValueError):
            self.console.print(Text(printable(line), overflow="fold"))

    def render(self) -> Group:
        """The bar and the running trials."""
        self.bar.update(self.bar_task, completed=self.done, left=self.time_left())
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for one in list(self.running.values()):
            table.add_row(Text(name(one.trial)), Text(progress_of(one)))
        return Group(self.bar, table)


class Silent(Display):
    """Nothing at all."""

    def say(self, line: str) -> None:
        """Not said."""


def display(forecast: Forecast, path: Path, quiet: bool = False) -> Display:
    """The right one for where stderr goes."""
    if quiet:
        return Silent(forecast, path)
    return (LiveDisplay if sys.stderr.isatty() else Display)(forecast, path)
