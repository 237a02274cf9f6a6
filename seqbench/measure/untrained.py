"""`seqbench flow`: how far back the gradient reaches in freshly initialised cells."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pandas as pd
import torch

from seqbench import plugins
from seqbench.card import inline, select
from seqbench.card.task import Cell
from seqbench.engine.reproducible import reproducible
from seqbench.errors import InputError
from seqbench.measure.diagnostics.saturation import gates
from seqbench.measure.flow import gradient_flow
from seqbench.measure.seen import Gate, Untrained
from seqbench.measure.state import measuring, unreached
from seqbench.models.deep import Layers
from seqbench.models.kinds import build
from seqbench.models.recurrent import Stack

INPUTS = 2  # columns of N(0, 1)
EXAMPLES = 32
ENOUGH = 32  # steps, for what takes time to get into a state
KEEPING = ("forget gate", "update gate")  # what the memory is multiplied with
BIASES = {"forget_bias", "chrono"}
TRAINED = ("learning_rate", "clip_norm", "match")
OF_A_CELL = "use, label, kind, layers, hidden_size, and options of the cell"


def look(
    cells: Sequence[str],
    *,
    length: int = 400,
    hidden_size: int = 128,
    seed: int = 0,
    kind: str | None = None,
    options: dict[str, Any] | None = None,
) -> Untrained:
    """Output flow of untrained cells: from a fixed random unit cotangent on the last output.

    Args:
        cells: names, "module:Class", "file.py:Class", or inline tables as a card has them.
        length: steps T of the input, [T, 32, 2] from N(0, 1), the same for every cell; of a
            network in depth, its layers: it is shown the first step.
        hidden_size: H, where a cell has none of its own.
        seed: of the initialisation, the inputs and the cotangent.
        kind: "layer" for whole-sequence layers that don't say so themselves.
        options: for the constructor of every cell.

    Raises:
        InputError: an unknown cell or option, or one cell named twice.
    """
    chosen = _chosen(cells, kind, options or {})
    inputs_TBI = _inputs(length, seed)
    tables, zeros, known, clocks, depths = [], {}, {}, {}, []
    for cell, cls in chosen:
        with _blamed(cell):
            with reproducible("cpu"):
                stack, u_H = _build(cell, cls, length, hidden_size, seed)
                deep = isinstance(stack, Layers)
                depths.append(deep)
                shown = inputs_TBI[0] if deep else inputs_TBI
                table = gradient_flow(stack, shown, _along(u_H, deep))
                gate = None if isinstance(stack, Layers) else _gate(cell, cls, stack, inputs_TBI)
            if not deep:
                clocks[cell.label] = _unreached(stack, inputs_TBI)
            zeros[cell.label] = _float32_zero(stack, u_H, shown)
        axes = {"cell": cell.label, "length": length, "seed": seed, "step": 0, "source": "output"}
        tables.append(pd.concat([pd.DataFrame(axes, index=table.index), table], axis=1))
        if gate:
            known[cell.label] = gate
    table = pd.concat(tables, ignore_index=True)
    table.attrs["unit"] = _unit(depths)
    return Untrained(table, zeros, known, {cell: names for cell, names in clocks.items() if names})


def _unit(depths: list[bool]) -> str:
    if all(depths):
        return "layer"
    return "step or layer" if any(depths) else "step"


def _unreached(stack: Stack | Layers, inputs_TBI: torch.Tensor) -> list[str]:
    with measuring(stack):
        return unreached(stack, inputs_TBI[:ENOUGH])


def _along(u_H: torch.Tensor, deep: bool) -> Callable[[torch.Tensor], torch.Tensor]:
    """The loss whose gradient is the output flow of the last step."""
    return lambda outputs: (outputs if deep else outputs[-1]) @ u_H


def _chosen(
    cells: Sequence[str], kind: str | None, options: dict[str, Any]
) -> list[tuple[Cell, type]]:
    chosen = []
    for text in cells:
        given = inline.entry(text)
        given = ({"kind": kind} if kind else {}) | given | options
        if options or "label" not in given:
            given["label"] = inline.label({k: v for k, v in given.items() if k != "label"})
        cell = select.cell(**given)
        if unused := [name for name in TRAINED if getattr(cell, name) is not None]:
            raise InputError(f"cell {text}: {unused[0]}: nothing is trained\nallowed: {OF_A_CELL}")
        cls = plugins.load(plugins.resolve(cell.use, "cells"))
        plugins.check_options(cls, cell.options, ("input_size", "hidden_size"), f"cell {text}")
        chosen.append((cell, cls))
    labels = [cell.label for cell, _ in chosen]
    if twice := next((label for label in labels if labels.count(label) > 1), None):
        raise InputError(f"{twice} is named twice\nallowed: each cell once")
    return chosen


def _inputs(length: int, seed: int) -> torch.Tensor:
    draws = torch.Generator().manual_seed(seed)
    return torch.randn(length, EXAMPLES, INPUTS, generator=draws)


def _build(
    cell: Cell, cls: type, length: int, hidden_size: int, seed: int
) -> tuple[Stack | Layers, torch.Tensor]:
    """The untrained stack and the unit cotangent on its output."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        model = build(
            cls,
            length=length,
            input_size=INPUTS,
            hidden_size=cell.hidden_size or hidden_size,
            output_size=1,
            layers=cell.layers,
            kind=cell.kind,
            leave_out=cell.leave_out,
            options=cell.options,
        )
    u_H = torch.randn(model.readout.in_features, generator=torch.Generator().manual_seed(seed))
    return model.stack, u_H / u_H.norm()


