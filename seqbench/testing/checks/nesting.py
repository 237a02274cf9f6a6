"""Checks of what a state is made of.

Shapes: B examples, I inputs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqbench.testing.checks.subject import Fault, NotApplicable, Subject, check, leaves


@check(
    "state's nesting",
    "a state is a tensor, or a tuple whose first part is a tensor, the output; its other parts are "
    "tensors, or tuples or lists of them: no dict, no number, no None",
    needs=("construction",),
)
def nesting(subject: Subject) -> None:
    """Tensors in tuples or lists, the output first."""
    x_TBI = subject.inputs()
    try:
        with torch.no_grad():
            after = subject.module()(x_TBI if subject.is_layer else x_TBI[0], None)
    except Exception:
        raise NotApplicable('it can\'t be run as "shapes" runs it') from None
    if subject.is_layer:
        if not (isinstance(after, (tuple, list)) and len(after) == 2):
            raise NotApplicable('it does not return (outputs, state); see "shapes"')
        state: Any = after[1]
    else:
        state = after
    for where, part in leaves(state):
        if not isinstance(part, Tensor):
            raise Fault(f"state{where} is no tensor but {_a(part)}")
    if not any(True for _ in leaves(state)):
        raise Fault("the state is empty")
    if not subject.is_layer and not isinstance(state, Tensor) and not isinstance(state[0], Tensor):
        raise Fault(
            f"the first part of the state is {_a(state[0])}, where the output has to stand",
            "return the output before all else: `return h, (c, m)`, or flat, `return h, c, m`",
        )


def _a(part: object) -> str:
    name = type(part).__name__
    return "None" if part is None else f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
