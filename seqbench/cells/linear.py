"""LRU, minGRU, minLSTM: h_t = a_t h_(t-1) + b_t, where a and b don't depend on h.

Each can be computed step by step, or by a parallel scan: the same numbers, to rounding.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.cells import options


def scan(a_T: Tensor, b_T: Tensor, before: Tensor) -> Tensor:
    """All h_t = a_t h_(t-1) + b_t at once, in 2 log2(T) passes of about T elements in all.

    Neighbours are combined in pairs, (a_2 a_1, a_2 b_1 + b_2), the half as long sequence is
    scanned, and what lies between is filled in. Products and sums alone: nothing is divided by, so
    that a = 0 is as good as any other, and nothing grows that does not grow step by step.

    Args:
        a_T, b_T: [T, ...], real or complex; their other axes broadcast.
        before: h_0.

    Returns:
        h_1 .. h_T.

    Source: Blelloch 1990, "Prefix sums and their applications", for this recurrence: Martin & Cundy
    2018, arXiv:1709.04057.
    """
    return _Scan.apply(a_T, torch.cat([b_T[:1] + a_T[:1] * before, b_T[1:]]))


class _Scan(torch.autograd.Function):
    """From a state of zeros. The gradient of a scan is a scan backwards: no graph of the passes."""

    @staticmethod
    def forward(a_T: Tensor, b_T: Tensor) -> Tensor:
        h_T = torch.empty_like(b_T)
        _scan_into(h_T, a_T, b_T)
        return h_T

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0], output)

    @staticmethod
    def backward(ctx: Any, grad_T: Tensor) -> tuple[Tensor | None, Tensor]:
        a_T, h_T = ctx.saved_tensors
        later_T = torch.cat(
            [a_T[1:], a_T[:1]]
        ).conj()  # what h_t is multiplied by; the last: unused
        grad_b = _Scan.apply(later_T.flip(0), grad_T.flip(0)).flip(0)
        if not ctx.needs_input_grad[0]:
            return None, grad_b
        grad_a = torch.cat([torch.zeros_like(grad_b[:1]), grad_b[1:] * h_T[:-1].conj()])
        return grad_a.sum_to_size(a_T.shape), grad_b


def _scan_into(h_T: Tensor, a_T: Tensor, b_T: Tensor) -> None:
    steps = len(b_T)
    h_T[0] = b_T[0]
    if steps == 1:
        return
    a_first, a_second = a_T[0 : steps - 1 : 2], a_T[1::2]
    b_first, b_second = b_T[0 : steps - 1 : 2], b_T[1::2]
    pairs = torch.addcmul(b_second, a_second, b_first)
    _scan_into(h_T[1::2], a_second * a_first, pairs)
    torch.addcmul(b_T[2::2], a_T[2::2], h_T[1 : steps - 1 : 2], out=h_T[2::2])


def loop(a_T: Tensor, b_T: Tensor, before: Tensor) -> Tensor:
    """The same as `scan`, step by step."""
    found = []
    for a, b in zip(a_T.expand(len(b_T), *a_T.shape[1:]).unbind(0), b_T.unbind(0), strict=True):
        before = torch.addcmul(b, a, before)
        found.append(before)
    return torch.stack(found)


class MinGRU(nn.Module):
    """h_t = (1 - z) h_(t-1) + z h~, with z = sigma(W_z x_t + b_z) and h~ = W x_t + b.

    Inputs [T, B, I], outputs [T, B, H], state h [B, H]; initialised as torch does its linear
    layers.

    Args:
        input_size: I.
        hidden_size: H.
        parallel: by `scan`, or else step by step.

    Raises:
        InputError: parallel is not true or false.

    Source: Feng et al. 2024, arXiv:2410.01201, section 3.1, the form that is not in log space (h~
    of any sign).
    """

    kind = "layer"

    def __init__(self, input_size: int, hidden_size: int, parallel: bool = True) -> None:
        options.yes_or_no("parallel", parallel)
        super().__init__()
        self.recur = scan if parallel else loop
        self.drive = nn.Linear(input_size, 2 * hidden_size)

    def forward(self, x_TBI: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, new = self.drive(x_TBI).chunk(2, -1)
        h_BH = torch.zeros_like(new[0]) if state is None else state
        # 1 - sigma(z) = sigma(-z), without the loss of digits near 0
        outputs = self.recur(torch.sigmoid(-z), torch.sigmoid(z) * new, h_BH)
        return outputs, outputs[-1]


class MinLSTM(nn.Module):
    """h_t = f' h_(t-1) + i' h~, f' = f / (f + i), i' = i / (f + i), f and i sigmoids of x_t alone.

    h~ = W x_t + b. Inputs [T, B, I], outputs [T, B, H], state h [B, H]; initialised as torch does
    its linear layers.

    Args:
        input_size: I.
        hidden_size: H.
        forget_bias: the bias of f. None keeps torch's random one.
        parallel: by `scan`, or else step by step.

    Raises:
        InputError: an option's value that can't be.

    Source: Feng et al. 2024, arXiv:2410.01201, section 3.2, the form that is not in log space.
    """

    kind = "layer"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        forget_bias: float | None = None,
        parallel: bool = True,
    ) -> None:
        options.number("forget_bias", forget_bias)
        options.yes_or_no("parallel", parallel)
        super().__init__()
        self.recur = scan if parallel else loop
        self.drive = nn.Linear(input_size, 3 * hidden_size)
        if forget_bias is not None:
            with torch.no_grad():
                self.drive.bias[:hidden_size] = forget_bias

    def forward(self, x_TBI: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        f, i, new = self.drive(x_TBI).chunk(3, -1)
        h_BH = torch.zeros_like(new[0]) if state is None else state
        # f / (f + i) is a sigmoid itself; this form can't divide 0 by 0
        share = nn.functional.logsigmoid(f) - nn.functional.logsigmoid(i)
        outputs = self.recur(torch.sigmoid(share), torch.sigmoid(-share) * new, h_BH)
        return outputs, outputs[-1]


class LRU(nn.Module):
    """s_t = lambda s_(t-1) + gamma B x_t, complex and diagonal; y_t = Re(C s_t) + D x_t.

    lambda = exp(-exp(nu) + i exp(theta)), so that |lambda| < 1; gamma starts at sqrt(1 -
    |lambda|^2). What comes out is mixed, G u * sigma(G' u) with u = gelu(y): without it the layer
    is linear, and so is every stack of it. The inputs of the one recurrence are linear in x: what
    has to multiply inputs before they are added up needs `layers = 2`.

    Inputs [T, B, I], outputs [T, B, H], state [B, 2N]: real parts, then imaginary parts.

    Args:
        input_size: I.
        hidden_size: H, and N, the number of complex units.
        r_min, r_max: lambda is drawn uniformly from the ring between these radii,
        max_phase: and phases from 0 to this.
        mix: whether what comes out is mixed.
        parallel: by `scan`, or else step by step.

    Raises:
        InputError: an option's value that can't be.

    Source: Orvieto et al. 2023, arXiv:2303.06349, section 3 and appendix A (B, C, D as theirs); the
    mixing is the GLU of their blocks, whose norm and skip connection are left out.
    """

    kind = "layer"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        r_min: float = 0.0,
        r_max: float = 1.0,
        max_phase: float = 2 * math.pi,
        mix: bool = True,
        parallel: bool = True,
    ) -> None:
        options.number("r_max", r_max, "above 0, at most 1", above=0, below=1 + 1e-9)
        options.number("r_min", r_min, "0 or more, below r_max", above=-1e-9, below=r_max)
        options.number("max_phase", max_phase, "a positive number", above=0)
        options.yes_or_no("mix", mix)
        options.yes_or_no("parallel", parallel)
        super().__init__()
        units = hidden_size
        u1, u2 = torch.rand(2, units).clamp(1e-6, 1 - 1e-6)  # open ends: |lambda| is not 0 or 1
        self.nu = nn.Parameter(torch.log(-0.5 * torch.log(u1 * (r_max**2 - r_min**2) + r_min**2)))
        self.theta = nn.Parameter(torch.log(max_phase * u2))
        self.log_gamma = nn.Parameter(0.5 * torch.log(-torch.expm1(-2 * torch.exp(self.nu.data))))
        # complex matrices as their real and imaginary parts
        self.B = nn.Parameter(torch.randn(2 * units, input_size) / math.sqrt(2 * input_size))
        self.C = nn.Parameter(torch.randn(hidden_size, 2 * units) / math.sqrt(units))
        self.D = nn.Parameter(torch.randn(hidden_size, input_size))
        self.mix = nn.Linear(hidden_size, 2 * hidden_size) if mix else None
        self.recur = scan if parallel else loop

    def eigenvalues(self) -> Tensor:
        """lambda, complex, [N]."""
        return torch.exp(torch.complex(-torch.exp(self.nu), torch.exp(self.theta)))

    def forward(self, x_TBI: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        driven_TBN = torch.complex(*(x_TBI @ self.B.T).chunk(2, -1)) * torch.exp(self.log_gamma)
        if state is None:
            before_BN = torch.zeros_like(driven_TBN[0])
        else:
            before_BN = torch.complex(*state.chunk(2, -1))
        lambda_T1N = self.eigenvalues().expand(len(x_TBI), 1, -1)
        s_TBN = self.recur(lambda_T1N, driven_TBN, before_BN)
        parts_TBM = torch.cat([s_TBN.real, s_TBN.imag], -1)
        y_TBH = parts_TBM @ self.C.T + x_TBI @ self.D.T
        if self.mix is not None:
            y_TBH = nn.functional.glu(self.mix(nn.functional.gelu(y_TBH)))
        return y_TBH, parts_TBM[-1]
