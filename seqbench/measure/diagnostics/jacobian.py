"""The Jacobian of one step with respect to the whole state, for any layer.

Shapes: T steps, B sequences, n real coordinates of the state (an LSTM's h and c, all layers).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from seqbench.engine.chain import Tensors, enter, flatten, rebuild, roots
from seqbench.measure.diagnostics.moment import Moment
from seqbench.measure.state import as_wide, measuring, widened
from seqbench.problems.batch import capabilities


def last_steps(moment: Moment, count: int) -> range:
    """The last `count` steps at which the problem asks to remember.

    Where a problem has `blank_steps` (copy: the blanks between showing and recall) these; else all
    steps up to the first end of a sequence of the batch.
    """
    ends = int(moment.batch.last_scored_step().min())
    steps = capabilities(moment.problem).blank_steps
    if steps is None:
        steps = range(ends)
    return range(max(steps.start, steps.stop - count), steps.stop)


def jacobians(model: Any, inputs_TBI: Tensor, window: range) -> Iterator[Tensor]:
    """J_t = d s_(t+1) / d s_t for each step t of a window, each [B, n, n], float64.

    A step is run for n copies of each sequence, copy i pulling back coordinate i of the state
    after it. A complex part of the state counts as two real coordinates.

    Args:
        model: has a method `chain(inputs)`.

    Raises:
        ValueError: the chain can't be measured.
    """
    wide = widened(model)
    inputs_TBI = as_wide(inputs_TBI)
    examples = inputs_TBI.shape[1]
    with measuring(wide):
        chain = wide.chain(inputs_TBI)
        zeros = chain.start()
        parts = [as_wide(part) for part in flatten(zeros)]
        dims = list({part.tensor: part.batch_dim for part in chain.parts()}.values())
        n = sum(_coordinates(part, dim) for part, dim in zip(parts, dims, strict=True))
        copies = wide.chain(inputs_TBI.repeat_interleave(n, 1))
        repeated = [x.repeat_interleave(n, d) for x, d in zip(parts, dims, strict=True)]
        identity = _identity(repeated, dims, n, examples)
        state = rebuild(zeros, repeated)
        with torch.no_grad():
            for start in range(window.start):
                state = copies.link(start, start + 1)(state)[1]
        for start in window:
            segment = enter(copies.link(start, start + 1), state)
            yield _rows(segment.entry, *roots(segment, None, identity), dims).view(examples, n, n)
            state = segment.state


def _coordinates(part: Tensor, batch_dim: int) -> int:
    if not (part.is_floating_point() or part.is_complex()):
        return 0
    return part.numel() // part.shape[batch_dim] * (2 if part.is_complex() else 1)


def _identity(
    state: Sequence[Tensor], dims: Sequence[int], n: int, examples: int
) -> list[Tensor | None]:
    """For copy i of each sequence the unit vector i, in the shapes of the state's parts."""
    unit_Rn = torch.eye(n, dtype=torch.float64, device=state[0].device).repeat(examples, 1)
    found, done = [], 0
    for part, dim in zip(state, dims, strict=True):
        count = _coordinates(part, dim)
        of_part = unit_Rn[:, done : done + count]
        if part.is_complex():
            of_part = torch.view_as_complex(of_part.reshape(len(of_part), -1, 2))
        shape = list(part.movedim(dim, 0).shape)
        found.append(of_part.reshape(shape).movedim(0, dim) if count else None)
        done += count
    return found


def _rows(leaves: Tensors, tensors: list, gradients: list, dims: Sequence[int]) -> Tensor:
    """The pulled back unit vectors side by side, [R, n]."""
    wanted = [(x, d) for x, d in zip(leaves, dims, strict=True) if x.requires_grad]
    grads = torch.autograd.grad(tensors, [x for x, _ in wanted], gradients, materialize_grads=True)
    columns = []
    for grad, (_, dim) in zip(grads, wanted, strict=True):
        grad = torch.view_as_real(grad) if grad.is_complex() else grad
        columns.append(grad.movedim(dim, 0).flatten(1))
    return torch.cat(columns, 1)
