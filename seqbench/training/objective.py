"""A model on a problem: the training loss and its gradient, the evaluation.

Shapes: T steps, B sequences, I inputs, H outputs of the layer, O outputs of the readout.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from seqbench.engine.chain import backpropagate, even_edges
from seqbench.engine.cut import Cut
from seqbench.models.recurrent import Model
from seqbench.problems.batch import Batch, Problem

EVALUATION_CHUNK = 250  # sequences, and
EVALUATION_STRETCH = 1000  # steps at a time, to bound memory


def gradient_of_loss(model: Model, problem: Problem, batch: Batch, cut: Cut) -> Tensor:
    """The batch's mean loss, a scalar; its gradient is added to the parameters' .grad.

    Args:
        batch: on the CPU, as it was drawn.
        cut: how the model's chain is cut; see `seqbench.engine.cut`.
    """
    loss = ScoredLoss(model, problem, batch, cut)
    backpropagate(loss.links, loss.direct, recompute=cut.recompute, truncate=cut.truncate)
    return loss.total


class ScoredLoss:
    """A batch's mean loss and its gradient at the outputs, segment by segment.

    The readout is applied only at scored steps, each segment's when its turn comes. Nothing here
    waits for the device: which steps are scored is found out before the batch is moved.

    Attributes:
        links: of the model's chain over the batch, to be run forward.
        total: the mean loss of the segments that `direct` has been called for.
    """

    def __init__(self, model: Model, problem: Problem, batch: Batch, cut: Cut) -> None:
        self.readout, self.problem = model.readout, problem
        device = model.readout.weight.device
        scored_S = batch.scored_steps()
        weights_TB = batch.loss_weights() / batch.weights.shape[1]
        self.batch = batch.to(device)
        chain = model.chain(self.batch.inputs, cut.layer)
        bounds = list(pairwise(cut.edges(chain.length)))
        self.links = [chain.link(start, stop) for start, stop in bounds]
        self.steps = [chain.shown(start, stop) for start, stop in bounds]
        self.picks = [_pick(scored_S, steps, device) for steps in self.steps]
        self.weights_TB = weights_TB.to(device)
        self.total = torch.zeros((), device=device)

    def direct(self, i: int, outputs_tBH: Tensor) -> Tensor | None:
        """d loss / d outputs of link i, or None where nothing is scored; the readout's own gradient
        is added to its .grad."""
        steps, pick = self.steps[i], self.picks[i]
        if pick is None:
            return None
        leaf = outputs_tBH.detach().requires_grad_()
        targets = self.batch.targets[steps][pick]
        losses_SB = self.problem.loss(self.readout(leaf[pick]), targets)
        term = (losses_SB * self.weights_TB[steps][pick]).sum()
        term.backward()
        self.total = self.total + term.detach()
        return leaf.grad


def _pick(scored_S: Tensor, steps: slice, device: torch.device) -> slice | Tensor | None:
    """What picks the scored ones among some steps: None if there are none, a slice if they are in
    a row."""
    first, last = torch.searchsorted(scored_S, torch.tensor([steps.start, steps.stop])).tolist()
    here_S = scored_S[first:last] - steps.start
    if not len(here_S):
        return None
    if int(here_S[-1]) - int(here_S[0]) + 1 == len(here_S):
        return slice(int(here_S[0]), int(here_S[-1]) + 1)
    return here_S.to(device, non_blocking=True)


@torch.no_grad()
def evaluate(model: Model, problem: Problem, batch: Batch) -> dict[str, float]:
    """The loss and the problem's numbers over a whole set, which is on the model's device."""
    steps = batch.scored_steps()
    model.eval()
    outputs = [
        _scored_outputs(model, inputs, steps)
        for inputs in batch.inputs.split(EVALUATION_CHUNK, dim=1)
    ]
    model.train()
    outputs_SNO, targets = torch.cat(outputs, 1), batch.targets[steps]
    losses_SN = problem.loss(outputs_SNO, targets) * batch.loss_weights()[steps]
    numbers = problem.score(outputs_SNO, targets, batch.weights[steps])
    loss = losses_SN.sum(0).double().mean().item()
    return {"loss": loss} | {name: float(number) for name, number in numbers.items()}


def _scored_outputs(model: Model, inputs_TBI: Tensor, steps_S: Tensor) -> Tensor:
    """The readout at the scored steps, [S, B, O]; a stretch at a time, to bound memory."""
    chain, found, state = model.chain(inputs_TBI), [], None
    for start, stop in pairwise(even_edges(chain.length, EVALUATION_STRETCH)):
        outputs_tBH, state = chain.link(start, stop)(state)
        steps = chain.shown(start, stop)
        here_S = steps_S[(steps_S >= steps.start) & (steps_S < steps.stop)] - steps.start
        found.append(model.readout(outputs_tBH[here_S]))
    return torch.cat(found)
