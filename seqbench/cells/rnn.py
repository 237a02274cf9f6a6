"""The vanilla recurrent network (Elman 1990)."""

from torch import nn

from seqbench.errors import InputError


class RNN(nn.RNN):
    """h_t = f(W x_t + U h_(t-1) + b), f = tanh or relu, on torch's fused layer.

    Inputs [T, B, I], state h [1, B, H]; initialised as torch does, U(-1/sqrt(H), 1/sqrt(H)).

    Args:
        input_size: I.
        hidden_size: H.
        nonlinearity: "tanh" or "relu".

    Raises:
        InputError: another nonlinearity.

    Source: Elman 1990, "Finding structure in time", Cognitive Science 14.
    """

    def __init__(self, input_size: int, hidden_size: int, nonlinearity: str = "tanh") -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise InputError(f"nonlinearity = {nonlinearity!r}\nallowed: 'tanh', 'relu'")
        super().__init__(input_size, hidden_size, nonlinearity=nonlinearity)
