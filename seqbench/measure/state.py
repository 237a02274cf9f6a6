"""What a layer's state is: its named parts, its zeros; and how a module is measured and left alone.

Shapes: T steps, B examples, R rows (an example with its own anchor and cotangent), I inputs.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seqbench.engine.chain import State, flatten, template, unflatten
from seqbench.models.recurrent import Stack, Unroll

LOOK = 4  # steps that are run to see whether a cell can be measured


class Part(NamedTuple):
    """A named part of a layer's state: where it lies among the state's tensors."""

    layer: int
    name: str | None  # None: a counter or the like, which has no gradient
    tensor: int
    row: int | None  # torch's layers keep [layers, B, n] in one tensor
    batch_dim: int  # of the whole tensor

    def view(self, tensors: Sequence[Tensor]) -> Tensor:
        """This part of a state, [R, n]."""
        x = tensors[self.tensor]
        x = x.movedim(self.batch_dim, 0) if self.row is None else x[self.row]
        return x.reshape(len(x), -1)


def name_parts(layer: nn.Module, state: Any) -> list[Part]:
    """h, c, s2, ... of every layer, in the order of the state's tensors."""
    parts: list[Part] = []
    tensor = below = 0
    each = zip(layer.layers, state, strict=True) if isinstance(layer, Stack) else [(layer, state)]
    for one, its_state in each:
        deep = 1
        for number, x in enumerate(flatten(its_state)):
            name = ("h", "c")[number] if number < 2 else f"s{number}"
            if not (x.is_floating_point() or x.is_complex()):
                name = None
            if isinstance(one, Unroll) or x.ndim < 3:
                parts.append(Part(below, name, tensor, None, 0))
            else:
                deep = x.shape[0]
                parts += [Part(below + row, name, tensor, row, 1) for row in range(deep)]
            tensor += 1
        below += deep
    return parts


def batch_dims(parts: Sequence[Part]) -> list[int]:
    """Which axis of each tensor of a state counts the examples."""
    return list({part.tensor: part.batch_dim for part in parts}.values())


def zero_state(layer: nn.Module, inputs_TBI: Tensor) -> tuple[Any, State]:
    """The nesting and the tensors of the state of zeros that `layer` starts from.

    Looks at the first few steps: what a cell does to a state shows from the second one on.

    Raises:
        ValueError: the layer can't be run, starts from something else when it is given no state,
            gives other numbers when run twice, or lets the examples of a batch mix.
    """
    few = inputs_TBI[:LOOK]
    with torch.no_grad():
        try:
            first, again = layer(few, None), layer(few, None)
            nesting = template(first[1])
            parts = list(flatten(first[1]))
        except (AttributeError, IndexError, RecursionError, RuntimeError, TypeError) as error:
            raise ValueError(_can_not_run(layer, error)) from error
        zeros = tuple(torch.zeros_like(part) for part in parts)
        given = layer(few, unflatten(nesting, iter(zeros)))
        alone = layer(few[:, :1], None)[0]
    if not _same_numbers(first, again):
        raise ValueError(
            "the cell gives other numbers when it is run twice, in eval mode too (dropout, "
            "noise, a state of its own?), so that no gradient can be measured"
        )
    if not _same_numbers(first, given):
        raise ValueError(
            "the cell's state=None does not mean a state of zeros, "
            "so that there is no initial state to measure the gradient at"
        )
    if not torch.allclose(alone, first[0][:, :1], rtol=1e-3, atol=1e-5, equal_nan=True):
        raise ValueError(
            "the cell gives an example other numbers when it is alone in its batch, so that no "
            "example has a gradient of its own (is the batch taken for time or features?)"
        )
    return nesting, zeros


def _can_not_run(layer: nn.Module, error: Exception) -> str:
    told = f"the cell can't be run: {' '.join(str(error).split())}"
    if isinstance(layer, Unroll):
        told += "; a cell takes x [B, I] and a state, a whole-sequence layer needs kind='layer'"
    return told


def _same_numbers(one: Any, other: Any) -> bool:
    pairs = zip(flatten(one), flatten(other), strict=True)  # outputs, and all parts of the state
    return all(torch.allclose(x, y, equal_nan=True) for x, y in pairs)


def widened(module: nn.Module) -> nn.Module:
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
    """Eval mode inside; modes, buffers and the global random state afterwards as they were."""
    modes = [(part, part.training) for part in module.modules()]
    buffers = [(buffer, buffer.detach().clone()) for buffer in module.buffers()]
    devices = {p.device.index for p in module.parameters() if p.device.type == "cuda"}
    cudnn = torch.backends.cudnn.enabled
    with torch.random.fork_rng(devices), torch.inference_mode(False):
        torch.backends.cudnn.enabled = False  # its backward pass refuses eval mode
        module.eval()
        try:
            yield
        finally:
            torch.backends.cudnn.enabled = cudnn
            for part, mode in modes:
                part.training = mode
            with torch.no_grad():
                for buffer, before in buffers:
                    buffer.copy_(before)
