"""A model: layer(s) over a sequence and a linear readout."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seqbench.errors import InputError


class Unroll(nn.Module):
    """A step cell run over a sequence: torch's cell contract in, its layer contract out.

    Args:
        cell: (x [B, I], state or None) -> state, a tensor or a tuple whose first part is the
            output; all parts batch first.
    """

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x_TBI: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        outputs = []
        for x_BI in x_TBI.unbind(0):
            state = self.cell(x_BI, state)
            outputs.append(state if isinstance(state, Tensor) else state[0])
        return torch.stack(outputs), state


class Stack(nn.Module):
    """Layers on top of each other; the state is a tuple of the layers' own states."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x_TBI: Tensor, states: Any = None) -> tuple[Tensor, tuple]:
        after = []
        for i, layer in enumerate(self.layers):
            x_TBI, state = layer(x_TBI, None if states is None else states[i])
            after.append(state)
        return x_TBI, tuple(after)


class Model(nn.Module):
    """A stack and its readout, kept apart: the readout is applied only where a loss looks.

    Attributes:
        stack: inputs [T, B, I] -> (outputs [T, B, H], state).
        readout: [..., H] -> [..., O].
    """

    def __init__(self, stack: Stack, readout: nn.Linear) -> None:
        super().__init__()
        self.stack = stack
        self.readout = readout


def is_layer(cls: type, kind: str | None = None) -> bool:
    """Whether a class takes whole sequences, by torch's layer contract, or a step at a time.

    Args:
        kind: "layer" or "cell", as a card may say; None: what the class says itself in an attribute
            `kind`, else an nn.RNNBase is a layer and anything else a cell.
    """
    by_base = "layer" if isinstance(cls, type) and issubclass(cls, nn.RNNBase) else "cell"
    return (kind or getattr(cls, "kind", by_base)) == "layer"


def as_layer(module: nn.Module, kind: str | None = None) -> nn.Module:
    """Give a cell the layer contract; leave a layer alone.

    Args:
        module: a layer or a step cell.
        kind: which of the two, as for `is_layer`.

    Raises:
        InputError: a layer with batch_first or bidirectional set.
    """
    if not is_layer(type(module), kind):
        return Unroll(module)
    for name in ("batch_first", "bidirectional"):
        if getattr(module, name, False):
            raise InputError(
                f"{type(module).__name__}: {name} = True\n"
                "allowed: layers that take time first, [T, B, I], and run forwards"
            )
    return module


def build(
    cls: type,
    *,
    input_size: int,
    hidden_size: int,
    output_size: int,
    layers: int = 1,
    kind: str | None = None,
    options: dict[str, Any] | None = None,
) -> Model:
    """Layers of one class, each as wide as it says itself, and a readout for the last.

    Args:
        cls: called as cls(input_size, hidden_size, **options) for each layer.

    Raises:
        InputError: an option's value that a bundled cell refuses, or a layer that can't be run.
    """
    built, width = [], input_size
    for _ in range(layers):
        layer = as_layer(cls(width, hidden_size, **(options or {})), kind)
        layer.eval()  # a batch of one is enough to see how wide the outputs are
        with torch.no_grad():
            width = layer(torch.zeros(1, 1, width), None)[0].shape[-1]
        built.append(layer.train())
    return Model(Stack(built), nn.Linear(width, output_size))
