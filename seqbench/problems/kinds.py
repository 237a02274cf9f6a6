"""What most problems share: how real values and classes are scored.

A problem may derive from one of these two classes, use the functions, or write its own.
Shapes: S scored steps, N sequences, O outputs, D values of a target.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from seqbench.problems.batch import Baseline, Batch


def share_learned(nothing: float, got: float, all_: float) -> float:
    """Where `got` lies between what is had by one who knows nothing (0) and by one who knows all
    (1); clipped to these."""
    return min(max((nothing - got) / (nothing - all_), 0.0), 1.0)


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Of each step, [S, N, O] and [S, N] -> [S, N]."""
    return F.cross_entropy(outputs.flatten(0, 1), targets.flatten(), reduction="none").view(
        targets.shape
    )


def mean_squared_error(outputs: Tensor, targets: Tensor, weights: Tensor) -> float:
    """Over the scored steps of all sequences, in float64."""
    return (outputs - targets)[weights > 0].double().square().mean().item()


def one_hot(symbols_TB: Tensor, size: int, ends_B: Tensor | None = None) -> Tensor:
    """Each symbol as a column of ones and zeros, [T, B] -> [T, B, size]; after a sequence's end
    zeros alone.

    Args:
        ends_B: how many steps each sequence has; None: all T.
    """
    T, B = symbols_TB.shape
    if ends_B is None:
        return torch.zeros(T, B, size).scatter_(2, symbols_TB[:, :, None], 1.0)
    inside_TB1 = (torch.arange(T)[:, None] < ends_B)[:, :, None].float()
    return torch.zeros(T, B, size).scatter_(2, symbols_TB[:, :, None], inside_TB1)


def asked_at_end(inputs: Tensor, answers_B: Tensor, ends_B: Tensor | None = None) -> Batch:
    """Sequences that are scored at one step each.

    Args:
        inputs: as in `Batch`.
        answers_B: what is asked, [B] class indices or real values.
        ends_B: 1-based steps at which; None: the last one.
    """
    T, B = inputs.shape[:2]
    last_1B = torch.full((1, B), T - 1) if ends_B is None else ends_B[None] - 1
    targets_TB = torch.zeros(T, B, dtype=answers_B.dtype).scatter_(0, last_1B, answers_B[None])
    weights_TB = torch.zeros(T, B).scatter_(0, last_1B, 1.0)
    real = answers_B.is_floating_point()
    return Batch(inputs, targets_TB[:, :, None] if real else targets_TB, weights_TB)


class _AskedLast:
    def anchors(self, batch: Batch) -> list[Tensor]:
        """The last scored step of each sequence."""
        return [batch.last_scored_step()]


class Regression(_AskedLast):
    """Real values, by squared error.

    Attributes:
        tolerance: an answer is right when it is off by less.
        solved_share: share right at which an evaluation counts as solved.
        baselines: the first is the reference of `share_learned`, 1 - MSE/its loss.
    """

    tolerance: float
    solved_share: ClassVar[float] = 0.95
    baselines: dict[str, Baseline]

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Squared error, [S, N, D] -> [S, N], the mean over the D values."""
        return (outputs - targets).square().mean(-1)

    def score(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> dict[str, float]:
        """Share within the tolerance, share learned, root of the mean squared error."""
        error = (outputs - targets)[weights > 0]
        mse = mean_squared_error(outputs, targets, weights)
        nothing = next(iter(self.baselines.values())).loss
        return {
            "score": (error.abs() < self.tolerance).double().mean().item(),
            "share_learned": share_learned(nothing, mse, 0.0),
            "rmse": mse**0.5,
        }

    def solved(self, numbers: dict[str, float]) -> bool:
        """Enough answers right."""
        return numbers["score"] >= self.solved_share


class Classification(_AskedLast):
    """Classes, by cross-entropy.

    Attributes:
        solved_share: share right at which an evaluation counts as solved.
        baselines: the first is the reference of `share_learned`, the share right above its.
    """

    solved_share: ClassVar[float] = 0.99
    baselines: dict[str, Baseline]

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy, [S, N, O] and [S, N] -> [S, N]."""
        return cross_entropy(outputs, targets)

    def answers(self, outputs: Tensor) -> Tensor:
        """The likeliest class, [S, N, O] -> [S, N]."""
        return outputs.argmax(-1)

    def score(self, answers: Tensor, targets: Tensor, weights: Tensor) -> dict[str, float]:
        """Share right, share learned."""
        right = (answers == targets)[weights > 0].double().mean().item()
        nothing = next(iter(self.baselines.values())).score
        return {"score": right, "share_learned": share_learned(nothing, right, 1.0)}

    def solved(self, numbers: dict[str, float]) -> bool:
        """Enough answers right."""
        return numbers["score"] >= self.solved_share
