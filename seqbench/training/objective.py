"""A model on a problem: the training loss and its gradient.

Shapes: T steps, B sequences, I inputs, H outputs of the layer, O outputs of the readout.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from seqbench.engine.chain import backpropagate
from seqbench.engine.cut import Cut
from seqbench.models.recurrent import Model
from seqbench.problems.batch import Batch, Problem

# The readout's outputs at scored steps that no sequence's weight asks for: where there are more of
# them than this, the scored sequences are picked one by one.
WASTE = 2**18

# What picks the scored outputs of a stretch: steps; or steps and sequences, as many of either.
Pick = slice | Tensor | tuple[Tensor, Tensor]


def gradient_of_loss(model: Model, problem: Problem, batch: Batch, cut: Cut) -> Tensor:
    """The batch's mean loss, a scalar; its gradient is added to the parameters' .grad.

    Args:
        batch: on the CPU, as it was drawn.
        cut: how the model's chain is cut; see `seqbench.engine.cut`.
    """
    loss = ScoredLoss(model, problem, batch, cut)
    backpropagate(loss.links, loss.term, recompute=cut.recompute, truncate=cut.truncate)
    return loss.total


class ScoredLoss:
    """A batch's mean loss, segment by segment.

    The readout is applied only at scored steps, each segment's when its turn comes. Nothing here
    waits for the device: which steps are scored is found out before the batch is moved.

    Attributes:
        links: of the model's chain over the batch, to be run forward.
        total: the mean loss of the segments that `term` has been called for.
    """

    def __init__(self, model: Model, problem: Problem, batch: Batch, cut: Cut) -> None:
        self.readout, self.problem = model.readout, problem
        device = model.readout.weight.device
        weights_TB, outputs = batch.weights, problem.output_size
        self.batch = batch.to(device)
        chain = model.chain(self.batch.inputs, cut.layer)
        bounds = list(pairwise(cut.edges(chain.length)))
        self.links = [chain.link(start, stop) for start, stop in bounds]
        self.steps = [chain.shown(start, stop) for start, stop in bounds]
        self.picks = [picked(weights_TB[steps], outputs, device) for steps in self.steps]
        self.weights_TB = (batch.loss_weights() / weights_TB.shape[1]).to(device)
        self.total = torch.zeros((), device=device)

    def term(self, i: int, outputs_tBH: Tensor) -> Tensor | None:
        """What link i adds to the loss, or None where nothing is scored."""
        steps, pick = self.steps[i], self.picks[i]
        if pick is None:
            return None
        targets = take(self.batch.targets[steps], pick)
        losses_SB = self.problem.loss(self.readout(take(outputs_tBH, pick)), targets)
        term = (losses_SB * take(self.weights_TB[steps], pick)).sum()
        self.total = self.total + term.detach()
        return term


def picked(weights_tB: Tensor, outputs: int, device: torch.device) -> Pick | None:
    """What picks the scored outputs among those of some steps; None if there are none.

    Args:
        weights_tB: on the CPU.
        outputs: how many numbers the readout has for each.
    """
    scored_tB = weights_tB.numpy() > 0
    steps_S = np.flatnonzero(scored_tB.any(1))
    if not len(steps_S):
        return None
    if (len(steps_S) * scored_tB.shape[1] - scored_tB.sum()) * outputs > WASTE:
        steps_K, sequences_K = map(torch.from_numpy, np.nonzero(scored_tB))
        return steps_K.to(device), sequences_K.to(device)
    first, stop = int(steps_S[0]), int(steps_S[-1]) + 1
    if stop - first == len(steps_S):
        return slice(first, stop)
    return torch.from_numpy(steps_S).to(device, non_blocking=True)


def take(x_tB: Tensor, pick: Pick) -> Tensor:
    """The picked ones, [S, B, ...]; where sequences are picked one by one, [K, 1, ...]."""
    return x_tB[pick][:, None] if isinstance(pick, tuple) else x_tB[pick]
