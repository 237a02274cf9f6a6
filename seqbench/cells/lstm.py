"""Long short-term memory: with a forget gate, without one, with layer norm.

Gates in torch's order i, f, g, o. torch adds two bias vectors: where an option sets a bias, one of
them gets it and the other 0.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seqbench.cells import options

State = tuple[Tensor, Tensor]


class LSTM(nn.LSTM):
    """c_t = f c_(t-1) + i g, h_t = o tanh(c_t), on torch's fused layer.

    With layer_norm, in a loop over time: the gates' summed input is LN(W x_t) + LN(U h_(t-1)) + b,
    and h_t = o tanh(LN(c_t)). (The norm of W x_t takes the size out of a scalar input.)

    Inputs [T, B, I], outputs [T, B, H], state (h, c), each [1, B, H]; initialised as torch does,
    U(-1/sqrt(H), 1/sqrt(H)), but for what an option sets.

    Args:
        input_size: I.
        hidden_size: H.
        forget_bias: the *total* bias of the forget gate. None keeps torch's random one.
        chrono: T_max, the longest dependency in steps: the forget bias is drawn as log U[1, T_max -
            1], the input gate's bias is minus that.
        layer_norm: as above.
        init: "default", torch's; "glorot": matrices so, biases 0 but for what an option sets.

    Raises:
        InputError: an option's value that can't be.

    Source: Hochreiter & Schmidhuber 1997; the forget gate: Gers et al. 2000; its bias: Jozefowicz
    et al. 2015; chrono: Tallec & Ollivier 2018, arXiv:1804.11188; layer norm: Ba et al. 2016,
    arXiv:1607.06450, eqs. 20-22.
    """

    weight_ih_l0: Tensor
    weight_hh_l0: Tensor
    bias_ih_l0: Tensor
    bias_hh_l0: Tensor

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        forget_bias: float | None = None,
        chrono: float | None = None,
        layer_norm: bool = False,
        init: str = "default",
    ) -> None:
        options.number("forget_bias", forget_bias)
        options.number("chrono", chrono, "a number of steps above 2", above=2)
        options.at_most_one(forget_bias=forget_bias, chrono=chrono)
        options.yes_or_no("layer_norm", layer_norm)
        super().__init__(input_size, hidden_size)
        options.initialise(self, init)
        self.norms = None
        self.kernel = None if layer_norm else "lstm"  # what computes the same (engine.kernels)
        if layer_norm:  # b serves as the bias of the first two
            gates = (nn.LayerNorm(4 * hidden_size, bias=False) for _ in range(2))
            self.norms = nn.ModuleList([*gates, nn.LayerNorm(hidden_size)])
        input_gate, forget_gate = slice(0, hidden_size), slice(hidden_size, 2 * hidden_size)
        if forget_bias is not None:
            set_bias(self, forget_gate, forget_bias)
        if chrono is not None:
            drawn_H = chrono_bias(hidden_size, chrono)
            set_bias(self, forget_gate, drawn_H)
            set_bias(self, input_gate, -drawn_H)

    def forward(  # type: ignore[override]  # torch's takes packed sequences too
        self, x_TBI: Tensor, state: State | None = None
    ) -> tuple[Tensor, State]:
        if self.norms is None:
            return super().forward(x_TBI, state)
        norm_x, norm_h, norm_c = self.norms
        bias = self.bias_ih_l0 + self.bias_hh_l0
        driven_TBG = norm_x(x_TBI @ self.weight_ih_l0.T) + bias
        zeros = x_TBI.new_zeros(x_TBI.shape[1], self.hidden_size)
        h, c = (zeros, zeros) if state is None else (state[0][0], state[1][0])
        weight, outputs = self.weight_hh_l0.T, []
        for driven_BG in driven_TBG.unbind(0):
            i, f, g, o = (driven_BG + norm_h(h @ weight)).chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * norm_c(c).tanh()
            outputs.append(h)
        return torch.stack(outputs), (h[None], c[None])


class LSTMWithoutForgetGate(nn.Module):
    """c_t = c_(t-1) + i g, h_t = o tanh(c_t): the memory of 1997, which nothing but i g changes.

    Inputs [B, I], state (h, c), each [B, H]; initialised as torch does its cells, U(-1/sqrt(H),
    1/sqrt(H)).

    Args:
        input_size: I.
        hidden_size: H.

    Source: Hochreiter & Schmidhuber 1997, Neural Computation 9(8), with the squashing functions and
    the full gradient of today.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.drive = nn.Linear(input_size, 3 * hidden_size)
        self.recurrent = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -1 / math.sqrt(hidden_size), 1 / math.sqrt(hidden_size))

    def forward(self, x_BI: Tensor, state: State | None = None) -> State:
        zeros = x_BI.new_zeros(len(x_BI), self.hidden_size)
        h, c = (zeros, zeros) if state is None else state
        i, g, o = (self.drive(x_BI) + self.recurrent(h)).chunk(3, 1)
        c = c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


def chrono_bias(size: int, longest: float) -> Tensor:
    """log U[1, longest - 1]: a gate that keeps a share sigma(b) keeps it for 2 to longest steps."""
    return torch.log(torch.empty(size).uniform_(1, longest - 1))


def set_bias(layer: nn.RNNBase, gate: slice, value: float | Tensor) -> None:
    """Set the total bias of a gate of one of torch's layers."""
    with torch.no_grad():
        layer.get_parameter("bias_ih_l0")[gate] = value
        layer.get_parameter("bias_hh_l0")[gate] = 0.0
