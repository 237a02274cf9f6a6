"""What a check is given, what it raises, and what checks share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from seqbench.engine.chain import flatten, rebuild
from seqbench.models.recurrent import as_layer, is_layer

STEPS, EXAMPLES = 6, 4  # of the sequences that a cell is tried on


class Fault(Exception):
    """What a check found.

    Args:
        told: what is wrong, with the numbers that show it.
        advice: what to do, if it is more special than the check's own advice.
    """

    def __init__(self, told: str, advice: str | None = None) -> None:
        super().__init__(told)
        self.advice = advice


class NotApplicable(Exception):
    """A check that says nothing about this cell, and why."""


@dataclass(frozen=True)
class Subject:
    """A cell to be checked.

    Attributes:
        cls: called as cls(input_size, hidden_size, **options).
        kind: "cell", "layer" or None, as for `seqbench.models.recurrent.is_layer`.
        spec: how a worker finds the class; None for a class that was given in Python.
        input_size, hidden_size: what it is tried with; two different numbers, unless the cell wants
            equal ones.
        options: for the constructor.
    """

    cls: type
    kind: str | None = None
    spec: str | None = None
    input_size: int = 3
    hidden_size: int = 8
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def is_layer(self) -> bool:
        """Whether the class takes a whole sequence."""
        return is_layer(self.cls, self.kind)

    def module(self, seed: int = 0) -> nn.Module:
        """A new one, drawn from a seed, in eval mode; the global random state is left alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = self.cls(self.input_size, self.hidden_size, **self.options).eval()
            if any(nn.parameter.is_lazy(p) for p in module.parameters()):
                inputs_TBI = self.inputs()  # gives them their shapes
                module(inputs_TBI if self.is_layer else inputs_TBI[0], None)
            return module

    def layer(self, seed: int = 0) -> nn.Module:
        """A new one that takes sequences: (x [T, B, I], state) -> (outputs [T, B, n], state)."""
        return as_layer(self.module(seed), self.kind)

    def inputs(self, steps: int = STEPS, examples: int = EXAMPLES) -> Tensor:
        """[steps, examples, input_size] from N(0, 1), always the same."""
        draws = torch.Generator().manual_seed(0)
        return torch.randn(steps, examples, self.input_size, generator=draws)


S = TypeVar("S")  # what is checked: a cell's Subject, a ProblemSubject


@dataclass(frozen=True)
class Check(Generic[S]):
    """A named check.

    Attributes:
        name: what a person calls it.
        run: raises Fault or NotApplicable; what it returns is a remark.
        advice: what to do about a failure.
        needs: names of checks that must not have failed for this one to mean anything.
    """

    name: str
    run: Callable[[S], str | None]
    advice: str
    needs: tuple[str, ...]


def check(
    name: str, advice: str, needs: tuple[str, ...] = ("nothing kept between calls",)
) -> Callable[[Callable[[S], str | None]], Check[S]]:
    """Make a Check of a function."""
    return lambda function: Check(name, function, advice, needs)


def leaves(state: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """What is in a state, tensor or not, with its place among nested tuples and lists."""
    if isinstance(state, (tuple, list)):
        for i, part in enumerate(state):
            yield from leaves(part, f"{where}[{i}]")
    else:
        yield where, state


def outline(state: Any) -> str:
    """Nesting, shapes and types of a state: equal for two states of one kind."""
    if isinstance(state, (tuple, list)):
        name = "" if type(state) is tuple else type(state).__name__
        return f"{name}({', '.join(outline(part) for part in state)})"
    if isinstance(state, Tensor):
        return f"{list(state.shape)} {str(state.dtype).removeprefix('torch.')}"
    return type(state).__name__


def clone(state: Any) -> Any:
    """A state of its own; None stays None."""
    if state is None:
        return None
    return rebuild(state, [part.detach().clone() for part in flatten(state)])
