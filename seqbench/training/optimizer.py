"""What changes the parameters: the card's optimiser, and its learning rate over the steps."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from seqbench.card.task import Trial

RMSPROP_DECAY = 0.9  # the papers'; torch's default is 0.99


def make_optimizer(parameters: Iterable[Tensor], trial: Trial) -> torch.optim.Optimizer:
    """The card's optimiser with its options; what the card leaves out is torch's default, but for
    rmsprop's decay of 0.9."""
    training, rate = trial.training, trial.learning_rate
    given: dict[str, Any] = {} if training.eps == "auto" else {"eps": training.eps}
    groups = _decaying(parameters, training.weight_decay) if training.weight_decay else parameters
    match training.optimizer:
        case "adam":
            if training.decay != "auto":  # of the mean square; the mean's stays
                given["betas"] = (0.9, training.decay)
            return torch.optim.Adam(groups, lr=rate, fused=True, **given)
        case "rmsprop":
            decay = RMSPROP_DECAY if training.decay == "auto" else training.decay
            made = torch.optim.RMSprop(
                groups, lr=rate, alpha=decay, momentum=training.momentum, **given
            )
            if training.accumulator_start:
                _start_accumulators(made, training.accumulator_start)
            return made
        case "sgd":
            return torch.optim.SGD(groups, lr=rate, momentum=training.momentum)


def _decaying(parameters: Iterable[Tensor], decay: float) -> list[dict[str, Any]]:
    """Matrices are drawn to 0; biases, gains and slopes are not."""
    parameters = list(parameters)
    matrices = [p for p in parameters if p.ndim > 1]
    others = [p for p in parameters if p.ndim <= 1]
    return [{"params": matrices, "weight_decay": decay}, {"params": others}]


def _start_accumulators(rmsprop: torch.optim.RMSprop, start: float) -> None:
    """Mean squares that begin at `start` instead of 0, as some papers' own code has it: the first
    steps are then smaller. The state is made here as torch makes it at the first step."""
    for group in rmsprop.param_groups:
        for p in group["params"]:
            state = rmsprop.state[p]
            state["step"] = torch.zeros(())
            state["square_avg"] = torch.full_like(p, start, memory_format=torch.preserve_format)
            if group["momentum"]:
                state["momentum_buffer"] = torch.zeros_like(p)


def rate_at(schedule: str, step: int, steps: int) -> float:
    """The share of the learning rate that a training step has.

    Args:
        schedule: "constant": 1. "linear": from 1 at the first step in a line towards 0 after the
            last; "cosine": in half a cosine (Loshchilov & Hutter 2017, arXiv:1608.03983, eq. 5,
            without restarts).
        step: from 1 on.
        steps: the budget.
    """
    done = (step - 1) / steps
    match schedule:
        case "linear":
            return 1.0 - done
        case "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * done))
    return 1.0
