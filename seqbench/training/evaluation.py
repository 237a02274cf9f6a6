"""A model on a whole evaluation set, in bounded memory.

Shapes: T steps, S scored steps, N sequences, B of them at a time, H outputs of the layer, O outputs
of the readout.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from seqbench.engine.chain import even_edges
from seqbench.models.recurrent import Model
from seqbench.problems.batch import Batch, Problem, capabilities
from seqbench.training.objective import Pick, picked, take

CHUNK = 250  # sequences at a time,
STRETCH = 1000  # steps at a time,
OUTPUTS = 2**24  # and outputs of the readout: 64 MiB


@torch.no_grad()
def evaluate(model: Model, problem: Problem, batch: Batch) -> dict[str, float]:
    """The loss and the problem's numbers over a whole set, which is on the model's device.

    A few sequences, a stretch of their steps and a part of the readout's outputs at a time; of the
    outputs is kept what the score needs.
    """
    steps_S = batch.scored_steps()
    model.eval()
    chunks = [
        _chunk(model, problem, Batch(*parts), steps_S)
        for parts in zip(*(x.split(CHUNK, 1) for x in batch.parts()), strict=True)
    ]
    model.train()
    losses_SN, answers_SN = (torch.cat(parts, 1) for parts in zip(*chunks, strict=True))
    numbers = problem.score(answers_SN, batch.targets[steps_S], batch.weights[steps_S])
    loss = (losses_SN * batch.loss_weights()[steps_S]).sum(0).double().mean().item()
    return {"loss": loss} | {name: float(number) for name, number in numbers.items()}


def _chunk(model: Model, problem: Problem, batch: Batch, steps_S: Tensor) -> tuple[Tensor, Tensor]:
    """The loss at each scored step, and what the score needs of the outputs, [S, B, ...]; 0 where a
    sequence is not scored and was not looked at."""
    keep = capabilities(problem).answers or (lambda outputs: outputs)
    kept: list[Tensor] = []

    def put(number: int, pick: Pick, values: Tensor) -> None:
        if len(kept) <= number:
            size = (len(steps_S), batch.weights.shape[1], *values.shape[2:])
            kept.append(values.new_zeros(size))
        kept[number][pick] = values[:, 0] if isinstance(pick, tuple) else values

    for outputs, pick in _scored_outputs(model, problem, batch, steps_S):
        put(0, pick, problem.loss(outputs, take(batch.targets[steps_S], pick)))
        put(1, pick, keep(outputs))
    return kept[0], kept[1]


def _scored_outputs(
    model: Model, problem: Problem, batch: Batch, steps_S: Tensor
) -> Iterator[tuple[Tensor, Pick]]:
    """The readout's outputs, a part at a time, and which of the scored steps they belong to."""
    chain, state = model.chain(batch.inputs), None
    for start, stop in pairwise(even_edges(chain.length, STRETCH)):
        outputs_tBH, state = chain.link(start, stop)(state)
        shown = chain.shown(start, stop)
        inside = ((steps_S >= shown.start) & (steps_S < shown.stop)).nonzero().squeeze(1)
        if not len(inside):
            continue
        here_SBH = outputs_tBH[steps_S[inside] - shown.start]
        weights_SB = batch.weights[steps_S[inside]].cpu()
        for pick in _portions(weights_SB, problem.output_size, here_SBH.device):
            yield model.readout(take(here_SBH, pick)), _further(pick, int(inside[0]))


def _portions(weights_SB: Tensor, outputs: int, device: torch.device) -> Iterator[Pick]:
    """What picks all scored outputs, so many at a time that they fit."""
    pick = picked(weights_SB, outputs, device)
    if isinstance(pick, tuple):
        room = max(OUTPUTS // outputs, 1)
        yield from zip(*(index_K.split(room) for index_K in pick), strict=True)
        return
    room = max(OUTPUTS // (outputs * weights_SB.shape[1]), 1)
    for start, stop in pairwise(even_edges(len(weights_SB), room)):
        yield slice(start, stop)


def _further(pick: Pick, rows: int) -> Pick:
    """The same pick, so many rows further."""
    if isinstance(pick, tuple):
        return pick[0] + rows, pick[1]
    assert isinstance(pick, slice)
    return slice(pick.start + rows, pick.stop + rows)
