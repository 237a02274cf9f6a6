"""A deep network of fully connected layers: what `length` counts is layers, not time steps.

Shapes: B examples, n entries of a layer's output.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from seqbench.cells import options
from seqbench.cells.rnn import NONLINEARITIES
from seqbench.cells.rnn import activation as nonlinearity
from seqbench.errors import InputError


def _normal(weight: Tensor) -> object:
    return nn.init.normal_(weight, std=1 / math.sqrt(weight.shape[1]))


# How weights are drawn, in place, and the standard deviation of the biases that goes with it.
INITIALISATIONS: dict[str, tuple[Callable[[Tensor], object], float]] = {
    "normal": (_normal, 1.0),  # variance 1/n_in
    "unscaled": (nn.init.normal_, 1.0),  # variance 1
    "glorot": (nn.init.xavier_uniform_, 0.0),  # variance 2/(n_in + n_out)
    "he": (lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"), 0.0),  # 2/n_in
    "orthogonal": (nn.init.orthogonal_, 0.0),
    "constant": (nn.init.ones_, 0.0),
}
NORMS = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}


class Layer(nn.Module):
    """h' = f(norm(W h + b)); with residual, where both are as wide, h + that.

    The norm, if there is one, brings a gain and the bias b.

    Attributes:
        bias: b, [n].
    """

    def __init__(
        self, linear: nn.Linear, norm: nn.Module | None, activation: nn.Module, *, residual: bool
    ) -> None:
        super().__init__()
        self.linear, self.norm, self.activation = linear, norm, activation
        self.residual = residual and linear.in_features == linear.out_features

    @property
    def bias(self) -> Tensor:
        """What is added to W h, by the layer or by its norm."""
        bias = self.linear.bias if self.norm is None else self.norm.bias
        assert isinstance(bias, Tensor)
        return bias

    def forward(self, h_Bn: Tensor) -> Tensor:
        z_Bn = self.linear(h_Bn)
        after_Bn = self.activation(z_Bn if self.norm is None else self.norm(z_Bn))
        return h_Bn + after_Bn if self.residual else after_Bn


class Dense(nn.Sequential):
    """h_l = f(W_l h_(l-1) + b_l) for l = 1..depth, h_0 the inputs: a chain of layers.

    Args:
        input_size: of h_0.
        hidden_size: of every other h_l.
        depth: how many layers; a linear readout comes on top, drawn as they are.
        activation: f, a key of `seqbench.cells.rnn.NONLINEARITIES`.
        init: how W is drawn, a key of INITIALISATIONS: "normal": N(0, 1/n_in); "unscaled":
            N(0, 1); both with b ~ N(0, 1). "glorot", "he", "orthogonal": as their authors say,
            b = 0. "constant": every weight 1, b = 0.
        weight_scale: a factor on W as it was drawn.
        bias_scale: the standard deviation of b, instead of 1 or 0; with "constant": its value.
        norm: "batch" or "layer": f(norm(W h)), b being the norm's, 0 at first; None: no norm.
        residual: h + f(...) wherever a layer is as wide as what it is shown.
        tied: one layer, applied again and again: a recurrent network that is shown its input once.
            The first layer is one of its own where the inputs are not as wide as the others.
        widths: of each layer, in place of hidden_size.

    Raises:
        InputError: an option's value that can't be.

    Source: "normal", "unscaled", "constant": Nielsen 2015, Neural Networks and Deep Learning,
    chapters 3 and 5. Glorot & Bengio 2010; He et al. 2015, arXiv:1502.01852; Saxe et al. 2014,
    arXiv:1312.6120; batch norm: Ioffe & Szegedy 2015, arXiv:1502.03167; layer norm: Ba et al. 2016,
    arXiv:1607.06450; residual: He et al. 2016, arXiv:1512.03385.
    """

    kind = "chain"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        depth: int,
        activation: str = "sigmoid",
        init: str = "normal",
        weight_scale: float = 1.0,
        bias_scale: float | None = None,
        norm: str | None = None,
        residual: bool = False,
        tied: bool = False,
        widths: Sequence[int] | None = None,
    ) -> None:
        options.one_of("activation", activation, NONLINEARITIES)
        options.one_of("init", init, INITIALISATIONS)
        options.number("weight_scale", weight_scale, optional=False)
        options.number("bias_scale", bias_scale)
        if norm is not None:
            options.one_of("norm", norm, NORMS)
        options.yes_or_no("residual", residual)
        options.yes_or_no("tied", tied)
        self.init, self.weight_scale, self.bias_scale = init, weight_scale, bias_scale
        layers: list[Layer] = []
        below = input_size
        for width in _widths(widths, hidden_size, depth):
            if not tied or not layers or layers[-1].linear.weight.shape != (width, below):
                linear = self._linear(below, width, bias=norm is None)
                normalise = NORMS[norm](width) if norm else None
                layer = Layer(linear, normalise, nonlinearity(activation, width), residual=residual)
            layers.append(layer)
            below = width
        super().__init__(*layers)
        self.width = below

    def _linear(self, n_in: int, n_out: int, *, bias: bool) -> nn.Linear:
        fill, deviation = INITIALISATIONS[self.init]
        linear = nn.Linear(n_in, n_out, bias=bias)
        with torch.no_grad():
            fill(linear.weight)
            linear.weight.mul_(self.weight_scale)
            if bias:
                linear.bias.normal_() if self.init != "constant" else linear.bias.fill_(1.0)
                linear.bias.mul_(deviation if self.bias_scale is None else self.bias_scale)
        return linear

    def readout(self, output_size: int) -> nn.Linear:
        """What the last layer is read with, [..., n] -> [..., output_size]."""
        return self._linear(self.width, output_size, bias=True)


def _widths(widths: Sequence[int] | None, hidden_size: int, depth: int) -> Sequence[int]:
    if widths is None:
        return [hidden_size] * depth
    whole = isinstance(widths, list | tuple) and all(type(n) is int and n > 0 for n in widths)
    if not whole or len(widths) != depth:
        raise InputError(f"widths = {widths!r}\nallowed: a width for each of the {depth} layers")
    return widths
