"""What a trial draws: a seed for each purpose, its problem, its training batches."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import torch

from seqbench import plugins
from seqbench.card.task import Trial
from seqbench.problems.batch import Batch, Problem, capabilities


def seed_for(purpose: str, trial: Trial, *, by_seed: bool = True) -> int:
    """A seed of its own for each purpose; the cell has no part in it, so all cells share batches.

    Args:
        by_seed: False for what is the same in all trials of a length (the probe batch).
    """
    parts = [purpose, trial.problem.model_dump(), trial.length, trial.seed if by_seed else None]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(purpose: str, trial: Trial, *, by_seed: bool = True) -> torch.Generator:
    """A CPU generator seeded for one purpose."""
    return torch.Generator().manual_seed(seed_for(purpose, trial, by_seed=by_seed))


def make_problem(trial: Trial) -> Problem:
    """The trial's problem, looked up, at its length.

    Raises:
        InputError: no such protocol, an option's value that can't be, or the length is too short.
    """
    cls = plugins.load(trial.problem.source)
    return cls(trial.length, **trial.problem.options)


class Batches:
    """Training batches, the same for every cell; a fixed training set starts over at its end."""

    def __init__(self, trial: Trial, problem: Problem) -> None:
        self.problem, self.batch_size = problem, trial.training.batch_size
        self.train_set = capabilities(problem).train_set
        self.seed = seed_for("train", trial)
        self.generator = torch.Generator().manual_seed(self.seed)
        self.drawn = 0  # sequences since the set began

    def state(self) -> dict[str, Any]:
        """What `restore` takes, for a trial that goes on later."""
        return {"generator": self.generator.get_state(), "drawn": self.drawn}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.generator.set_state(state["generator"])
        self.drawn = state["drawn"]

    def next(self) -> Batch:
        """The next batch."""
        size, whole = self.batch_size, self.train_set
        if whole:
            if self.drawn == whole:
                self.generator.manual_seed(self.seed)
                self.drawn = 0
            size = min(size, whole - self.drawn)  # the last batch of a set may be smaller
            self.drawn += size
        return self.problem.sample(size, self.generator)
