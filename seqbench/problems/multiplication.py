"""The multiplication problem: two of many values are marked; answer with their product."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from seqbench.problems import marks
from seqbench.problems.batch import Baseline, Batch
from seqbench.problems.kinds import Regression


class Multiplication(Regression, marks.Marked):
    """Two input channels, a value U[0, 1] and a mark; asked for X1 X2 at the last step.

    Marks as in `seqbench.problems.adding`: protocol "seqbench" (one in each half), "early",
    "anywhere", "pascanu2013", "hochreiter1997" (a marked first step keeps its -1 and X1 counts as
    1). Right means |error| < 0.04; solved at 95 % right. Fresh sequences.

    Baselines. z = X1 X2 has mean 1/4 and variance 1/9 - 1/16 = 7/144; P(z < t) = t - t ln t. One
    factor known, x: the error is x (X2 - 1/2), its square has mean 1/3 * 1/12 = 1/36, and P(|error|
    < a) = E min(1, 2a/x) = 2a (1 - ln 2a). hochreiter1997: with probability q (the first mark on
    the first step, 1/10, or the second there, 0.9/(T/2 - 1)) z is one factor alone: mean
    (1-q)/4 + q/2, second moment (1-q)/9 + q/3.

    Args:
        length: T, at least 2 (early, hochreiter1997: 12; pascanu2013: 10).
        protocol: one of the above.

    Raises:
        InputError: another protocol, a length too short.

    Source: Hochreiter & Schmidhuber 1997, section 5.5; Martens & Sutskever 2011; Pascanu et al.
    2013.
    """

    output_size = 1
    tolerance = 0.04
    placements = {  # noqa: RUF012
        "seqbench": marks.HALVES,
        "hochreiter1997": marks.ORIGINAL,
        "anywhere": marks.ANYWHERE,
        "pascanu2013": marks.PASCANU,
        "early": marks.EARLY,
    }

    def __init__(self, length: int, protocol: str = "seqbench") -> None:
        super().__init__(length, protocol)
        a, lost = self.tolerance, 0.0
        if self.original:
            lost = 0.1 + 0.9 / (length // 2 - 1)
        mean = (1 - lost) / 4 + lost / 2
        variance = (1 - lost) / 9 + lost / 3 - mean**2
        right = (1 - lost) * (_below(mean + a) - _below(mean - a)) + lost * 2 * a
        self.baselines = {"knowing nothing": Baseline(variance, right)}
        if not self.original:
            self.baselines["one factor"] = Baseline(1 / 36, 2 * a * (1 - math.log(2 * a)))

    def answer(self, x_2B: Tensor, counted_2B: Tensor) -> Tensor:
        """The product; a value that does not count is 1."""
        return x_2B.where(counted_2B, 1.0).prod(0)

    def value_gradient(self, batch: Batch) -> Tensor:
        """d target / d value, [T, B]: at a marked step the other factor, 0 elsewhere."""
        values_TB = batch.inputs[:, :, 0].clone().requires_grad_()
        with torch.enable_grad():
            product_B = values_TB.where(batch.inputs[:, :, 1] > 0, 1.0).prod(0)
        return torch.autograd.grad(product_B.sum(), values_TB)[0]


def _below(t: float) -> float:
    """P(X1 X2 < t)."""
    return t - t * math.log(t)
