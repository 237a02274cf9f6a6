"""Back-propagation through a chain in segments: the engine.

A chain is cut into segments. Each gets an autograd graph of its own; the state handed from one to
the next is a leaf that requires grad. Going backwards, last segment first, the leaf's gradient is
*exactly* the gradient at that boundary: autograd computed it, and it is handed on to the segment
before. Nothing here knows what a chain is made of: a link is any function of a state. Time steps
of a recurrent network are one kind of chain, the layers of a deep one another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

# What one link hands to the next: a tensor, or tuples of them nested in any way; None before the
# first link, which then starts as it likes.
State = Any
Tensors = tuple[Tensor, ...]  # the tensors of a state, left to right
Link = Callable[[State], tuple[Tensor, State]]
# What the outputs of link i add to the loss, a scalar; or None where nothing is scored.
Term = Callable[[int, Tensor], Tensor | None]


class Part(NamedTuple):
    """A named part of a chain's state: where it lies among the state's tensors.

    Attributes:
        layer: 0 first.
        name: h, c, s2, ...; None for a counter or the like, which has no gradient.
        tensor: which of the state's tensors, left to right.
        row: which entry of its first axis, where a tensor holds several layers; None: all of it.
        batch_dim: the axis of the whole tensor that counts the examples.
        in_all: whether it counts in the joint norm of its layer.
    """

    layer: int
    name: str | None
    tensor: int
    row: int | None
    batch_dim: int
    in_all: bool = True

    def view(self, tensors: Sequence[Tensor]) -> Tensor:
        """This part of a state, [B, n]."""
        x = tensors[self.tensor]
        x = x.movedim(self.batch_dim, 0) if self.row is None else x[self.row]
        return x.reshape(len(x), -1)


class Chain(Protocol):
    """What a model hands over to be trained and measured: itself on one batch, link by link.

    A place in the chain is the number of links before it: 0 is the beginning, `length` the end.
    What a batch has targets and weights for is called a step, counted as the batch counts it; where
    the chain is a sequence in time, its links are the steps.

    Attributes:
        length: how many links there are if it is cut wherever it can be.
        mixes: whether an example's numbers depend on the others in its batch, as by a batch norm:
            then only the loss of all examples together has a gradient.
    """

    length: int
    mixes: bool

    def link(self, start: int, stop: int) -> Link:
        """The chain between two places: state -> (outputs [steps, B, H], state)."""

    def shown(self, start: int, stop: int) -> slice:
        """Which steps, counted from 0, have their outputs between two places."""

    def place(self, step_B: Tensor) -> Tensor:
        """Where in the chain the outputs of these steps, counted from 1, come out."""

    def repeated(self, copies: int) -> Chain:
        """The same over its examples several times, copy after copy, each for itself."""

    def start(self) -> State:
        """The state before the first link, written out: the gradient there can be asked for.

        Raises:
            ValueError: the chain can't be measured; says why.
        """

    def parts(self) -> list[Part]:
        """What the state is made of, in the order of its tensors."""


@dataclass
class Segment:
    """One link, run forward with a graph of its own."""

    entry: Tensors  # leaves
    outputs: Tensor
    state: State  # after it

    @property
    def exit(self) -> Tensors:
        """The tensors of the state after it."""
        return tuple(flatten(self.state))


def enter(link: Link, state: State) -> Segment:
    """Run one link forward from `state`, cut off from whatever came before."""
    entry = () if state is None else tuple(_leaf(part) for part in flatten(state))
    with torch.enable_grad():
        outputs, after = link(None if state is None else rebuild(state, entry))
    return Segment(entry, outputs, after)


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
    links: Sequence[Link],
    term: Term,
    *,
    state: State = None,
    recompute: bool = False,
    truncate: int = 0,
    at_boundary: Callable[[int, Tensors], None] | None = None,
) -> None:
    """Add the gradient of a loss to the .grad of every parameter that a chain uses.

    The same numbers, to rounding, as one autograd graph over the whole chain.

    Args:
        links: of the chain, first to last.
        term: (i, outputs of link i) -> what they add to the loss, or None. Called once a link, last
            link first.
        state: what the first link starts from.
        recompute: keep the boundary states only and run a link forward again when its turn comes:
            memory grows with the number of links instead of the number of steps. Changes no bit of
            the result; a link that draws from torch's random state draws the same again.
        truncate: k > 0: the chain falls into windows of k links, counted from its end; the state is
            handed from window to window, the gradient is not. 0: one window.
        at_boundary: (i, gradient of the tensors of the state that entered link i), called last link
            first; not called where no gradient arrives.
    """
    run = _forward_boundaries if recompute else _forward_graphs
    entered = run(links, state)
    grad_state: tuple[Tensor | None, ...] | None = None
    for i in reversed(range(len(links))):
        segment = entered.pop()()
        if grad_state is None:
            grad_state = (None,) * len(segment.exit)
        tensors, gradients = roots(segment, None, grad_state)
        loss = term(i, segment.outputs)
        if loss is not None:
            tensors, gradients = [loss, *tensors], [torch.ones_like(loss), *gradients]
        if tensors:
            torch.autograd.backward(tensors, gradients)
        grad_state = tuple(part.grad for part in segment.entry)
        if at_boundary and any(grad is not None for grad in grad_state):
            at_boundary(i, tuple(_or_zeros(part) for part in segment.entry))
        if truncate and (len(links) - i) % truncate == 0:
            grad_state = None


def _or_zeros(leaf: Tensor) -> Tensor:
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad


def _forward_graphs(links: Sequence[Link], state: State) -> list[Callable[[], Segment]]:
    """For each link, what gives its segment: all are kept."""
    entered: list[Callable[[], Segment]] = []
    for link in links:
        segment = enter(link, state)
        state = segment.state
        entered.append(partial(_as_it_is, segment))
    return entered


def _as_it_is(segment: Segment) -> Segment:
    return segment


def _forward_boundaries(links: Sequence[Link], state: State) -> list[Callable[[], Segment]]:
    """For each link, what gives its segment: run again from the state that entered it.

    The first run builds a graph too, and drops it: without one, torch may take another kernel,
    which rounds differently (its fused LSTM on some processors).
    """
    entered: list[Callable[[], Segment]] = []
    draws = random_states()
    for link in links:
        before, entry = draws, state
        after = enter(link, entry).state
        state = rebuild(after, (part.detach() for part in flatten(after)))
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


def flatten(state: State) -> Iterator[Tensor]:
    """The tensors of a state, left to right."""
    if isinstance(state, Tensor):
        yield state
    else:
        for part in state:
            yield from flatten(part)


def rebuild(like: State, parts: Iterable[Tensor]) -> State:
    """A state nested as `like` is, of these tensors; the inverse of `flatten`."""
    parts = iter(parts)
    if isinstance(like, Tensor):
        return next(parts)
    make = getattr(type(like), "_make", type(like))  # named tuples keep their names
    return make([rebuild(part, parts) for part in like])


def even_edges(length: int, segment: int) -> list[int]:
    """Cuts from 0 to `length`, `segment` apart; what is left over comes last."""
    return [*range(0, length, segment), length]


def even_edges_from_end(length: int, segment: int) -> list[int]:
    """Cuts from 0 to `length`, `segment` apart; what is left over comes first."""
    return [0, *range(length % segment or segment, length, segment), length]
