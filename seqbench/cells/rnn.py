"""The vanilla recurrent network (Elman 1990): every nonlinearity, every recurrent initialisation.

Without layer norm and residual, a kernel of `seqbench.engine.kernels` is used on the CPU where
there is one for the nonlinearity, elsewhere torch's fused layer for tanh and relu; all else is a
loop over time with the same parameters, so that two variants start from the same draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from seqbench.cells import options

FUSED = ("tanh", "relu")


class ModReLU(nn.Module):
    """sign(z) relu(|z| + b): keeps the sign, moves the modulus by b, learned for each unit.

    b ~ U(-0.01, 0.01) at first, as in the code of Lezcano-Casado & Martinez-Rubio 2019.

    Source: Arjovsky et al. 2016, arXiv:1511.06464, eq. 8; of real numbers: Helfrich et al. 2018,
    arXiv:1707.09520.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.empty(width).uniform_(-0.01, 0.01))

    def forward(self, z_BH: Tensor) -> Tensor:
        return torch.sign(z_BH) * torch.relu(z_BH.abs() + self.bias)


NONLINEARITIES: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "leaky_relu": nn.LeakyReLU,  # slope 0.01
    "prelu": nn.PReLU,  # one learned slope, 0.25 at first
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "softsign": nn.Softsign,
    "hardtanh": nn.Hardtanh,
    "identity": nn.Identity,
    "modrelu": ModReLU,
}


def activation(name: str, width: int) -> nn.Module:
    """A nonlinearity, by its key in NONLINEARITIES, of `width` units."""
    made = NONLINEARITIES[name]
    return made(width) if made is ModReLU else made()


