"""How a model is measured and left alone: in eval mode, in float64 where it can be."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.engine.chain import flatten

LOOK = 4  # links that are run to see whether a model runs in float64
WIDE = (torch.float64, torch.complex128)


def in_float64(model: Any, inputs: Tensor) -> tuple[Any, Tensor]:
    """A copy of a model and its inputs in float64; both as they are if it does not run so.

    A cell that makes float32 numbers of its own fails, or hands them on; its gradient is then
    measured in its own precision.

    Args:
        model: has a method `chain(inputs)`.
    """
    try:
        wide, wide_inputs = widened(model), as_wide(inputs)
        chain = wide.chain(wide_inputs)
        with torch.no_grad():
            outputs, state = chain.link(0, min(LOOK, chain.length))(None)
        numbers = [x for x in (outputs, *flatten(state)) if _is_number(x)]
    except Exception:  # its own, whatever it is: in its own precision the user will see it
        return model, inputs
    return (wide, wide_inputs) if all(x.dtype in WIDE for x in numbers) else (model, inputs)


def precision(model: nn.Module, inputs: Tensor) -> str:
    """What the flow of a model is measured in: "float64", or the model's own, as "float32"."""
    with measuring(model):
        widened_too = in_float64(model, inputs)[0] is not model
    own = inputs.dtype if inputs.is_floating_point() else torch.get_default_dtype()
    return "float64" if widened_too else str(own).removeprefix("torch.")


def unreached(layer: Any, inputs_TBI: Tensor) -> list[str]:
    """Parts of a state that no input reaches within these steps, such as a clock kept as a float.

    What gradient they carry is no memory of anything; parts that are left out of "all" are not
    among them.

    Args:
        layer: a `Stack` or another model with a method `chain(inputs)`.
    """
    with torch.enable_grad():
        inputs_TBI = inputs_TBI.clone().requires_grad_()
        chain = layer.chain(inputs_TBI)
        parts = [part for part in chain.parts() if part.name and part.in_all]
        tensors = list(flatten(chain.link(0, chain.length)(None)[1]))
        found = []
        for part in parts:
            x_Bn = part.view(tensors)
            weights_Bn = torch.linspace(1, 2, x_Bn.numel(), device=x_Bn.device).view(x_Bn.shape)
            grad = None
            if x_Bn.requires_grad:
                total = (x_Bn * weights_Bn).sum()
                total = total.real + total.imag if total.is_complex() else total
                (grad,) = torch.autograd.grad(
                    total, inputs_TBI, retain_graph=True, allow_unused=True
                )
            if grad is None or not grad.any():
                found.append(str(part.name))
    return list(dict.fromkeys(found))


def _is_number(x: Tensor) -> bool:
    return x.is_floating_point() or x.is_complex()


def widened(module: Any) -> Any:
    """A copy in float64 (complex parameters in complex128, which .double() leaves alone)."""
    wide = copy.deepcopy(module).double()
    for tensor in [*wide.parameters(), *wide.buffers()]:
        if tensor.is_complex():
            tensor.data = tensor.data.to(torch.complex128)
    return wide


def as_wide(x: Tensor) -> Tensor:
    """A tensor in the precision of `widened`; what is no number with a fraction as it is."""
    if x.is_complex():
        return x.to(torch.complex128)
    return x.double() if x.is_floating_point() else x


@contextmanager
def measuring(module: nn.Module) -> Iterator[None]:
    """Eval mode inside, but for what asks for training mode; afterwards modes, buffers and the
    global random state as they were."""
    modes = [(part, part.training) for part in module.modules()]
    buffers = [(buffer, buffer.detach().clone()) for buffer in module.buffers()]
    devices = {p.device.index for p in module.parameters() if p.device.type == "cuda"}
    cudnn = torch.backends.cudnn.enabled
    with torch.random.fork_rng(devices), torch.inference_mode(False):
        torch.backends.cudnn.enabled = False  # its backward pass refuses eval mode
        _to_measured_mode(module)
        try:
            yield
        finally:
            torch.backends.cudnn.enabled = cudnn
            for part, mode in modes:
                part.training = mode
            with torch.no_grad():
                for buffer, before in buffers:
                    buffer.copy_(before)


def _to_measured_mode(module: nn.Module) -> None:
    module.eval()
    for part in module.modules():
        for asks in getattr(part, "measured_in_training", list)():
            asks.train()
