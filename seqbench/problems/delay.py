"""Delay and memory capacity: what was shown k steps ago?"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from seqbench.problems.batch import Baseline, Batch
from seqbench.problems.checks import check_length
from seqbench.problems.kinds import Regression

VARIANCE = 1 / 3  # of U[-1, 1]


class Delay(Regression):
    """Values U[-1, 1]; from step T+1 on, answer with the value of T steps before. 2 T steps.

    Squared error at the last T steps; right means |error| < 0.1; solved at 95 % right. Fresh
    sequences.

    Baseline: answer 0, squared error 1/3, right in a tenth.

    Args:
        length: T, the delay, at least 1.

    Raises:
        InputError: a length below 1.

    Source: Jaeger 2001, Short term memory in echo state networks, GMD report 152 (one delay).
    """

    input_size = output_size = 1
    channels = ("input",)
    tolerance = 0.1

    def __init__(self, length: int) -> None:
        self.length = check_length(length, 1, "delay")
        self.steps = 2 * length
        self.baselines = {"knowing nothing": Baseline(VARIANCE, self.tolerance)}

    def sample(self, batch_size: int, generator: Generator) -> Batch:
        """Draw `batch_size` sequences."""
        inputs_SBI, weights_SB = _values(self.length, batch_size, generator)
        return Batch(inputs_SBI, inputs_SBI.roll(self.length, 0), weights_SB)

    def needed_lags(self, batch: Batch) -> list[Tensor]:
        """T."""
        return [torch.full((batch.inputs.shape[1], 1), self.length)]


class MemoryCapacity(Regression):
    """Values U[-1, 1], T outputs: output k answers with the value of k steps before, k = 1..T, from
    step T+1 on. 2 T steps.

    The loss is the squared error, averaged over the T outputs and the last T steps. capacity = sum
    over k of rho^2(u(t-k), y_k), the squared correlation over all scored steps of the evaluation
    set; the score and the share learned are capacity/T. Solved at 0.95. Fresh sequences. What a
    linear network of H units can reach is H (Jaeger 2001, proposition 2).

    Baseline: answer 0, squared error 1/3, capacity 0.

    Deviation: the paper fits the readout alone, by linear regression; here all is trained.

    Args:
        length: T, at least 1.

    Raises:
        InputError: a length below 1.

    Source: Jaeger 2001, Short term memory in echo state networks, GMD report 152.
    """

    input_size = 1
    channels = ("input",)

    def __init__(self, length: int) -> None:
        self.length = self.output_size = check_length(length, 1, "memory_capacity")
        self.steps = 2 * length
        self.baselines = {"knowing nothing": Baseline(VARIANCE, 0.0)}

    def sample(self, batch_size: int, generator: Generator) -> Batch:
        """Draw `batch_size` sequences."""
        inputs_SBI, weights_SB = _values(self.length, batch_size, generator)
        delayed = [inputs_SBI[:, :, 0].roll(k, 0) for k in range(1, self.length + 1)]
        return Batch(inputs_SBI, torch.stack(delayed, 2), weights_SB)

    def score(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> dict[str, float]:
        """Capacity, and as a share of T; root of the mean squared error."""
        y_KT, u_KT = outputs[weights > 0].double(), targets[weights > 0].double()
        rmse = (y_KT - u_KT).square().mean().sqrt().item()
        y_KT, u_KT = y_KT - y_KT.mean(0), u_KT - u_KT.mean(0)
        both = y_KT.square().sum(0) * u_KT.square().sum(0)
        rho2_T = (y_KT * u_KT).sum(0).square() / both.clamp_min(1e-300)
        capacity = rho2_T.sum().item()
        share = capacity / self.length
        return {"score": share, "share_learned": share, "capacity": capacity, "rmse": rmse}

    def needed_lags(self, batch: Batch) -> list[Tensor]:
        """1 to T."""
        return [torch.arange(1, self.length + 1).repeat(batch.inputs.shape[1], 1)]


def _values(T: int, B: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """2 T values of U[-1, 1], [2T, B, 1]; weights 1 from step T+1 on."""
    weights_SB = torch.zeros(2 * T, B)
    weights_SB[T:] = 1.0
    return torch.rand(2 * T, B, 1, generator=generator) * 2 - 1, weights_SB