def rotations_(weight_HH: Tensor, least: float, most: float) -> None:
    """Fill a square matrix with rotations of two units each by angles U(least, most).

    It is orthogonal and normal, its eigenvalues e^(i angle); of an odd width the last unit is left
    as it is.
    """
    with torch.no_grad():
        nn.init.eye_(weight_HH)
        angles = torch.empty(len(weight_HH) // 2).uniform_(least, most)
        first = torch.arange(len(angles)) * 2
        second = first + 1
        weight_HH[first, first] = weight_HH[second, second] = angles.cos().to(weight_HH)
        weight_HH[first, second] = angles.sin().to(weight_HH)
        weight_HH[second, first] = -angles.sin().to(weight_HH)


# How the recurrent matrix is drawn; each fills a square matrix in place.
RECURRENT: dict[str, Callable[[Tensor], object]] = {
    "default": lambda weight: None,  # torch's: U(-1/sqrt(H), 1/sqrt(H)), spectral radius ~ 0.58
    "glorot": nn.init.xavier_uniform_,  # variance 1/H, spectral radius ~ 1
    "he": lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"),  # variance 2/H
    "orthogonal": nn.init.orthogonal_,
    "identity": nn.init.eye_,
    "henaff": lambda weight: rotations_(weight, -math.pi, math.pi),
    "cayley": lambda weight: rotations_(weight, 0.0, math.pi / 2),
}
STAY_ORTHOGONAL = ("orthogonal", "identity", "henaff", "cayley")


class RNN(nn.RNN):
    """h_t = (1 - a) h_(t-1) + a f(W x_t + U h_(t-1) + b); a = 1 unless `residual` is given.

    With layer_norm: f(LN(W x_t + U h_(t-1))), where the gain and the bias of the norm replace b.

    Inputs [T, B, I], outputs [T, B, H], state h [1, B, H]; all parameters are drawn as torch does,
    U(-1/sqrt(H), 1/sqrt(H)), but for U if an option says otherwise.

    Args:
        input_size: I.
        hidden_size: H.
        nonlinearity: f, a key of NONLINEARITIES.
        recurrent: how U is drawn, a key of RECURRENT.
        gain: a factor on U as it was drawn: too small or too large on purpose.
        spectral_radius: U as it was drawn, scaled so that the largest modulus of its eigenvalues is
            this. None leaves it.
        layer_norm: normalise the summed input of every step.
        residual: a, between 0 and 1: a skip connection through time.
        init: "default", torch's; "glorot": both matrices so, biases 0; `recurrent` then changes U.

    Raises:
        InputError: an option's value that can't be.

    Source: Elman 1990, "Finding structure in time", Cognitive Science 14. Initialisations: Glorot &
    Bengio 2010; He et al. 2015, arXiv:1502.01852; Saxe et al. 2014, arXiv:1312.6120. The spectral
    radius as a knob: Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063, section 2. Layer norm: Ba et
    al. 2016, arXiv:1607.06450, eq. 4. Rotations: Henaff et al. 2016, arXiv:1602.06662, and Helfrich
    et al. 2018, arXiv:1707.09520. Residual: leaky units, Bengio et al. 2013, arXiv:1212.0901.
    """

    weight_ih_l0: Tensor
    weight_hh_l0: Tensor
    bias_ih_l0: Tensor
    bias_hh_l0: Tensor

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        nonlinearity: str = "tanh",
        recurrent: str = "default",
        gain: float | None = None,
        spectral_radius: float | None = None,
        layer_norm: bool = False,
        residual: float | None = None,
        init: str = "default",
    ) -> None:
        options.one_of("nonlinearity", nonlinearity, NONLINEARITIES)
        options.one_of("recurrent", recurrent, RECURRENT)
        options.number("gain", gain, "a positive number", above=0)
        options.number("spectral_radius", spectral_radius, "a positive number", above=0)
        options.at_most_one(gain=gain, spectral_radius=spectral_radius)
        options.yes_or_no("layer_norm", layer_norm)
        options.number("residual", residual, "a number between 0 and 1", above=0, below=1)
        kernel = nonlinearity if nonlinearity in FUSED else "tanh"
        super().__init__(input_size, hidden_size, nonlinearity=kernel, bias=not layer_norm)
        options.initialise(self, init)
        self.nonlinearity = nonlinearity
        self.activation = activation(nonlinearity, hidden_size)
        self.norm: nn.Module = nn.LayerNorm(hidden_size) if layer_norm else nn.Identity()
        self.residual = residual
        plain = not layer_norm and residual is None
        self.fused = nonlinearity in FUSED and plain
        self.kernel = nonlinearity if plain else None  # what computes the same (engine.kernels)
        with torch.no_grad():
            RECURRENT[recurrent](self.weight_hh_l0)
            if gain is not None:
                self.weight_hh_l0.mul_(gain)
            if spectral_radius is not None:
                scale_to_radius(self.weight_hh_l0, spectral_radius)

    def forward(  # type: ignore[override]  # torch's takes packed sequences too
        self, x_TBI: Tensor, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        if self.fused:
            return super().forward(x_TBI, state)
        bias = self.bias_ih_l0 + self.bias_hh_l0 if self.bias else None
        driven_TBH = nn.functional.linear(x_TBI, self.weight_ih_l0, bias)
        weight_HH = self.weight_hh_l0.T

        def step(driven_BH: Tensor, h_BH: Tensor) -> Tensor:
            new_BH = self.activation(self.norm(torch.addmm(driven_BH, h_BH, weight_HH)))
            return new_BH if self.residual is None else torch.lerp(h_BH, new_BH, self.residual)

        return unroll(step, driven_TBH, state)


def unroll(
    step: Callable[[Tensor, Tensor], Tensor], driven_TBH: Tensor, state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """A recurrence step by step, by torch's layer contract.

    Args:
        step: (what drives this step [B, H], h [B, H]) -> h [B, H].
        driven_TBH: what drives each step, such as W x_t + b.
        state: [1, B, H], or None for zeros.

    Returns:
        (outputs [T, B, H], state [1, B, H]).
    """
    h_BH = driven_TBH.new_zeros(driven_TBH.shape[1:]) if state is None else state[0]
    outputs = []
    for driven_BH in driven_TBH.unbind(0):
        h_BH = step(driven_BH, h_BH)
        outputs.append(h_BH)
    return torch.stack(outputs), h_BH[None]


class IRNN(RNN):
    """h_t = relu(W x_t + U h_(t-1) + b), U = I, b = 0 and W ~ N(0, 0.001^2) at first.

    Inputs [T, B, I], outputs [T, B, H], state h [1, B, H].

    Args:
        input_size: I.
        hidden_size: H.
        gain: U = gain I at first (Le et al. take 0.01 where short memory is enough).

    Raises:
        InputError: a gain that is no positive number.

    Source: Le, Jaitly & Hinton 2015, arXiv:1504.00941.
    """

    def __init__(self, input_size: int, hidden_size: int, gain: float | None = None) -> None:
        super().__init__(
            input_size, hidden_size, nonlinearity="relu", recurrent="identity", gain=gain
        )
        with torch.no_grad():
            nn.init.normal_(self.weight_ih_l0, std=0.001)
            for bias in (self.bias_ih_l0, self.bias_hh_l0):
                nn.init.zeros_(bias)


class _Scaled(nn.Module):
    """A parametrization: so many times what is learned."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, learned_HH: Tensor) -> Tensor:
        return self.factor * learned_HH


class Orthogonal(nn.Module):
    """h_t = f(W x_t + U h_(t-1) + b) with U orthogonal before, during and after training.

    U = U_0 exp(A), A skew-symmetric and learned, 0 at first: torch's own parametrization. Computed
    once for all steps of a call.

    Inputs [T, B, I], outputs [T, B, H], state h [1, B, H].

    Args:
        input_size: I.
        hidden_size: H.
        nonlinearity: f, a key of NONLINEARITIES.
        recurrent: how U_0 is drawn: "orthogonal", uniformly (Haar); "henaff", "cayley": rotations
            of pairs of units, by U(-pi, pi) and U(0, pi/2); "identity".
        rate: how much of the learning rate A gets; of Adam and RMSprop, whose steps do not grow
            with the gradient: it is a factor on A. Of SGD its square is.

    Raises:
        InputError: another value of an option.

    Source: Lezcano-Casado & Martinez-Rubio 2019, arXiv:1901.08428 (expRNN; they have modReLU,
    "henaff" or "cayley", and a rate of 0.1). "henaff": Henaff, Szlam & LeCun 2016,
    arXiv:1602.06662; "cayley": Helfrich et al. 2018, arXiv:1707.09520.
    """

    kind = "layer"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        nonlinearity: str = "tanh",
        recurrent: str = "orthogonal",
        rate: float = 1.0,
    ) -> None:
        options.one_of("nonlinearity", nonlinearity, NONLINEARITIES)
        options.one_of("recurrent", recurrent, STAY_ORTHOGONAL)
        options.number("rate", rate, "a positive number", above=0, optional=False)
        super().__init__()
        self.drive = nn.Linear(input_size, hidden_size)
        self.recurrent = nn.Linear(hidden_size, hidden_size, bias=False)
        RECURRENT[recurrent](self.recurrent.weight)
        parametrizations.orthogonal(self.recurrent)
        chain = self.recurrent.get_submodule("parametrizations.weight")
        assert isinstance(chain, nn.ModuleList)  # what is learned runs through it
        if rate != 1:
            chain.insert(0, _Scaled(rate))
        self.activation = activation(nonlinearity, hidden_size)

    def forward(self, x_TBI: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        weight_HH = self.recurrent.weight.T  # the parametrization is evaluated here

        def step(driven_BH: Tensor, h_BH: Tensor) -> Tensor:
            return self.activation(torch.addmm(driven_BH, h_BH, weight_HH))

        return unroll(step, self.drive(x_TBI), state)


def scale_to_radius(weight_HH: Tensor, radius: float) -> None:
    """Multiply a square matrix in place so that its spectral radius is `radius`."""
    now = torch.linalg.eigvals(weight_HH.double()).abs().max()
    weight_HH.mul_((radius / now).to(weight_HH.dtype))
