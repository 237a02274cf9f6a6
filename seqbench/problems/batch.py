"""What a problem hands out, what it must be able to say of itself, and what it may."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Sequences with their targets, time first.

    Attributes:
        inputs: [T, B, I]; or [T, B] whole numbers, tokens that the model embeds, for a problem that
            has a `vocabulary`. Sequences shorter than T are padded with zeros *after* their end.
        targets: [T, B] class indices, or [T, B, D] real values; read where a weight is not 0.
        weights: [T, B], not negative: which steps are scored, and how much each counts within its
            own sequence. Each sequence has at least one.
    """

    inputs: Tensor
    targets: Tensor
    weights: Tensor

    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs, targets, weights."""
        return self.inputs, self.targets, self.weights

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        if device.type == "cuda":  # from pinned memory, so that nobody waits for the copy
            return Batch(*(x.pin_memory().to(device, non_blocking=True) for x in self.parts()))
        return Batch(*(x.to(device) for x in self.parts()))

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


class Problem(Protocol):
    """What the suite asks of a problem; nothing to inherit. What it may offer: `Capabilities`.

    The constructor takes (length, **options), `protocol` among the options, and raises InputError
    when a length or an option can't be.

    Attributes:
        input_size: I, columns of the inputs (the width of the embedding is the model's affair).
        output_size: O, columns of the readout.
        steps: the largest number of time steps of a sequence (copy: length + 20).
        baselines: name -> Baseline; the first one is the reference ("has learned something").
    """

    input_size: int
    output_size: int
    steps: int
    baselines: dict[str, Baseline]

    def sample(self, batch_size: int, generator: torch.Generator) -> Batch:
        """Draw sequences, on the CPU, from this generator alone."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Outputs [S, B, O] and targets at the scored steps -> the loss of each, [S, B]; each from
        its own output and target alone."""

    def score(self, answers: Tensor, targets: Tensor, weights: Tensor) -> dict[str, float]:
        """Numbers over a whole evaluation set of N sequences: "score" (share right, higher is
        better), "share_learned" (how much of what was to be learned is: 0 for one who knows
        nothing, 1 for all), and any further ones, which become columns of the curves.

        Args:
            answers: the outputs [S, N, O], or what `Capabilities.answers` keeps of them.
            targets: [S, N] or [S, N, D]; weights: [S, N]; where a weight is 0 nothing is asked.
        """

    def solved(self, numbers: dict[str, float]) -> bool:
        """Whether one evaluation meets the criterion; three in a row make the trial solved."""

    def anchors(self, batch: Batch) -> list[Tensor]:
        """Scored steps that a gradient is started from: each [B], 1-based, an example's own."""

    def needed_lags(self, batch: Batch) -> list[Tensor]:
        """For each anchor the lags at which what it needs was shown, [B, n]."""


def missing(problem: Any) -> list[str]:
    """What `Problem` asks for and this object has not."""
    asked = [*Problem.__annotations__, *vars(Problem)]
    return [name for name in asked if not name.startswith("_") and not hasattr(problem, name)]


@dataclass(frozen=True)
class Capabilities:
    """What a problem may offer besides: attributes and methods of these names, all optional.

    Attributes:
        train_set: how many training sequences there are, over and over in the same order; 0: every
            batch is fresh.
        vocabulary: inputs are tokens 0..vocabulary-1, [T, B], which the model embeds; 0: [T, B, I].
        answers: outputs [S, B, O] at some scored steps -> what `score` needs of them, [S, B, ...],
            for a problem whose outputs over a whole evaluation set would not fit.
        held_out: (part, size, generator) -> Batch of at most `size` different sequences of the part
            "validation" or "test", for finite data: `sample` then draws training data alone,
            evaluations while training see the validation part, and the test part is seen at the
            end.
        training_set: () -> all training data as one Batch, for finite data.
        symbols: names of the symbols that one-hot columns or tokens stand for.
        channels: names of the columns of real-valued inputs.
        classes: names of the classes that are asked for.
        blank_steps: 0-based steps at which nothing is shown and nothing asked; the Jacobian is
            looked at there.
        value_gradient: batch -> d target / d inputs[..., 0], [T, B]; needed by "credit".
    """

    train_set: int = 0
    vocabulary: int = 0
    answers: Callable[[Tensor], Tensor] | None = None
    held_out: Callable[[str, int, torch.Generator], Batch] | None = None
    training_set: Callable[[], Batch] | None = None
    symbols: Sequence[str] = ()
    channels: Sequence[str] = ()
    classes: Sequence[str] = ()
    blank_steps: range | None = None
    value_gradient: Callable[[Batch], Tensor] | None = None


def capabilities(problem: Any) -> Capabilities:
    """What a problem offers; the one place that looks whether it does."""
    names = [field.name for field in fields(Capabilities)]
    return Capabilities(
        **{name: getattr(problem, name) for name in names if hasattr(problem, name)}
    )
