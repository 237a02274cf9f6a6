"""Long short-term memory, with a forget gate."""

from __future__ import annotations

import torch
from torch import nn

from seqbench.errors import InputError


class LSTM(nn.LSTM):
    """c_t = f c_(t-1) + i g, h_t = o tanh(c_t), on torch's fused layer.

    Inputs [T, B, I], state (h, c), each [1, B, H]; initialised as torch does, U(-1/sqrt(H),
    1/sqrt(H)), but for the forget bias if one is given.

    Args:
        input_size: I.
        hidden_size: H.
        forget_bias: the *total* bias of the forget gate. torch's layer adds two bias vectors: one
            gets this value, the other 0. None keeps torch's random one.

    Raises:
        InputError: a forget_bias that is no number.

    Source: Hochreiter & Schmidhuber 1997; the forget gate: Gers et al. 2000; its bias: Jozefowicz
    et al. 2015.
    """

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float | None = None) -> None:
        if not (forget_bias is None or type(forget_bias) in (int, float)):
            raise InputError(f"forget_bias = {forget_bias!r}\nallowed: a number")
        super().__init__(input_size, hidden_size)
        if forget_bias is not None:
            forget = slice(hidden_size, 2 * hidden_size)  # torch's order: i, f, g, o
            with torch.no_grad():
                self.bias_ih_l0[forget] = forget_bias
                self.bias_hh_l0[forget] = 0.0
