"""How many gates and units sit where their derivative is nearly 0."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqbench.diagnostics.moment import Moment
from seqbench.model import Unroll
from seqbench.state import measuring

SHUT, OPEN, FLAT = 0.1, 0.9, 0.9


class Saturation:
    """Shares over all units, steps and probe sequences: gates below 0.1 and above 0.9; tanh units
    beyond 0.9 in size; rectified units that are 0 at every step of every sequence ("dead").

    Gates of torch's layers (and so of the bundled lstm and gru) are computed from their weights. A
    step cell with a method `gates(x, state) -> {name: [B, n]}` has its own counted. Of any other
    cell, outputs that never leave [-1, 1] are counted as tanh units, outputs that are never
    negative as rectified ones, all else is left out.

    Source: Glorot & Bengio 2010, AISTATS, section 3; for gates: Karpathy et al. 2016,
    arXiv:1506.02078, section 4.2 (there below 0.1 and above 0.9 too).
    """

    def __call__(self, moment: Moment) -> dict[str, float]:
        """By layer and gate."""
        found, inputs = {}, moment.batch.inputs
        layers = moment.model.stack.layers
        with torch.no_grad(), measuring(moment.model):
            for number, layer in enumerate(layers):
                outputs = layer(inputs, None)[0]
                of_layer = gates(layer, inputs, outputs) | {"output": outputs}
                prefix = f"layer {number}, " if len(layers) > 1 else ""
                for name, values in of_layer.items():
                    found |= {f"{prefix}{name} {what}": n for what, n in _shares(values).items()}
                inputs = outputs
        return found


def _shares(values_TBn: Tensor) -> dict[str, float]:
    lowest, highest = values_TBn.min().item(), values_TBn.max().item()
    if lowest >= 0 and highest <= 1 and not (values_TBn == 0).any():  # a sigmoid
        return {
            f"< {SHUT}": (values_TBn < SHUT).double().mean().item(),
            f"> {OPEN}": (values_TBn > OPEN).double().mean().item(),
        }
    if lowest >= 0:
        return {"dead": (values_TBn == 0).flatten(0, 1).all(0).double().mean().item()}
    if lowest >= -1 and highest <= 1:
        return {f"beyond ±{FLAT}": (values_TBn.abs() > FLAT).double().mean().item()}
    return {}


def gates(layer: nn.Module, inputs_TBI: Tensor, outputs_TBH: Tensor) -> dict[str, Tensor]:
    """Name -> [T, B, H]: what a gated layer multiplies with; {} where nothing is known of it."""
    if isinstance(layer, Unroll):
        return _own_gates(layer.cell, inputs_TBI)
    if not isinstance(layer, nn.LSTM | nn.GRU) or layer.num_layers > 1 or layer.proj_size:
        return {}
    before_TBH = torch.cat([torch.zeros_like(outputs_TBH[:1]), outputs_TBH[:-1]])
    x = nn.functional.linear(inputs_TBI, layer.weight_ih_l0, getattr(layer, "bias_ih_l0", None))
    h = nn.functional.linear(before_TBH, layer.weight_hh_l0, getattr(layer, "bias_hh_l0", None))
    if isinstance(layer, nn.LSTM):
        i, f, _, o = (x + h).sigmoid().chunk(4, -1)
        return {"input gate": i, "forget gate": f, "output gate": o}
    r, z, _ = (x + h).sigmoid().chunk(3, -1)
    return {"reset gate": r, "update gate": z}


def _own_gates(cell: nn.Module, inputs_TBI: Tensor) -> dict[str, Tensor]:
    if not hasattr(cell, "gates"):
        return {}
    state, steps = None, []
    for x_BI in inputs_TBI:
        after = cell(x_BI, state)
        if state is None:  # zeros, in the state's own nesting
            state = _zeros(after)
        steps.append(cell.gates(x_BI, state))
        state = after
    return {name: torch.stack([step[name] for step in steps]) for name in steps[0]}


def _zeros(state):
    if isinstance(state, Tensor):
        return torch.zeros_like(state)
    return tuple(_zeros(part) for part in state)
