"""Back-propagation through time in segments: the engine.

A sequence is a chain of segments. Each gets an autograd graph of its own; the state handed from one
to the next is a leaf that requires grad. Going backwards, last segment first, the leaf's gradient
is *exactly* the gradient at that boundary: autograd computed it, and it is handed on to the segment
before. Nothing here knows about time: a link is any function of a state.

Shapes: T steps, B sequences, I inputs, H outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

# The state in flight: its parts in one flat tuple; () means "start as you like", which links take
# to be the layer's own initial state.
State = tuple[Tensor, ...]
Link = Callable[[State], tuple[Tensor, State]]
# The gradient of the loss with respect to the outputs of link i, or None where nothing is scored.
Direct = Callable[[int, Tensor], Tensor | None]


@dataclass
class Segment:
    """One link, run forward with a graph of its own."""

    entry: State  # leaves
    outputs: Tensor
    exit: State


def enter(link: Link, state: State) -> Segment:
    """Run one link forward from `state`, cut off from whatever came before."""
    entry = tuple(_leaf(part) for part in state)
    with torch.enable_grad():
        outputs, exit_state = link(entry)
    return Segment(entry, outputs, exit_state)


def _leaf(part: Tensor) -> Tensor:
    part = part.detach()  # a counter among the state's parts has no gradient
    return part.requires_grad_(part.is_floating_point() or part.is_complex())


def roots(
    segment: Segment, grad_outputs: Tensor | None, grad_exit: Sequence[Tensor | None]
) -> tuple[list[Tensor], list[Tensor]]:
    """The tensors of a segment that a gradient arrives at, and those gradients."""
    pairs = [(segment.outputs, grad_outputs), *zip(segment.exit, grad_exit, strict=True)]
    live = [(x, g) for x, g in pairs if g is not None and x.requires_grad]
    return [x for x, _ in live], [g for _, g in live]


def backpropagate(
    chain: Sequence[Link],
    state: State,
    direct: Direct,
    *,
    recompute: bool = False,
    truncate: int = 0,
    at_boundary: Callable[[int, State], None] | None = None,
) -> None:
    """Add the gradient of a loss to the .grad of every parameter that the chain uses.

    The same numbers, to rounding, as one autograd graph over the whole chain.

    Args:
        chain: the links, first to last.
        state: what the first link starts from; () for its own initial state.
        direct: (i, outputs of link i) -> d loss / d outputs, or None. Called once a link, last link
            first.
        recompute: keep the boundary states only and run a link forward again when its turn comes:
            memory grows with the number of links instead of the number of steps. Changes no bit of
            the result; a link that draws from torch's random state draws the same again.
        truncate: k > 0: the chain falls into windows of k links, counted from its end; the state is
            handed from window to window, the gradient is not. 0: one window.
        at_boundary: (i, gradient of the state that entered link i), called last link first; not
            called where no gradient arrives.
    """
    run = _forward_boundaries if recompute else _forward_graphs
    entered = run(chain, state)
    grad_state: tuple[Tensor | None, ...] | None = None
    for i in reversed(range(len(chain))):
        segment = entered.pop()()
        if grad_state is None:
            grad_state = (None,) * len(segment.exit)
        tensors, gradients = roots(segment, direct(i, segment.outputs), grad_state)
        if tensors:
            torch.autograd.backward(tensors, gradients)
        grad_state = tuple(part.grad for part in segment.entry)
        if at_boundary and any(grad is not None for grad in grad_state):
            at_boundary(i, tuple(_or_zeros(part) for part in segment.entry))
        if truncate and (len(chain) - i) % truncate == 0:
            grad_state = None


def _or_zeros(leaf: Tensor) -> Tensor:
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad


def _forward_graphs(chain: Sequence[Link], state: State) -> list[Callable[[], Segment]]:
    """For each link, what gives its segment: all are kept."""
    entered = []
    for link in chain:
        segment = enter(link, state)
        state = segment.exit
        entered.append(lambda segment=segment: segment)
    return entered


def _forward_boundaries(chain: Sequence[Link], state: State) -> list[Callable[[], Segment]]:
    """For each link, what gives its segment: run again from the state that entered it."""
    entered, draws = [], random_states()
    for link in chain:
        before, entry = draws, state
        with torch.no_grad():
            _, state = link(entry)
        draws = random_states()
        drew = any(not torch.equal(x, y) for x, y in zip(before, draws, strict=True))
        entered.append(partial(_enter_again, link, entry, before if drew else None))
    return entered


def _enter_again(link: Link, state: State, draws: list[Tensor] | None) -> Segment:
    if draws is None:
        return enter(link, state)
    now = random_states()
    set_random_states(draws)
    try:
        return enter(link, state)
    finally:
        set_random_states(now)


def random_states() -> list[Tensor]:
    """torch's global random states: the CPU's, and the current GPU's where one is in use."""
    gpu = [torch.cuda.get_rng_state()] if torch.cuda.is_initialized() else []
    return [torch.get_rng_state(), *gpu]


def set_random_states(states: list[Tensor]) -> None:
    """The inverse of `random_states`."""
    torch.set_rng_state(states[0])
    for state in states[1:]:
        torch.cuda.set_rng_state(state)


class TimeChain:
    """A layer over a sequence, cut into links.

    Args:
        layer: (inputs [t, B, I], state or None) -> (outputs [t, B, H], state), where a state is a
            tensor or nested tuples of them.
        inputs: [T, B, I].
        edges: ascending steps at which to cut, from 0 to T.
    """

    def __init__(self, layer: Callable[..., Any], inputs: Tensor, edges: Sequence[int]) -> None:
        self.layer = layer
        self.inputs = inputs
        self.edges = edges
        self.template: Any = None  # nesting of the layer's state, known after its first call

    def links(self) -> list[Link]:
        """One for each stretch between two edges."""
        return [partial(self.run, start, stop) for start, stop in pairwise(self.edges)]

    def run(self, start: int, stop: int, state: State) -> tuple[Tensor, State]:
        """Outputs of the steps start..stop-1 and the state after them."""
        given = unflatten(self.template, iter(state)) if state else None
        outputs, after = self.layer(self.inputs[start:stop], given)
        self.template = template(after)
        return outputs, tuple(flatten(after))


def flatten(state: Any) -> Iterator[Tensor]:
    """The tensors of nested tuples or lists, left to right."""
    if isinstance(state, Tensor):
        yield state
    else:
        for part in state:
            yield from flatten(part)


def template(state: Any) -> Any:
    """The nesting alone: None for a tensor, else what makes the container, and its parts."""
    if isinstance(state, Tensor):
        return None
    make = getattr(type(state), "_make", type(state))  # named tuples keep their names
    return make, [template(part) for part in state]


def unflatten(like: Any, parts: Iterator[Tensor]) -> Any:
    """The inverse of `flatten`, given the template."""
    if like is None:
        return next(parts)
    make, inner = like
    return make([unflatten(part, parts) for part in inner])


def even_edges(steps: int, segment: int) -> list[int]:
    """Cuts from 0 to `steps`, `segment` steps apart; what is left over comes last."""
    return [*range(0, steps, segment), steps]


def even_edges_from_end(steps: int, segment: int) -> list[int]:
    """Cuts from 0 to `steps`, `segment` steps apart; what is left over comes first."""
    return [0, *range(steps % segment or segment, steps, segment), steps]
