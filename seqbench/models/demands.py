"""What a cell must do to be measured and trained, in the words in which everybody says that one
does not: `seqbench check`, a trial that begins, a flow that is measured.

Shapes: T steps, B examples, I inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from seqbench.engine.chain import flatten
from seqbench.engine.cut import stand_in

Found = TypeVar("Found")
LOOK = 4  # steps, and examples, that are run to see what a cell does
# Two computations of the same numbers in float32 agree better than this; a fault is far beyond it.
ROUNDING = 1e-4


class Demand(NamedTuple):
    """Of the contract.

    Attributes:
        name: of the check that looks for it.
        advice: to whoever does not meet it.
    """

    name: str
    advice: str

    def unmet(self, told: str) -> ValueError:
        """What is raised where it is found that a cell does not meet it."""
        return ValueError(f"{self.name}: {told}; {self.advice}")


UNCHANGED = Demand(
    "nothing changed in place",
    "inputs and states are needed again for the backward pass: write h = h * a, not h *= a, h.mul_ "
    "or h[...] = ...; clone() first what has to be changed",
)
NOT_RANDOM = Demand(
    "random state untouched",
    "draw in the constructor from torch's global generator, and nowhere else but in training mode; "
    "never seed it; not from numpy or random, which seqbench does not seed",
)
REPEATABLE = Demand(
    "nothing kept between calls",
    "what a cell remembers is in the state that it returns, and nowhere else: no self.h, no "
    "counter, no generator of its own; registered buffers may change in training mode",
)
STARTS_FROM_ZEROS = Demand(
    "state=None is zeros",
    "start from zeros: gradient flow needs an initial state to measure at, so that a learned or "
    "random one can't be measured",
)
INDEPENDENT = Demand(
    "examples independent",
    "norms are taken for each example, so that none may depend on its neighbours: LayerNorm in "
    "place of BatchNorm, no mean or softmax over the batch axis",
)


def watched(call: Callable[[], Found], given: Mapping[str, Tensor]) -> tuple[Found, str]:
    """What a call returns, and what it breaks of `UNCHANGED`, in words; "" if nothing.

    Args:
        given: name -> tensor that the call is to leave alone; one that is written to counts as
            changed even where its numbers stay the same.
    """
    before = {name: (x._version, x.clone()) for name, x in given.items()}
    found = call()
    for name, x in given.items():
        version, values = before[name]
        if x._version != version or largest_difference(x, values) > 0:
            return found, f"{name} is changed by the call"
    return found, ""


def depends_on_neighbours(run: Callable[[Tensor], Any], one: Tensor, other: Tensor) -> float:
    """By how much the numbers of all examples but the first change when the first one's inputs do.

    Args:
        run: inputs [T, B, ...] -> the tensors to compare, batch second; draws the same each time.
        one, other: inputs that differ in the first example alone.
    """
    with torch.no_grad():
        found = [tuple(x[:, 1:] for x in flatten(run(inputs))) for inputs in (one, other)]
    return largest_difference(*found)


def mixed(mode: str, examples: int, apart: float) -> str:
    """What `depends_on_neighbours` found, in words."""
    return (
        f"in {mode} mode examples 2 to {examples} change by up to {apart:.2g} when example 1 does"
    )


def check_trainable(model: Any, inputs: Tensor) -> None:
    """Whether a model can be trained and compared: what no look at it in eval mode shows.

    Args:
        model: has a method `chain(inputs)`; in training mode. It and the global random state are
            left alone.
        inputs: like a batch's, [T, B, I] or [T, B] tokens; their numbers don't matter.

    Raises:
        ValueError: the numbers of an example depend on the others of its batch, and its chain does
            not say so (as one in depth with batch norms does).
    """
    few = inputs[:LOOK, :1]
    if model.chain(few).mixes:
        return
    one, other = _examples(few), _examples(few)
    other[:, 0] = 1 if few.dtype == torch.int64 else 1 - 3 * one[:, 0]

    def outputs(shown: Tensor) -> Tensor:
        with stand_in(model) as double:
            torch.manual_seed(0)
            chain = double.chain(shown)
            return chain.link(0, chain.length)(None)[0]

    if (apart := depends_on_neighbours(outputs, one, other)) > ROUNDING:
        raise INDEPENDENT.unmet(mixed("training", LOOK, apart))


def _examples(few: Tensor) -> Tensor:
    """LOOK examples like one: always the same numbers from N(0, 1), or the first token."""
    shape = (len(few), LOOK, *few.shape[2:])
    if not few.is_floating_point():
        return torch.zeros(shape, dtype=few.dtype, device=few.device)
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return drawn.to(few.device, few.dtype)


def largest_difference(one: Any, other: Any) -> float:
    """Between the tensors of two states or pairs of outputs and states; NaN equals NaN."""
    worst = 0.0
    for x, y in zip(flatten(one), flatten(other), strict=True):
        wide = torch.complex128 if x.is_complex() else torch.float64
        x, y = x.detach().to(wide), y.detach().to(wide)
        apart = torch.where((x == y) | (x.isnan() & y.isnan()), 0.0, (x - y).abs())
        worst = max(worst, apart.nan_to_num(nan=torch.inf).max().item() if apart.numel() else 0.0)
    return worst
