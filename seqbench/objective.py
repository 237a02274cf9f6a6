"""A model on a problem: the training loss and its gradient, the evaluation, the optimiser.

Shapes: T steps, B sequences, I inputs, H outputs of the layer, O outputs of the readout.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from seqbench.bptt import TimeChain, backpropagate, even_edges
from seqbench.model import Model
from seqbench.problems.batch import Batch, Problem
from seqbench.task import Trial

SEGMENT = 50  # steps: shorter ones pay for the cuts, longer ones leave the cache
EVALUATION_CHUNK = 250  # sequences, and
EVALUATION_STRETCH = 1000  # steps at a time, to bound memory


def segment_length(trial: Trial, steps: int) -> int:
    """How long the training segments are: the card's choice, or SEGMENT, or the whole sequence."""
    chosen = trial.training.segment
    return min(SEGMENT if chosen == "auto" else chosen, steps)


def gradient_of_loss(model: Model, problem: Problem, batch: Batch, segment: int) -> Tensor:
    """The batch's mean loss, a scalar; its gradient is added to the parameters' .grad.

    The readout is applied only at scored steps, each segment's when its turn comes.
    """
    edges = even_edges(len(batch.inputs), segment)
    weights_TB = batch.loss_weights() / batch.weights.shape[1]
    scored = (batch.weights > 0).any(1).cpu()
    total = torch.zeros((), device=batch.inputs.device)

    def direct(i: int, outputs_tBH: Tensor) -> Tensor | None:
        nonlocal total
        stretch = slice(edges[i], edges[i + 1])
        steps = scored[stretch].nonzero().squeeze(1).to(outputs_tBH.device)
        if not len(steps):
            return None
        leaf = outputs_tBH.detach().requires_grad_()
        losses_SB = problem.loss(model.readout(leaf[steps]), batch.targets[stretch][steps])
        term = (losses_SB * weights_TB[stretch][steps]).sum()
        term.backward()
        total = total + term.detach()
        return leaf.grad

    backpropagate(TimeChain(model.stack, batch.inputs, edges).links(), (), direct)
    return total


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
    chain, found, state = TimeChain(model.stack, inputs_TBI, []), [], ()
    for start, stop in pairwise(even_edges(len(inputs_TBI), EVALUATION_STRETCH)):
        outputs_tBH, state = chain.run(start, stop, state)
        here = steps_S[(steps_S >= start) & (steps_S < stop)] - start
        found.append(model.readout(outputs_tBH[here]))
    return torch.cat(found)


def make_optimizer(model: Model, trial: Trial) -> torch.optim.Optimizer:
    """The card's optimiser. "rmsprop" has the papers' decay of 0.9, not torch's 0.99."""
    rate = trial.learning_rate
    match trial.training.optimizer:
        case "adam":
            return torch.optim.Adam(model.parameters(), lr=rate, fused=True)
        case "rmsprop":
            return torch.optim.RMSprop(model.parameters(), lr=rate, alpha=0.9)
        case "sgd":
            return torch.optim.SGD(model.parameters(), lr=rate)
