"""What a problem hands out, and what it must be able to say of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from seqbench.errors import InputError


@dataclass(frozen=True)
class Batch:
    """Sequences with their targets, time first.

    Attributes:
        inputs: [T, B, I]. Sequences shorter than T are padded with zeros *after* their end.
        targets: [T, B] class indices, or [T, B, D] real values; read where a weight is not 0.
        weights: [T, B], not negative: which steps are scored, and how much each counts within its
            own sequence. Each sequence has at least one.
    """

    inputs: Tensor
    targets: Tensor
    weights: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        parts = (self.inputs, self.targets, self.weights)
        if device.type == "cuda":  # from pinned memory, so that nobody waits for the copy
            return Batch(*(x.pin_memory().to(device, non_blocking=True) for x in parts))
        return Batch(*(x.to(device) for x in parts))

    def scored_steps(self) -> Tensor:
        """0-based steps at which at least one sequence is scored, [S], ascending."""
        return (self.weights > 0).any(1).nonzero().squeeze(1)

    def loss_weights(self) -> Tensor:
        """Weights that sum to 1 over each sequence, [T, B]: its loss is a weighted mean."""
        return self.weights / self.weights.sum(0)

    def last_scored_step(self) -> Tensor:
        """1-based index of each sequence's last scored step, [B]."""
        steps = torch.arange(1, len(self.weights) + 1, device=self.weights.device)
        return ((self.weights > 0) * steps[:, None]).amax(0)


class Baseline(NamedTuple):
    """What partial knowledge earns, in closed form: the training loss, and the share right."""

    loss: float
    score: float


def check_train_set(train_set: int) -> int:
    """A size of the training set, 0 for fresh sequences.

    Raises:
        InputError: not a whole number, or negative.
    """
    if type(train_set) is not int or train_set < 0:
        raise InputError(f"problem.train_set = {train_set!r}\nallowed: 0 (fresh) or more, whole")
    return train_set


class Problem(Protocol):
    """What the suite asks of a problem; nothing to inherit.

    The constructor takes (length, **options), `protocol` among the options, and raises InputError
    when a length or an option can't be.

    Attributes:
        input_size: I, columns of the inputs.
        output_size: O, columns of the readout.
        steps: the largest number of time steps of a sequence (copy: length + 20).
        train_set: how many training sequences there are, over and over in the same order; 0: every
            batch is fresh.
        baselines: name -> Baseline; the first one is the reference ("has learned something").
    """

    input_size: int
    output_size: int
    steps: int
    train_set: int
    baselines: dict[str, Baseline]

    def sample(self, batch_size: int, generator: torch.Generator) -> Batch:
        """Draw sequences, on the CPU, from this generator alone."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Outputs [S, B, O] and targets at the scored steps -> the loss of each, [S, B]."""

    def score(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> dict[str, float]:
        """Numbers over a whole evaluation set, [S, N, O]: "score" (share right, higher is better)
        and any further ones, which become columns of the curves."""

    def solved(self, numbers: dict[str, float]) -> bool:
        """Whether one evaluation meets the criterion; three in a row make the trial solved."""

    def anchors(self, batch: Batch) -> list[Tensor]:
        """Scored steps that a gradient is started from: each [B], 1-based, an example's own."""

    def needed_lags(self, batch: Batch) -> list[Tensor]:
        """For each anchor the lags at which what it needs was shown, [B, n]."""
