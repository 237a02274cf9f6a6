"""`seqbench flow`: how far back the gradient reaches in freshly initialised cells."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import torch

from seqbench import plugins
from seqbench.card import task as cards
from seqbench.card.task import Cell
from seqbench.engine.reproducible import reproducible
from seqbench.errors import InputError
from seqbench.measure.flow import gradient_flow
from seqbench.measure.state import measuring
from seqbench.models.recurrent import Stack, build

INPUTS = 2  # columns of N(0, 1)
EXAMPLES = 32


def compare(
    cells: Sequence[str],
    *,
    length: int = 400,
    hidden_size: int = 128,
    seed: int = 0,
    kind: str | None = None,
) -> pd.DataFrame:
    """Output flow of untrained cells: from a fixed random unit cotangent on the last output.

    Args:
        cells: names, "module:Class" or "file.py:Class".
        length: steps T of the input, [T, 32, 2] from N(0, 1), the same for every cell.
        hidden_size: H.
        seed: of the initialisation, the inputs and the cotangent.
        kind: "layer" for whole-sequence layers that don't say so themselves.

    Returns:
        The columns of `gradient_flow`, with cell, length, seed, step (0) and source ("output").

    Raises:
        InputError: an unknown cell, or one named twice.
    """
    chosen = _chosen(cells, kind)
    inputs_TBI = _inputs(length, seed)
    with reproducible("cpu"):
        tables = [_measure(cell, cls, inputs_TBI, hidden_size, seed) for cell, cls in chosen]
    return pd.concat(tables, ignore_index=True)


def float32_zeros(
    cells: Sequence[str],
    *,
    length: int = 400,
    hidden_size: int = 128,
    seed: int = 0,
    kind: str | None = None,
) -> dict[str, float]:
    """What an ordinary backward pass in float32 says of the same cells, inputs and cotangent.

    Subnormal numbers are kept, as torch does unless told otherwise.

    Returns:
        Cell -> the first lag from which on the gradient of the inputs, `inputs.grad`, is exactly 0
        for all examples; inf if there is none. An input's lag is that of the state before it.

    Raises:
        InputError: an unknown cell, or one named twice.
    """
    inputs_TBI, found = _inputs(length, seed), {}
    with torch.random.fork_rng([]):
        for cell, cls in _chosen(cells, kind):
            with _blamed(cell):
                layer, u_H = _build(cell, cls, hidden_size, seed)
                with measuring(layer), torch.enable_grad():
                    given_TBI = inputs_TBI.clone().requires_grad_()
                    (layer(given_TBI, None)[0][-1] @ u_H).sum().backward(inputs=[given_TBI])
            reached = (given_TBI.grad != 0).flatten(1).any(1).nonzero()  # NaN and inf too
            first = int(reached[0]) if len(reached) else length
            found[cell.label] = float(length - first + 1) if first else math.inf
    return found


def _chosen(cells: Sequence[str], kind: str | None) -> list[tuple[Cell, type]]:
    if kind not in (None, "cell", "layer"):
        raise InputError(f"--kind {kind}\nallowed: cell, layer")
    given = [{"use": cards.absolute(spec, Path.cwd()), "kind": kind} for spec in cells]
    chosen = [Cell.model_validate(one) for one in given]
    if len({cell.label for cell in chosen}) < len(chosen):
        raise InputError(f"cells: {', '.join(cells)}\nallowed: each cell once")
    return [(cell, plugins.load(plugins.resolve(cell.use, "cells"))) for cell in chosen]


def _inputs(length: int, seed: int) -> torch.Tensor:
    draws = torch.Generator().manual_seed(seed)
    return torch.randn(length, EXAMPLES, INPUTS, generator=draws)


def _build(cell: Cell, cls: type, hidden_size: int, seed: int) -> tuple[Stack, torch.Tensor]:
    """The untrained stack and the unit cotangent on its output."""
    torch.manual_seed(seed)
    sizes = {"input_size": INPUTS, "hidden_size": hidden_size, "output_size": 1}
    model = build(cls, **sizes, kind=cell.kind)
    u_H = torch.randn(model.readout.in_features, generator=torch.Generator().manual_seed(seed))
    return model.stack, u_H / u_H.norm()


@contextmanager
def _blamed(cell: Cell) -> Iterator[None]:
    """What a cell raises is the user's to know."""
    try:
        yield
    except InputError as error:
        raise InputError(f"cells ({cell.label}): {error}") from None
    except Exception as error:
        raise InputError(
            f"cells ({cell.label}): {plugins.own_words(error)}\n"
            "allowed: forward(x, state=None) -> the new state; see docs/adding-a-cell.md"
        ) from error


def _measure(
    cell: Cell, cls: type, inputs_TBI: torch.Tensor, hidden_size: int, seed: int
) -> pd.DataFrame:
    with _blamed(cell):
        layer, u_H = _build(cell, cls, hidden_size, seed)
        table = gradient_flow(layer, inputs_TBI, lambda outputs: outputs[-1] @ u_H)
    axes = {"cell": cell.label, "length": len(inputs_TBI), "seed": seed, "step": 0}
    return pd.concat([pd.DataFrame(axes | {"source": "output"}, index=table.index), table], axis=1)
