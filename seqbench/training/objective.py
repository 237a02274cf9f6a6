"""A model on a problem: the training loss and its gradient, the evaluation.

Shapes: T steps, B sequences, I inputs, H outputs of the layer, O outputs of the readout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from seqbench.engine.chain import State, TimeChain, backpropagate, even_edges, flatten, template
from seqbench.engine.cut import Cut
from seqbench.models.recurrent import Model
from seqbench.problems.batch import Batch, Problem

EVALUATION_CHUNK = 250  # sequences, and
EVALUATION_STRETCH = 1000  # steps at a time, to bound memory


def gradient_of_loss(
    model: Model,
    problem: Problem,
    batch: Batch,
    cut: Cut,
    at_boundary: Callable[[int, State], None] | None = None,
    state: Any = None,
) -> Tensor:
    """The batch's mean loss, a scalar; its gradient is added to the parameters' .grad.

    The readout is applied only at scored steps, each segment's when its turn comes. Nothing here
    waits for the device: which steps are scored is found out before the batch is moved.

    Args:
        batch: on the CPU, as it was drawn.
        cut: how the sequence is cut; see `seqbench.engine.cut`.
        at_boundary: handed each boundary's gradient; see `seqbench.engine.chain.backpropagate`.
        state: what the stack starts from; None: its own initial state, which is then no boundary.
    """
    device = model.readout.weight.device
    edges = cut.edges(len(batch.inputs))
    picks = [_pick(steps_S, device) for steps_S in _by_stretch(batch.scored_steps(), edges)]
    weights_TB = (batch.loss_weights() / batch.weights.shape[1]).to(device)
    batch = batch.to(device)
    total = torch.zeros((), device=device)

    def direct(i: int, outputs_tBH: Tensor) -> Tensor | None:
        nonlocal total
        if picks[i] is None:
            return None
        stretch, steps = slice(edges[i], edges[i + 1]), picks[i]
        leaf = outputs_tBH.detach().requires_grad_()
        losses_SB = problem.loss(model.readout(leaf[steps]), batch.targets[stretch][steps])
        term = (losses_SB * weights_TB[stretch][steps]).sum()
        term.backward()
        total = total + term.detach()
        return leaf.grad

    chain, start = TimeChain(cut.layer or model.stack, batch.inputs, edges), ()
    if state is not None:
        chain.template, start = template(state), tuple(flatten(state))
    backpropagate(
        chain.links(),
        start,
        direct,
        recompute=cut.recompute,
        truncate=cut.truncate,
        at_boundary=at_boundary,
    )
    return total


def _by_stretch(steps_S: Tensor, edges: Sequence[int]) -> list[Tensor]:
    """The steps that lie between each two edges, counted from the first of them."""
    at = torch.searchsorted(steps_S, torch.tensor(edges)).tolist()
    bounds = zip(edges, at, at[1:], strict=False)
    return [steps_S[first:last] - start for start, first, last in bounds]


def _pick(steps_S: Tensor, device: torch.device) -> slice | Tensor | None:
    """What picks these steps: None if there are none, a slice if they are in a row."""
    if not len(steps_S):
        return None
    first, last = int(steps_S[0]), int(steps_S[-1])
    in_a_row = last - first + 1 == len(steps_S)
    return slice(first, last + 1) if in_a_row else steps_S.to(device, non_blocking=True)


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
