"""Timing two or more sides of a comparison fairly: interleaved, one thread, ratios of medians."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass
class Row:
    """One comparison.

    Attributes:
        work: what was done, as "lstm T=200 B=50 H=128".
        side: how, as "segments of 22".
        against: what it is compared with.
        value: the ratio (or the number in `unit`) that the target is about.
        target: at most this; None: no target. With `at_least`, at least this.
        spread: lower and upper quartile of the rounds' own values.
        more: further figures, by name: medians in ms, compile seconds, ...
    """

    work: str
    side: str
    against: str
    value: float
    target: float | None = None
    unit: str = "x"
    at_least: bool = False
    spread: tuple[float, float] | None = None
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None if there is none."""
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target


@dataclass
class Table:
    """What one module measured; `notes` say what was not, and why."""

    title: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def interleaved(
    sides: Mapping[str, Callable[[], Any]],
    *,
    seconds: float = 15.0,
    fewest: int = 7,
    most: int = 200,
    wait: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of each side, round after round, after one round that is not counted.

    Args:
        seconds: rounds are taken until so much time is spent, but no fewer than `fewest`.
        wait: waits for the device.
        clock: what tells the seconds; time.process_time where others use the machine.
    """
    for run in sides.values():
        run()
    taken: dict[str, list[float]] = {name: [] for name in sides}
    end = time.perf_counter() + seconds
    for done in range(most):
        if done >= fewest and time.perf_counter() > end:
            break
        for name, run in sides.items():
            wait()
            started = clock()
            run()
            wait()
            taken[name].append(clock() - started)
    return taken


def ratio(ours: list[float], theirs: list[float]) -> tuple[float, tuple[float, float]]:
    """The ratio of medians, and the quartiles of the rounds' ratios."""
    each = sorted(a / b for a, b in zip(ours, theirs, strict=True))
    low, _, high = statistics.quantiles(each, n=4) if len(each) > 1 else each * 3
    return statistics.median(ours) / statistics.median(theirs), (low, high)


@contextmanager
def one_thread() -> Iterator[None]:
    """The setting of every figure on a CPU: one thread, subnormal numbers flushed to zero."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(threads)
