"""How long a sweep will take, at most: from what a little of each kind of trial took, corrected by
what the trials themselves take."""

from __future__ import annotations

import heapq
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from seqbench.card.task import Trial

PRIOR = 10.0  # seconds of work that what was timed beforehand counts for
ENOUGH = 5.0  # seconds before anything is said where nothing was timed
GUESS = 1e-4  # seconds a training step and a time step; only ratios of it matter


@dataclass(frozen=True)
class Cost:
    """Seconds of each thing that a trial does; see `seqbench.training.timing.timed`."""

    step: float
    setup: float = 0.0
    evaluation: float = 0.0
    record: float = 0.0
    lengths: float = 0.0
    last: float = 0.0

    def until(self, trial: Trial, step: int) -> float:
        """The seconds that a trial takes up to a training step."""
        records = sum(at <= step for at in trial.recording.steps(trial.training.steps))
        return (
            self.setup
            + self.step * step
            + self.evaluation * (step // trial.training.eval_every + 1)
            + self.record * records
            + self.lengths * (step // trial.recording.every + 1)
        )

    def whole(self, trial: Trial) -> float:
        """The seconds of a trial that uses up its budget; two more records are made when it begins
        to learn."""
        return self.until(trial, trial.training.steps) + 2 * self.record + self.last


def kind(trial: Trial) -> str:
    """What trials that cost the same have in common."""
    cell = trial.cell.model_dump(exclude={"label", "learning_rate", "clip_norm", "group"})
    return json.dumps([cell, trial.length], sort_keys=True)


def makespan(seconds: Iterable[float], workers: int, busy: Sequence[float] = ()) -> float:
    """When all is done that is handed out in this order to whoever is free.

    Args:
        busy: seconds until each of the first workers is.
    """
    free = [*busy, *[0.0] * (workers - len(busy))]
    heapq.heapify(free)
    for one in seconds:
        heapq.heapreplace(free, free[0] + one)
    return max(free)


@dataclass
class _Pace:
    """Seconds that work was to take, and took."""

    expected: float = 0.0
    took: float = 0.0

    def ratio(self, prior: float, weight: float = PRIOR) -> float:
        """Took / expected, where `weight` seconds of other work took `prior` times as long."""
        expected = weight + self.expected
        return (weight * prior + self.took) / expected if expected else 1.0


@dataclass
class _Running:
    kind: str
    heard: float  # when, last
    done: float | None = None  # seconds of work until then, as expected; None: not heard of yet


class Forecast:
    """What is left of a sweep.

    Args:
        trials: what is to be run, in this order.
        costs: kind -> Cost, of those that were timed.
        workers: how many trials at a time.
    """

    def __init__(self, trials: Sequence[Trial], costs: Mapping[str, Cost], workers: int) -> None:
        self.workers, self.began = workers, time.monotonic()
        self.kinds = {trial.folder: kind(trial) for trial in trials}
        examples = {self.kinds[trial.folder]: trial for trial in trials}
        self.costs = _guessed(examples, costs)
        self.wholes = {one: self.costs[one].whole(trial) for one, trial in examples.items()}
        self.prior = PRIOR if costs else 0.0
        self.waiting = {trial.folder: trial for trial in trials}
        self.running: dict[str, _Running] = {}
        self.pace = _Pace()
        self.paces = {one: _Pace() for one in examples}

    def longest(self) -> tuple[Trial, float]:
        """Of those that wait: the one that takes longest, and its seconds."""
        folder = max(self.waiting, key=lambda folder: self.wholes[self.kinds[folder]])
        return self.waiting[folder], self.wholes[self.kinds[folder]]

    def start(self, trial: Trial) -> None:
        """A worker has a trial."""
        folder = trial.folder
        self.waiting.pop(folder, None)
        self.running[folder] = _Running(self.kinds[folder], time.monotonic())

    def step(self, trial: Trial, step: int) -> None:
        """A trial has come so far."""
        now, one = time.monotonic(), self.running[trial.folder]
        done = self.costs[one.kind].until(trial, step)
        # The first time tells where it began: it may have been resumed, or begun again.
        if one.done is not None and done > one.done:
            for pace in (self.pace, self.paces[one.kind]):
                pace.expected += done - one.done
                pace.took += now - one.heard
        one.done, one.heard = done, now

    def end(self, trial: Trial) -> None:
        """A trial has ended, or need not be run."""
        self.waiting.pop(trial.folder, None)
        self.running.pop(trial.folder, None)

    def ratios(self) -> dict[str, float]:
        """Kind -> how much longer than was foreseen its trials take."""
        ratio = self.pace.ratio(1.0, self.prior)
        return {one: pace.ratio(ratio) for one, pace in self.paces.items()}

    def corrected(self) -> dict[str, Cost]:
        """Kind -> cost, by what trials have taken."""
        return {
            one: Cost(**{name: ratio * seconds for name, seconds in vars(self.costs[one]).items()})
            for one, ratio in self.ratios().items()
        }

    def left(self) -> float | None:
        """Seconds, at most: a trial that is solved early ends early. None: not known yet."""
        now = time.monotonic()
        if not self.prior and (self.pace.expected <= 0 or now - self.began < ENOUGH):
            return None
        wholes = {one: ratio * self.wholes[one] for one, ratio in self.ratios().items()}
        busy = []
        for one in self.running.values():
            share = 1 - (one.done or 0.0) / self.wholes[one.kind]
            busy.append(max(0.0, share * wholes[one.kind] - (now - one.heard)))
        waiting = (wholes[self.kinds[folder]] for folder in self.waiting)
        return makespan(waiting, self.workers, busy)


def _guessed(examples: Mapping[str, Trial], costs: Mapping[str, Cost]) -> dict[str, Cost]:
    """A cost for each kind: of those that were not timed, by their length."""
    known = [costs[one].step / trial.length for one, trial in examples.items() if one in costs]
    guess = sum(known) / len(known) if known else GUESS
    return {
        one: costs.get(one) or Cost(step=guess * trial.length) for one, trial in examples.items()
    }
