"""`seqbench flow`: how far back the gradient reaches in freshly initialised cells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch

from seqbench import plugins
from seqbench import task as cards
from seqbench.errors import InputError
from seqbench.flow import gradient_flow
from seqbench.model import build
from seqbench.task import Cell

INPUTS = 2  # columns of N(0, 1)
EXAMPLES = 32


def compare(
    cells: Sequence[str], *, length: int = 400, hidden_size: int = 128, seed: int = 0
) -> pd.DataFrame:
    """Output flow of untrained cells: from a fixed random unit cotangent on the last output.

    Args:
        cells: names, "module:Class" or "file.py:Class".
        length: steps T of the input, [T, 32, 2] from N(0, 1), the same for every cell.
        hidden_size: H.
        seed: of the initialisation, the inputs and the cotangent.

    Returns:
        The columns of `gradient_flow`, with cell, length, seed, step (0) and source ("output").

    Raises:
        InputError: an unknown cell, or one named twice.
    """
    chosen = [Cell.model_validate(cards.absolute(spec, Path.cwd())) for spec in cells]
    if len({cell.label for cell in chosen}) < len(chosen):
        raise InputError(f"cells: {', '.join(cells)}\nallowed: each cell once")
    classes = [plugins.load(plugins.resolve(cell.use, "cells")) for cell in chosen]
    draws = torch.Generator().manual_seed(seed)
    inputs_TBI = torch.randn(length, EXAMPLES, INPUTS, generator=draws)
    tables = []
    for cell, cls in zip(chosen, classes, strict=True):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            sizes = {"input_size": INPUTS, "hidden_size": hidden_size, "output_size": 1}
            stack = build(cls, **sizes, kind=cell.kind).stack
        with torch.no_grad():
            width = stack(inputs_TBI[:1], None)[0].shape[-1]
        u_H = torch.randn(width, generator=torch.Generator().manual_seed(seed))
        u_H /= u_H.norm()
        table = gradient_flow(stack, inputs_TBI, lambda outputs, u_H=u_H: outputs[-1] @ u_H)
        axes = {"cell": cell.label, "length": length, "seed": seed, "step": 0, "source": "output"}
        table = pd.concat([pd.DataFrame(axes, index=table.index), table], axis=1)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)
