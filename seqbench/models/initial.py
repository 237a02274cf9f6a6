"""What a model begins with, where a card asks for something else: its readout, its state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.engine.chain import flatten, rebuild
from seqbench.errors import InputError
from seqbench.models.recurrent import Stack


class LearnedStart(nn.Module):
    """A layer whose initial state is learned, by torch's layer contract; zeros at first.

    What it hands on as its state is the layer's state less the initial one, so that "no state" is
    still a state of zeros. Gradients with respect to the state are the same: the two differ by a
    constant.

    Args:
        layer: by torch's layer contract, its state tensors of [..., B, n].
        input_size: I.
    """

    def __init__(self, layer: nn.Module, input_size: int) -> None:
        super().__init__()
        self.layer = layer
        with torch.no_grad():
            state = layer(torch.zeros(1, 1, input_size), None)[1]
        self.starts = nn.ParameterList(nn.Parameter(torch.zeros_like(x)) for x in flatten(state))

    @property
    def leave_out(self) -> Sequence[str]:
        """What the cell leaves out of "all"."""
        inner = getattr(self.layer, "cell", self.layer)
        return tuple(getattr(inner, "leave_out", ()))

    def forward(self, x_TBI: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        if state is None:
            given = [start.expand(*start.shape[:-2], x_TBI.shape[1], -1) for start in self.starts]
            state = self._like(x_TBI)
        else:
            given = [x + start for x, start in zip(flatten(state), self.starts, strict=True)]
        outputs, after = self.layer(x_TBI, rebuild(state, [x.contiguous() for x in given]))
        moved = [x - start for x, start in zip(flatten(after), self.starts, strict=True)]
        return outputs, rebuild(after, moved)

    def _like(self, x_TBI: Tensor) -> Any:
        """How the layer nests its state."""
        with torch.no_grad():
            return self.layer(x_TBI[:1], None)[1]


def learn_starts(model: Any) -> None:
    """Have the layers of a recurrent model learn their initial states.

    Raises:
        InputError: a network in depth, which has no state.
    """
    if not isinstance(getattr(model, "stack", None), Stack):
        raise InputError("learned_start = true: this cell has no initial state\nallowed: false")
    layers = model.stack.layers
    for i, layer in enumerate(layers):
        layers[i] = LearnedStart(layer, _input_size(layer))


def _input_size(layer: nn.Module) -> int:
    inner = getattr(layer, "cell", layer)
    size = getattr(inner, "input_size", None)
    if not isinstance(size, int):
        raise InputError(
            f"learned_start = true: {type(inner).__name__} has no attribute input_size\n"
            "allowed: false, or a cell that has one"
        )
    return size


def glorot_readout(readout: nn.Linear) -> None:
    """Weights from U(+-sqrt(6 / (rows + columns))), biases 0 (Glorot & Bengio 2010, eq. 16)."""
    nn.init.xavier_uniform_(readout.weight)
    nn.init.zeros_(readout.bias)
