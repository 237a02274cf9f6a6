"""How a training sequence is cut into segments: the rule, and what it needs to know of the work.

Shapes: T steps, B sequences, I inputs.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.card.task import Training
from seqbench.engine import compiled
from seqbench.engine.chain import (
    even_edges,
    even_edges_from_end,
    flatten,
    random_states,
    set_random_states,
)

# The rule's numbers; docs/engine.md has what was measured.
SEGMENT = 100  # steps: shorter ones pay for the cuts, longer ones leave the caches
GRAPH_BUDGET = 2**30  # bytes of graphs that one trial may hold; beyond, segments are run again
STRETCH = 10  # links that are run to see what one costs


@dataclass(frozen=True)
class Cut:
    """What the engine does with a sequence.

    Attributes:
        segment: steps in a segment.
        recompute: whether a segment's graph is thrown away and built again in the backward pass.
        truncate: the gradient stays within windows of so many segments, counted from the end;
            0: it goes back to the first step.
        layer: what is run over a segment: None: the model as it is; or its compiled form.
        graph_bytes: the estimated size of all segments' graphs together.
    """

    segment: int
    recompute: bool = False
    truncate: int = 0
    layer: Callable[..., Any] | None = None
    graph_bytes: int | None = None

    def edges(self, length: int) -> list[int]:
        """Where a chain is cut. What is left over comes last; or first, where the length of
        the last window decides what is learned, or where full segments are what is compiled."""
        from_end = self.truncate or isinstance(self.layer, compiled.Compiled)
        return (even_edges_from_end if from_end else even_edges)(length, self.segment)

    def summary(self) -> dict[str, Any]:
        """What a trial's record tells of it."""
        told: dict[str, Any] = {
            "segment": self.segment,
            "recompute": self.recompute,
            "graph_bytes": self.graph_bytes,
        }
        if self.truncate:
            told["truncate"] = self.truncate
        if isinstance(self.layer, compiled.Compiled):
            told["compile_seconds"] = self.layer.seconds
        return told


def choose(model: Any, inputs_TBI: Tensor, training: Training) -> Cut:
    """The cut for a model and a batch of this shape, on the model's device.

    The card decides where it says something; else `rule` does, and graphs that would together
    exceed GRAPH_BUDGET are recomputed.

    Args:
        model: has a method `chain(inputs)`.

    Raises:
        ValueError: the card wants recomputation, and the cell does not do the same twice; or it
            wants compilation, and torch can't.
    """
    length = model.chain(inputs_TBI).length
    step_bytes, state_bytes = footprint(model, inputs_TBI)
    recompute = training.recompute
    if recompute == "auto":
        recompute = length * step_bytes > GRAPH_BUDGET
        recompute = recompute and not refuses_to_repeat(model, inputs_TBI)
    elif recompute and (why_not := refuses_to_repeat(model, inputs_TBI)):
        raise ValueError(f"training.recompute = true: {why_not}; allowed: false, 'auto'")
    if training.segment != "auto":
        segment = training.segment
    elif training.compile:
        segment = compiled.SEGMENT
    else:
        segment = rule(length, step_bytes, state_bytes, recompute=bool(recompute))
    segment, layer = min(segment, length), None
    if training.compile and segment < length:
        layer = compiled.Compiled(model.stack, inputs_TBI[:segment])
    return Cut(segment, bool(recompute), training.truncate, layer, length * step_bytes)


def rule(length: int, step_bytes: int, state_bytes: int, *, recompute: bool) -> int:
    """Links in a segment: SEGMENT.

    Where segments are recomputed, at least as many as make what is held, the boundary states and
    one segment's graph, smallest: n segments of L/n links hold n x state + L/n x graph of a link.

    Args:
        length: L.
        step_bytes: what autograd keeps for a link; grows with batch and width.
        state_bytes: what is kept at a boundary.
    """
    if not recompute:
        return SEGMENT
    return max(SEGMENT, math.ceil(math.sqrt(length * state_bytes / max(step_bytes, 1))))


def footprint(model: nn.Module, inputs_TBI: Tensor) -> tuple[int, int]:
    """Bytes that autograd keeps for one link of a model's chain, and bytes of its state."""
    kept: dict[int, Tensor] = {}

    def pack(x: Tensor) -> Tensor:
        kept[x.untyped_storage().data_ptr()] = x
        return x

    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x)
    with stand_in(model) as double:
        chain = double.chain(inputs_TBI[:STRETCH].clone())  # a slice would count as the whole
        links = min(STRETCH, chain.length)
        with torch.enable_grad(), hooks:
            _, state = chain.link(0, links)(None)
        own = {p.untyped_storage().data_ptr() for p in double.parameters()}
    total = sum(x.untyped_storage().nbytes() for at, x in kept.items() if at not in own)
    return total // links, sum(part.nbytes for part in flatten(state))


def refuses_to_repeat(model: nn.Module, inputs_TBI: Tensor) -> str:
    """Why a model can't be run over the same steps twice with the same result; "" if it can."""
    with stand_in(model) as double, torch.no_grad():
        chain = double.chain(inputs_TBI[:STRETCH])
        link = chain.link(0, min(STRETCH, chain.length))
        buffers = [x.clone() for x in double.buffers()]
        draws = random_states()
        once = link(None)
        if any(not torch.equal(x, y) for x, y in zip(buffers, double.buffers(), strict=True)):
            return "the cell changes its buffers whenever it is run (running statistics?)"
        set_random_states(draws)
        again = link(None)
    same = all(
        torch.equal(x.nan_to_num(), y.nan_to_num())
        for x, y in zip(flatten(once), flatten(again), strict=True)
    )
    return "" if same else "the cell gives other numbers when it is run twice"


@contextmanager
def stand_in(module: nn.Module) -> Iterator[Any]:
    """A copy to try things on; the global random state is put back."""
    devices = {p.device.index for p in module.parameters() if p.device.type == "cuda"}
    with torch.random.fork_rng(devices):
        yield copy.deepcopy(module)
