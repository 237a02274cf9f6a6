"""Checks of a network in depth: layers that can be cut apart, and gradients between them.

Shapes: B examples, n entries of a layer's output.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from seqbench.errors import InputError, reason
from seqbench.measure.flow import gradient_flow
from seqbench.measure.state import measuring
from seqbench.models.deep import Layers
from seqbench.models.kinds import build
from seqbench.models.recurrent import Model
from seqbench.testing.checks.subject import Fault, NotApplicable, check

DEPTH, EXAMPLES = 5, 16
CLOSE = 1e-6  # of two norms in float64, one of which went through float32's parameters


@dataclass(frozen=True)
class DeepSubject:
    """A network in depth to be checked.

    Attributes:
        cls: called as cls(input_size, hidden_size, depth, **options).
        input_size, hidden_size: what it is tried with.
        options: for the constructor.
    """

    cls: type
    input_size: int = 3
    hidden_size: int = 8
    options: dict[str, Any] = field(default_factory=dict)

    def model(self, depth: int = DEPTH) -> Model:
        """A new one with its readout; the global random state is left alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return build(
                self.cls,
                length=depth,
                kind="chain",
                input_size=self.input_size,
                hidden_size=self.hidden_size,
                output_size=2,
                options=self.options,
            )

    def layers(self) -> Layers:
        """A new one's layers."""
        stack = self.model().stack
        assert isinstance(stack, Layers)
        return stack

    def inputs(self) -> Tensor:
        """[16, input_size] from N(0, 1), always the same."""
        draws = torch.Generator().manual_seed(0)
        return torch.randn(EXAMPLES, self.input_size, generator=draws)


@check(
    "construction",
    "cls(input_size, hidden_size, depth, **options) gives an nn.Sequential of layers",
    needs=(),
)
def construction(subject: DeepSubject) -> None:
    """It can be made, and its last layer can be read."""
    model = subject.model()
    with torch.no_grad():
        model.readout(model.stack(subject.inputs()[None])[0])


@check(
    "as deep as it is asked to be",
    "each module of the nn.Sequential is a layer, so that a lag of 1 is one: put what belongs "
    "together, as a weight matrix and its activation, into a module of its own",
    needs=("construction",),
)
def depth(subject: DeepSubject) -> None:
    """`length` layers are that many links of the chain."""
    for asked in (1, DEPTH):
        stack = subject.model(asked).stack
        if isinstance(stack, Layers) and len(stack.layers) != asked:
            raise Fault(f"asked for {asked} layers, it has {len(stack.layers)}")


@check(
    "the same twice, each example by itself",
    "no noise in eval mode, and nothing that mixes the examples of a batch but a batch norm",
    needs=("construction",),
)
def apart(subject: DeepSubject) -> str | None:
    """No number depends on chance or on the other examples."""
    stack = subject.layers()
    with measuring(stack):
        chain = stack.chain(subject.inputs()[None])
        try:
            chain.start()
        except ValueError as error:
            raise Fault(reason(error)) from None
    return (
        "mind: batch norm mixes examples; the flow is of the summed loss" if chain.mixes else None
    )


@check(
    "every parameter is used",
    "every parameter has a part in the outputs: remove those that have none, and look for detach, "
    ".data, no_grad and numpy on the way from it",
    needs=("construction",),
)
def parameters_used(subject: DeepSubject) -> str | None:
    """A loss on the outputs has a finite gradient at every parameter."""
    stack = subject.layers().train()
    named = dict(stack.named_parameters())
    if not named:
        raise NotApplicable("it has no parameters to train")
    outputs, _ = stack(subject.inputs()[None])
    grads = torch.autograd.grad(outputs.square().sum(), list(named.values()), allow_unused=True)
    found = dict(zip(named, grads, strict=True))
    if unused := [name for name, grad in found.items() if grad is None]:
        raise Fault(f"no gradient arrives at {', '.join(unused)}")
    broken = [name for name, g in found.items() if g is not None and not g.isfinite().all()]
    if broken:
        raise Fault(f"the gradient of {', '.join(broken)} is NaN or infinite")
    return None


@check(
    "gradients are right",
    "each layer hands on what it is given to the next by torch's operations alone",
    needs=("the same twice, each example by itself",),
)
def gradients_are_right(subject: DeepSubject) -> None:
    """The flow that is measured layer by layer is that of one autograd graph, in float64."""
    stack, x_BI = subject.layers(), subject.inputs()
    flow = gradient_flow(copy.deepcopy(stack), x_BI, lambda outputs: outputs.sum(-1))
    rows = flow[flow["state"] == "h"].sort_values("lag")
    wide = copy.deepcopy(stack).double()
    with measuring(wide), torch.enable_grad():
        states = [x_BI.double().requires_grad_()]
        for layer in wide.layers:
            states.append(layer(states[-1]))
        grads = torch.autograd.grad(states[-1].sum(), states)
    for lag, grad in enumerate(reversed(grads)):
        norms_B = grad.flatten(1).norm(dim=1)
        expected = norms_B[norms_B > 0].log10().mean().item()
        found = float(rows["log10_norm"].iloc[lag])
        if bool((norms_B > 0).any()) and abs(found - expected) > CLOSE:
            raise Fault(
                f"at lag {lag}: log10 of the norm is {found:.6f}, by autograd {expected:.6f}"
            )


@check(
    "copies",
    "copy.deepcopy(network) gives one with the same numbers",
    needs=("the same twice, each example by itself",),
)
def copies(subject: DeepSubject) -> None:
    """A copy computes the same."""
    stack = subject.layers().eval()
    with torch.no_grad():
        one, other = (one(subject.inputs()[None])[0] for one in (stack, copy.deepcopy(stack)))
    if not torch.equal(one, other):
        raise Fault("a copy gives other numbers")


@check(
    "speed of learning",
    "give each layer an attribute `bias`, a tensor, if the diagnostic learning_speed is wanted",
    needs=("construction",),
)
def biases(subject: DeepSubject) -> None:
    """Whether the diagnostic `learning_speed` can be asked of it."""
    from seqbench.measure.diagnostics.learning_speed import bias_of

    try:
        for layer in subject.layers().layers:
            bias_of(layer)
    except InputError as error:
        raise NotApplicable(str(error).splitlines()[0]) from None


CHECKS = (
    construction,
    depth,
    apart,
    parameters_used,
    gradients_are_right,
    copies,
    biases,
)
