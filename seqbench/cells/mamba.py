"""Mamba: a diagonal recurrence that its inputs select (Gu & Dao 2023)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seqbench.cells import options
from seqbench.cells.linear import loop, scan

SHORTEST, LONGEST = 1e-3, 0.1  # time steps at first, drawn log-uniformly in between

State = tuple[Tensor, Tensor]


class Mamba(nn.Module):
    """s_t = exp(dt_t A) s_(t-1) + dt_t B_t u_t, y_t = C_t s_t + D u_t: dt, B and C are of x.

    u = silu(conv(W x)) with a convolution over the last few inputs, channel by channel; A < 0 is
    diagonal, N numbers a channel; what comes out is y silu(W' x), mixed by a last matrix. The
    block's norm and skip connection are left out.

    Inputs [T, B, I], outputs [T, B, H], state (s [B, D N], the inputs that the convolution sees
    again [B, D (conv - 1)]) with D = expand H channels.

    Args:
        input_size: I.
        hidden_size: H.
        state_size: N, numbers a channel.
        expand: channels for each of the H outputs.
        conv: how many inputs the convolution sees.
        parallel: by `scan`, or else step by step.

    Raises:
        InputError: an option's value that can't be.

    Source: Gu & Dao 2023, arXiv:2312.00752, algorithm 2; B discretised by dt B, A = -1..-N and
    the initial time steps, all as in section 3.6 and the authors' code.
    """

    kind = "layer"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        state_size: int = 16,
        expand: int = 2,
        conv: int = 4,
        parallel: bool = True,
    ) -> None:
        options.whole("state_size", state_size, 1)
        options.whole("expand", expand, 1)
        options.whole("conv", conv, 2)
        options.yes_or_no("parallel", parallel)
        super().__init__()
        self.recur = scan if parallel else loop
        self.N, channels = state_size, expand * hidden_size
        rank = math.ceil(hidden_size / 16)
        self.drive = nn.Linear(input_size, 2 * channels, bias=False)
        bound = 1 / math.sqrt(conv)
        self.conv = nn.Parameter(torch.empty(conv, channels).uniform_(-bound, bound))
        self.conv_bias = nn.Parameter(torch.empty(channels).uniform_(-bound, bound))
        self.select = nn.Linear(channels, rank + 2 * state_size, bias=False)
        self.dt = nn.Linear(rank, channels)
        first = torch.empty(channels).uniform_(math.log(SHORTEST), math.log(LONGEST)).exp()
        with torch.no_grad():
            nn.init.uniform_(self.dt.weight, -1 / math.sqrt(rank), 1 / math.sqrt(rank))
            self.dt.bias.copy_(torch.log(torch.expm1(first)))  # the inverse of softplus
        self.log_A = nn.Parameter(torch.arange(1.0, state_size + 1).log().repeat(channels, 1))
        self.D = nn.Parameter(torch.ones(channels))
        self.out = nn.Linear(channels, hidden_size, bias=False)

    def forward(self, x_TBI: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        driven_TBD, gate_TBD = self.drive(x_TBI).chunk(2, -1)
        examples, channels = driven_TBD.shape[1:]
        if state is None:
            s_BDN = driven_TBD.new_zeros(examples, channels, self.N)
            before_CBD = driven_TBD.new_zeros(len(self.conv) - 1, examples, channels)
        else:
            s_BDN = state[0].view(examples, channels, self.N)
            before_CBD = state[1].view(examples, -1, channels).movedim(1, 0)
        seen_TBD = torch.cat([before_CBD, driven_TBD])
        u_TBD = nn.functional.silu(self._convolved(seen_TBD))
        s_TBDN, y_TBD = self._recurrence(u_TBD, s_BDN)
        outputs_TBH = self.out(y_TBD * nn.functional.silu(gate_TBD))
        kept_CBD = seen_TBD[len(x_TBI) :]
        return outputs_TBH, (s_TBDN[-1].flatten(1), kept_CBD.movedim(0, 1).flatten(1))

    def _convolved(self, seen_TBD: Tensor) -> Tensor:
        steps = len(seen_TBD) - len(self.conv) + 1
        each = (weight_D * seen_TBD[i : i + steps] for i, weight_D in enumerate(self.conv))
        return sum(each, self.conv_bias)

    def _recurrence(self, u_TBD: Tensor, s_BDN: Tensor) -> tuple[Tensor, Tensor]:
        rank = self.dt.in_features
        dt_TBR, B_TBN, C_TBN = self.select(u_TBD).split([rank, self.N, self.N], -1)
        dt_TBD1 = nn.functional.softplus(self.dt(dt_TBR))[..., None]
        keep_TBDN = torch.exp(-dt_TBD1 * self.log_A.exp())
        s_TBDN = self.recur(keep_TBDN, dt_TBD1 * u_TBD[..., None] * B_TBN[..., None, :], s_BDN)
        return s_TBDN, (s_TBDN * C_TBN[..., None, :]).sum(-1) + self.D * u_TBD
