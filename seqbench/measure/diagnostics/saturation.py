"""How many gates and units sit where their derivative is nearly 0."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seqbench.card.task import Trial
from seqbench.measure.diagnostics.moment import Moment
from seqbench.measure.diagnostics.picture import Picture
from seqbench.measure.state import measuring
from seqbench.models.recurrent import Stack, Unroll

SHUT, OPEN, FLAT = 0.1, 0.9, 0.9


class Saturation:
    """Shares over all units, steps and probe sequences: gates below 0.1 and above 0.9; tanh units
    beyond 0.9 in size; rectified units that are 0 at every step of every sequence ("dead").

    Gates of torch's layers (and so of the bundled lstm and gru) are computed from their weights. A
    step cell with a method `gates(x, state) -> {name: [B, n]}` has its own counted. Outputs are
    counted where the layer says in an attribute `nonlinearity` that they are tanh, relu or sigmoid
    units, as the bundled rnn does; all else is left out.

    Source: Glorot & Bengio 2010, AISTATS, section 3; for gates: Karpathy et al. 2015,
    arXiv:1506.02078, section 4.2 (there below 0.1 and above 0.9 too).
    """

    over_time = True

    def pictures(self, trial: Trial) -> list[Picture]:
        """A panel a share, against the training step."""
        caption = (
            "Shares over all units, steps and probe sequences: gates below 0.1 (shut) and above "
            "0.9 (open); tanh units beyond 0.9 in size; rectified units that are 0 at every step "
            "of every sequence (dead)."
        )
        return [Picture(title="Saturation", caption=caption, lines=(0.0, 1.0), y="share")]

    def __call__(self, moment: Moment) -> dict[str, float]:
        """By layer and gate."""
        found: dict[str, float] = {}
        layers = moment.model.stack.layers
        with torch.no_grad(), measuring(moment.model):
            inputs = moment.model.stack.embed(moment.batch.inputs)
            for number, layer in enumerate(layers):
                outputs = layer(inputs, None)[0]
                prefix = f"layer {number}, " if len(layers) > 1 else ""
                shares = _of_outputs(layer, outputs)
                for name, values in gates(layer, inputs, outputs).items():
                    shares |= _of_gate(name, values)
                found |= {prefix + name: share for name, share in shares.items()}
                inputs = outputs
        return found


def _of_gate(name: str, values_TBn: Tensor) -> dict[str, float]:
    return {
        f"{name} < {SHUT}": (values_TBn < SHUT).double().mean().item(),
        f"{name} > {OPEN}": (values_TBn > OPEN).double().mean().item(),
    }


def _of_outputs(layer: nn.Module, outputs_TBH: Tensor) -> dict[str, float]:
    cell = layer.cell if isinstance(layer, Unroll) else layer
    match getattr(cell, "nonlinearity", None):
        case "tanh":
            return {f"output beyond ±{FLAT}": (outputs_TBH.abs() > FLAT).double().mean().item()}
        case "relu":
            dead_H = (outputs_TBH == 0).flatten(0, 1).all(0)
            return {"output dead": dead_H.double().mean().item()}
        case "sigmoid":
            return _of_gate("output", outputs_TBH)
    return {}


def gates(layer: nn.Module, inputs_TBI: Tensor, outputs_TBH: Tensor) -> dict[str, Tensor]:
    """Name -> [T, B, H]: what a gated layer multiplies with; {} where nothing is known of it."""
    if isinstance(layer, Unroll):
        return _own_gates(layer.cell, inputs_TBI)
    if not isinstance(layer, nn.LSTM | nn.GRU) or layer.num_layers > 1 or layer.proj_size:
        return {}
    if getattr(layer, "norms", None) is not None:  # the bundled lstm's layer norm
        return {}
    before_TBH = torch.cat([torch.zeros_like(outputs_TBH[:1]), outputs_TBH[:-1]])
    x = nn.functional.linear(
        inputs_TBI, layer.get_parameter("weight_ih_l0"), getattr(layer, "bias_ih_l0", None)
    )
    h = nn.functional.linear(
        before_TBH, layer.get_parameter("weight_hh_l0"), getattr(layer, "bias_hh_l0", None)
    )
    if isinstance(layer, nn.LSTM):
        i, f, _, o = (x + h).sigmoid().chunk(4, -1)
        return {"input gate": i, "forget gate": f, "output gate": o}
    r, z, _ = (x + h).sigmoid().chunk(3, -1)
    return {"reset gate": r, "update gate": z}


def _linear(x_TBn: Tensor, layer: nn.Module, which: str) -> Tensor:
    bias = layer.get_parameter(f"bias_{which}") if layer.bias else None
    return nn.functional.linear(x_TBn, layer.get_parameter(f"weight_{which}"), bias)


def _own_gates(cell: Any, inputs_TBI: Tensor) -> dict[str, Tensor]:
    if not hasattr(cell, "gates"):
        return {}
    (state,), steps = Stack([Unroll(cell)]).chain(inputs_TBI).start(), []
    for x_BI in inputs_TBI:
        steps.append(cell.gates(x_BI, state))
        state = cell(x_BI, state)
    return {name: torch.stack([step[name] for step in steps]) for name in steps[0]}
