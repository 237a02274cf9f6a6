"""sLSTM: exponential gates with a normaliser (Beck et al. 2024)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seqbench.cells import options

State = tuple[Tensor, Tensor, Tensor, Tensor]


class SLSTM(nn.Module):
    """The recurrent half of the xLSTM, one head, without its convolution and projections.

    From i~, f~, z~, o~ = W x_t + R h_(t-1) + b:
        m_t = max(log f + m_(t-1), i~),           log f = log sigma(f~)
        c_t = exp(log f + m_(t-1) - m_t) c_(t-1) + exp(i~ - m_t) tanh(z~)
        n_t = exp(log f + m_(t-1) - m_t) n_(t-1) + exp(i~ - m_t)
        h_t = sigma(o~) c_t / n_t
    so that the input gate is exp(i~) with nothing to overflow: the memory is exp(m) c, the
    normaliser exp(m) n. A state with n = 0 holds nothing, whatever its m: there m_t = i~.

    Inputs [B, I], state (h, c, n, m), each [B, H], zeros at first.

    Args:
        input_size: I.
        hidden_size: H.
        forget_bias: "powerlaw": 5 - 12 (k/(H-1))^0.3 for unit k = 0..H-1, from units that keep to
            units that forget at once; or a number for all. Other biases are 0, weights are
            U(-1/sqrt(H), 1/sqrt(H)).

    Raises:
        InputError: another forget_bias.

    Source: Beck et al. 2024, arXiv:2405.04517, eqs. 8-17; the power law: their code, for a model of
    one block.
    """

    def __init__(
        self, input_size: int, hidden_size: int, forget_bias: str | float = "powerlaw"
    ) -> None:
        if forget_bias != "powerlaw":
            options.number("forget_bias", forget_bias, "'powerlaw' or a number", optional=False)
        super().__init__()
        self.hidden_size = hidden_size
        self.drive = nn.Linear(input_size, 4 * hidden_size)
        self.recurrent = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        for weight in (self.drive.weight, self.recurrent.weight):
            nn.init.uniform_(weight, -1 / math.sqrt(hidden_size), 1 / math.sqrt(hidden_size))
        nn.init.zeros_(self.drive.bias)
        if forget_bias == "powerlaw":
            bias_H: float | Tensor = 5 - 12 * torch.linspace(0, 1, hidden_size) ** 0.3
        else:
            bias_H = float(forget_bias)
        with torch.no_grad():
            self.drive.bias[hidden_size : 2 * hidden_size] = bias_H

    def forward(self, x_BI: Tensor, state: State | None = None) -> State:
        zeros = x_BI.new_zeros(len(x_BI), self.hidden_size)
        h, c, n, m = (zeros,) * 4 if state is None else state
        i, f, z, o = (self.drive(x_BI) + self.recurrent(h)).chunk(4, 1)
        kept = nn.functional.logsigmoid(f) + m
        m = torch.where(n == 0, i, torch.maximum(kept, i))
        # Only where nothing is held yet can kept exceed m: 0 times a finite number, please.
        keep, write = torch.exp((kept - m).clamp(max=80)), torch.exp(i - m)
        c = keep * c + write * z.tanh()
        n = keep * n + write
        return o.sigmoid() * c / n, c, n, m
