"""The vanilla recurrent network (Elman 1990)."""

from __future__ import annotations

import math

import torch
from torch import nn

from seqbench.errors import InputError


class RNN(nn.RNN):
    """h_t = f(W x_t + U h_(t-1) + b), f = tanh or relu, on torch's fused layer.

    Inputs [T, B, I], state h [1, B, H]; initialised as torch does, U(-1/sqrt(H), 1/sqrt(H)).

    Args:
        input_size: I.
        hidden_size: H.
        nonlinearity: "tanh" or "relu".
        spectral_radius: the recurrent matrix as it was drawn, scaled so that the largest modulus of
            its eigenvalues is this. None leaves it (at torch's default about 0.58 for large H).

    Raises:
        InputError: another nonlinearity, or a spectral radius that is no positive number.

    Source: Elman 1990, "Finding structure in time", Cognitive Science 14. The spectral radius as a
    knob: Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063, section 2.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        nonlinearity: str = "tanh",
        spectral_radius: float | None = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise InputError(f"nonlinearity = {nonlinearity!r}\nallowed: 'tanh', 'relu'")
        number = type(spectral_radius) in (int, float)
        if spectral_radius is not None and not (number and 0 < spectral_radius < math.inf):
            raise InputError(f"spectral_radius = {spectral_radius!r}\nallowed: a positive number")
        super().__init__(input_size, hidden_size, nonlinearity=nonlinearity)
        if spectral_radius is not None:
            with torch.no_grad():
                scale_to_radius(self.weight_hh_l0, spectral_radius)


def scale_to_radius(weight_HH: torch.Tensor, radius: float) -> None:
    """Multiply a square matrix in place so that its spectral radius is `radius`."""
    now = torch.linalg.eigvals(weight_HH.double()).abs().max()
    weight_HH.mul_((radius / now).to(weight_HH.dtype))
