"""An LSTM whose gradient through time is made smaller or larger, and nothing else."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqbench.cells import options
from seqbench.cells.lstm import LSTM, State


class _Scaled(torch.autograd.Function):
    """x forward, factor times the gradient backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.factor * gradients[0], None


class DampedLSTM(LSTM):
    """The LSTM of `lstm`; the gradient that goes from a step to the state before it is multiplied
    by `damping`, so that at lag k it is damping^k of what it would be.

    The forward pass is the LSTM's, bit for bit: an intervention on the gradient alone. Unless
    damping is 1, what the optimiser gets is not the gradient of the loss.

    Inputs [T, B, I], outputs [T, B, H], state (h, c), each [1, B, H]; initialised as torch does,
    U(-1/sqrt(H), 1/sqrt(H)), but for the forget bias.

    Args:
        input_size: I.
        hidden_size: H.
        damping: the factor, above 0; 1: none.
        forget_bias: the *total* bias of the forget gate. None keeps torch's random one.

    Raises:
        InputError: an option's value that can't be.

    Source: none; the factor of a step is what the spectral radius bounds in Pascanu, Mikolov &
    Bengio 2013, arXiv:1211.5063, section 2.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        damping: float = 1.0,
        forget_bias: float | None = None,
    ) -> None:
        options.number("damping", damping, "a positive number", above=0, optional=False)
        super().__init__(input_size, hidden_size, forget_bias=forget_bias)
        self.kernel_damping = damping  # what the kernel does too (engine.kernels)

    def forward(  # type: ignore[override]  # torch's takes packed sequences too
        self, x_TBI: Tensor, state: State | None = None
    ) -> tuple[Tensor, State]:
        zeros = x_TBI.new_zeros(1, x_TBI.shape[1], self.hidden_size)
        (h, c), outputs = (zeros, zeros) if state is None else state, []
        for x_1BI in x_TBI.split(1):
            before = tuple(_Scaled.apply(part, self.kernel_damping) for part in (h, c))
            output_1BH, (h, c) = super().forward(x_1BI, before)
            outputs.append(output_1BH)
        return torch.cat(outputs), (h, c)
