"""Checks of what comes back: gradients that are there, finite and right.

Shapes: T steps, B examples, I inputs, n whatever width the cell has.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor
from torch.autograd.gradcheck import GradcheckError

from seqbench.engine.chain import flatten, rebuild
from seqbench.errors import reason
from seqbench.measure.state import unreached, widened
from seqbench.models.recurrent import Stack
from seqbench.testing.checks.subject import Fault, NotApplicable, Subject, check, clone

FAR = 32  # steps, for what takes time to get into a state
AT_ZERO = "look for square roots, norms, logarithms and divisions at 0"


@check("finite outputs", AT_ZERO + ", and for a state that grows")
def finite_outputs(subject: Subject) -> None:
    """A few steps of N(0, 1) inputs do not overflow."""
    with torch.no_grad():
        outputs_TBn, _ = subject.layer()(subject.inputs(), None)
    broken = [t for t, outputs_Bn in enumerate(outputs_TBn, 1) if not outputs_Bn.isfinite().all()]
    if broken:
        raise Fault(f"outputs are NaN or infinite at step {broken[0]}")


@check(
    "every parameter is used",
    "every parameter has a part in the outputs: remove those that have none, and look for detach, "
    ".data, no_grad and numpy on the way from it",
    needs=("finite outputs",),
)
def parameters_used(subject: Subject) -> None:
    """A loss on the outputs has a path to every parameter."""
    named = _parameter_gradients(subject)
    if unused := [name for name, grad in named.items() if grad is None]:
        raise Fault(f"no gradient arrives at {', '.join(unused)}")


@check(
    "gradients of parameters",
    AT_ZERO,
    needs=("finite outputs",),
)
def parameter_gradients(subject: Subject) -> str | None:
    """The gradients that arrive at parameters are finite."""
    arrived = {name: g for name, g in _parameter_gradients(subject).items() if g is not None}
    if broken := [name for name, grad in arrived.items() if not grad.isfinite().all()]:
        raise Fault(f"the gradient of {', '.join(broken)} is NaN or infinite")
    zero = [name for name, grad in arrived.items() if not grad.any()]
    return f"mind: exactly 0 for {', '.join(zero)}" if zero else None


def _parameter_gradients(subject: Subject) -> dict[str, Tensor | None]:
    """By name: the gradient of a random projection of all outputs, in training mode."""
    layer = subject.layer().train()
    names = [name for name, p in subject.module().named_parameters() if p.requires_grad]
    if not names:
        raise NotApplicable("it has no parameters to train")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        outputs_TBn, _ = layer(subject.inputs(), None)
    _check_outputs(outputs_TBn)
    (outputs_TBn * _cotangent(outputs_TBn)).sum().backward()
    arrived = [p.grad for p in layer.parameters() if p.requires_grad]
    return dict(zip(names, arrived, strict=True))


@check(
    "gradient reaches back",
    "the state is used and handed on as it was computed: no detach, .data, no_grad, .item() or "
    "numpy on the way",
    needs=("finite outputs",),
)
def reaches_back(subject: Subject) -> None:
    """The last output depends on the first input, and autograd knows it."""
    layer, x_TBI = subject.layer(), subject.inputs().requires_grad_()
    with torch.no_grad():
        like = layer(x_TBI[:1], None)[1]
    start = [torch.zeros_like(part) for part in flatten(like)]
    floating = [part.requires_grad_() for part in start if part.is_floating_point()]
    outputs_TBn, _ = layer(x_TBI, rebuild(like, start))
    _check_outputs(outputs_TBn)
    (outputs_TBn[-1] * _cotangent(outputs_TBn[-1])).sum().backward()
    if x_TBI.grad is None:
        raise Fault("the outputs do not depend on the inputs")
    if not x_TBI.grad.isfinite().all():
        raise Fault("the gradient that reaches the inputs is NaN or infinite", AT_ZERO)
    if not all(part.grad is None or part.grad.isfinite().all() for part in floating):
        raise Fault("the gradient that reaches the initial state is NaN or infinite", AT_ZERO)
    arrives = [bool(grad.any()) for grad in x_TBI.grad]
    if not arrives[-1]:
        raise Fault("the last output sends no gradient to the last input")
    if not arrives[0]:
        nearest = len(arrives) - arrives.index(True)
        reach = "its own step" if nearest == 1 else f"the last {nearest} steps"
        raise Fault(
            f"the gradient of the last output is exactly 0 beyond {reach}: "
            "the state is ignored or cut off"
        )


@check(
    "inputs reach the state",
    "what gradient such a part carries is no memory, but counts in the flow of the whole state "
    '("all"), which then looks open: name it in leave_out, a tuple in the class or a list in the '
    "card, or keep it as an integer tensor, which has no gradient",
    needs=("finite outputs",),
)
def inputs_reach_the_state(subject: Subject) -> None:
    """No part of the state goes on by itself, as a clock does."""
    layer, x_TBI = Stack([subject.layer()]), subject.inputs(steps=FAR)
    if clocks := unreached(layer, x_TBI):
        names = ", ".join(clocks)
        raise Fault(f"no input reaches {names} of the state within {FAR} steps")


def _check_outputs(outputs_TBn: Tensor) -> None:
    if not outputs_TBn.requires_grad:
        raise Fault("the outputs are cut off from parameters and inputs")


def _cotangent(outputs: Tensor) -> Tensor:
    draws = torch.Generator().manual_seed(1)
    return torch.randn(outputs.shape, generator=draws).to(outputs.dtype)


@check(
    "gradients are right",
    "compared with finite differences in float64: look for detach on a part of the state, for "
    "numbers rounded to float32, and for a backward() of your own; a straight-through estimator "
    "fails here by its nature, and what is then measured is the flow of the estimate",
    needs=("gradients of parameters", "gradient reaches back", "dtype"),
)
def gradients_are_right(subject: Subject) -> None:
    """torch.autograd.gradcheck over three steps: inputs, state, parameters."""
    layer = widened(subject.layer())
    x_TBI = subject.inputs(steps=5, examples=2).double()
    with torch.no_grad():
        state = layer(x_TBI[:2], None)[1]  # one that occurs
    parts = list(flatten(clone(state)))
    floating = {i: part for i, part in enumerate(parts) if part.is_floating_point()}
    parameters = {name: p for name, p in layer.named_parameters() if p.requires_grad}
    leaves = [x_TBI[2:].clone(), *floating.values(), *parameters.values()]
    names = ["x", *(f"part {i} of the state" for i in floating)]
    names += [name.removeprefix("cell.") for name in parameters]

    def function(x_TBI: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
        chosen = dict(enumerate(parts)) | dict(zip(floating, given, strict=False))
        outputs, after = layer(x_TBI, rebuild(state, chosen.values()))
        return outputs, *(part for part in flatten(after) if part.is_floating_point())

    leaves = [leaf.detach().requires_grad_() if not leaf.requires_grad else leaf for leaf in leaves]
    try:
        with torch.random.fork_rng(devices=[]):
            torch.autograd.gradcheck(function, leaves, fast_mode=True)
    except GradcheckError as error:
        found = re.search(r"output (\d+) with respect to input (\d+)", str(error))
        if not found:
            raise Fault(reason(error)[:200]) from None
        which = names[int(found[2])]
        of = "the outputs" if found[1] == "0" else f"part {int(found[1]) - 1} of the state"
        raise Fault(
            f"the gradient of {of} with respect to {which} is not that of finite differences"
        ) from None
