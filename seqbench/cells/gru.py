"""The gated recurrent unit (Cho et al. 2014)."""

from torch import nn


class GRU(nn.GRU):
    """h_t = (1 - z) n + z h_(t-1), with reset and update gates, on torch's fused layer.

    Inputs [T, B, I], state h [1, B, H]; initialised as torch does, U(-1/sqrt(H), 1/sqrt(H)).

    Args:
        input_size: I.
        hidden_size: H.

    Source: Cho et al. 2014, arXiv:1406.1078, in torch's variant (the reset gate acts after the
    recurrent product).
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
