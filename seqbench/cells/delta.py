"""DeltaNet: a matrix as memory, in which a key's old value is replaced by its new one."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seqbench.cells import options

TINY = 1e-6  # under a norm's root: a key of zeros stays one


class DeltaNet(nn.Module):
    """S_t = S + b_t (v_t - S k_t) k_t' with S = a_t S_(t-1), o_t = S_t q_t.

    What the memory recalls for the key k is replaced by v, to the share b. q, k, v = silu(W x), q
    and k of norm 1; b = sigmoid(w x); a_t = 1, or with `gated` exp(-A softplus(w' x + c)), by which
    all is forgotten. Outputs are o over its root mean square in each head, mixed by a last matrix.
    The block's short convolutions and skip connection are left out.

    Inputs [T, B, I], outputs [T, B, H], state [B, heads d d] with d = H / heads.

    Args:
        input_size: I.
        hidden_size: H.
        heads: memories side by side.
        gated: whether there is an a.
        negative: b = 2 sigmoid: a key's component may change its sign (eigenvalues from -1 to 1),
            which tracking a state needs.

    Raises:
        InputError: an option's value that can't be.

    Source: the delta rule: Schlag et al. 2021, arXiv:2102.11174, section 4.2; q and k as in Yang et
    al. 2024, arXiv:2406.06484; gated: Yang et al. 2025, arXiv:2412.06464, section 3, initialised as
    Mamba-2; negative: Grazzi et al. 2025, arXiv:2411.12537.
    """

    kind = "layer"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        heads: int = 1,
        gated: bool = False,
        negative: bool = False,
    ) -> None:
        options.whole("heads", heads, 1)
        options.divides("heads", heads, "hidden_size", hidden_size)
        options.yes_or_no("gated", gated)
        options.yes_or_no("negative", negative)
        super().__init__()
        self.heads, self.most = heads, 2.0 if negative else 1.0
        self.drive = nn.Linear(input_size, 3 * hidden_size, bias=False)
        self.write = nn.Linear(input_size, heads, bias=False)
        self.forget = nn.Linear(input_size, heads) if gated else None
        if self.forget is not None:
            first = torch.empty(heads).uniform_(math.log(1e-3), math.log(0.1)).exp()
            with torch.no_grad():
                self.forget.bias.copy_(torch.log(torch.expm1(first)))  # the inverse of softplus
            self.log_A = nn.Parameter(torch.empty(heads).uniform_(1, 16).log())
        self.norm = nn.RMSNorm(hidden_size // heads, eps=1e-5)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x_TBI: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        each = nn.functional.silu(self.drive(x_TBI)).unflatten(-1, (3, self.heads, -1))
        q_TBhd, k_TBhd, v_TBhd = each.unbind(-3)
        q_TBhd, k_TBhd = _of_norm_1(q_TBhd), _of_norm_1(k_TBhd)
        b_TBh1 = self.most * torch.sigmoid(self.write(x_TBI))[..., None]
        a_TBh1 = self._kept(x_TBI)
        examples, width = q_TBhd.shape[1], q_TBhd.shape[-1]
        if state is None:
            S = x_TBI.new_zeros(examples, self.heads, width, width)
        else:
            S = state.view(examples, self.heads, width, width)
        outputs = []
        for q, k, v, b, a in zip(q_TBhd, k_TBhd, v_TBhd, b_TBh1, a_TBh1, strict=True):
            S = a[..., None] * S
            change = b * (v - (S @ k[..., None])[..., 0])
            S = S + change[..., None] * k[..., None, :]
            outputs.append((S @ q[..., None])[..., 0])
        return self.out(self.norm(torch.stack(outputs)).flatten(-2)), S.flatten(1)

    def _kept(self, x_TBI: Tensor) -> Tensor:
        if self.forget is None:
            return x_TBI.new_ones(*x_TBI.shape[:2], self.heads, 1)
        rate = self.log_A.exp() * nn.functional.softplus(self.forget(x_TBI))
        return torch.exp(-rate)[..., None]


def _of_norm_1(x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().sum(-1, keepdim=True) + TINY)