@contextmanager
def _blamed(cell: Cell) -> Iterator[None]:
    """What a cell raises is the user's to know."""
    try:
        yield
    except InputError as error:
        raise InputError(f"cell {cell.label}: {error}") from None
    except (Exception, SystemExit) as error:
        raise InputError(
            f"cell {cell.label}: {plugins.own_words(error)}\n"
            "allowed: forward(x, state=None) -> the new state; see docs/adding-a-cell.md"
        ) from error


def _float32_zero(stack: Stack | Layers, u_H: torch.Tensor, inputs_TBI: torch.Tensor) -> float:
    if isinstance(stack, Layers):
        return _float32_zero_in_depth(stack, u_H, inputs_TBI)
    with measuring(stack), torch.enable_grad():
        given_TBI = inputs_TBI.clone().requires_grad_()
        (stack(given_TBI, None)[0][-1] @ u_H).sum().backward(inputs=[given_TBI])
    assert given_TBI.grad is not None  # for the type checker
    reached = (given_TBI.grad != 0).flatten(1).any(1).nonzero()  # NaN and inf too
    first = int(reached[0]) if len(reached) else len(inputs_TBI)
    return float(len(inputs_TBI) - first + 1) if first else math.inf


def _float32_zero_in_depth(stack: Layers, u_H: torch.Tensor, inputs_BI: torch.Tensor) -> float:
    with measuring(stack), torch.enable_grad():
        states = [inputs_BI.clone().requires_grad_()]
        for layer in stack.layers:
            states.append(layer(states[-1]))
        grads = torch.autograd.grad((states[-1] @ u_H).sum(), states)
    zero = [lag for lag, grad in enumerate(reversed(grads)) if not grad.any()]
    return float(zero[0]) if zero else math.inf


def _gate(cell: Cell, cls: type, stack: Stack, inputs_TBI: torch.Tensor) -> Gate | None:
    """The top layer's, where it is known which one it is."""
    with torch.no_grad(), measuring(stack):
        for layer in stack.layers:
            below_TBI, inputs_TBI = inputs_TBI, layer(inputs_TBI, None)[0]
            found = gates(layer, below_TBI, inputs_TBI)
    name = next((name for name in KEEPING if name in found), None)
    if name is None:
        return None
    values = found[name].double()
    has_bias = "forget_bias" in inspect.signature(cls).parameters
    bias = "forget_bias" if has_bias and not BIASES & set(cell.options) else None
    return Gate(name, values.mean().item(), -values.log10().mean().item(), bias)
