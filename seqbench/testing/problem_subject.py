"""A problem to be checked, and what checks ask of it.

Shapes: T steps, B sequences, O outputs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seqbench.problems.batch import Batch, Capabilities, Problem, capabilities

MANY = 4000  # sequences of a simulation


@dataclass
class ProblemSubject:
    """A problem to be checked.

    Attributes:
        cls: called as cls(length, **options).
        length: what it is tried with.
        options: for the constructor.
    """

    cls: type
    length: int = 20
    options: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def problem(self) -> Problem:
        """At that length."""
        return self.cls(self.length, **self.options)

    @cached_property
    def can(self) -> Capabilities:
        """What it offers."""
        return capabilities(self.problem)

    def draw(self, size: int = 8, seed: int = 0) -> Batch:
        """Sequences, always the same."""
        return self.problem.sample(size, torch.Generator().manual_seed(seed))

    @cached_property
    def many(self) -> Batch:
        """For simulations."""
        return self.draw(MANY)

    def perfect(self, batch: Batch) -> Tensor:
        """The outputs of one who knows all, at all steps, [T, B, O]."""
        if batch.targets.is_floating_point():
            return batch.targets
        return 30.0 * F.one_hot(batch.targets, self.problem.output_size).float()

    def numbers(self, outputs: Tensor, batch: Batch) -> dict[str, float]:
        """What `score` says of outputs at all steps."""
        steps = batch.scored_steps()
        answers = outputs[steps] if self.can.answers is None else self.can.answers(outputs[steps])
        return self.problem.score(answers, batch.targets[steps], batch.weights[steps])

    def mean_loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The loss as the suite weights it, of outputs at all steps."""
        losses_TB = self.problem.loss(outputs, batch.targets)
        return (losses_TB * batch.loss_weights()).sum(0).mean()
