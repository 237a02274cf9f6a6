"""The gated recurrent unit (Cho et al. 2014)."""

from __future__ import annotations

from torch import nn

from seqbench.cells import options
from seqbench.cells.lstm import chrono_bias, set_bias


class GRU(nn.GRU):
    """h_t = (1 - z) n + z h_(t-1), with reset and update gates, on torch's fused layer.

    Inputs [T, B, I], outputs [T, B, H], state h [1, B, H]; initialised as torch does, U(-1/sqrt(H),
    1/sqrt(H)), but for what an option sets.

    Args:
        input_size: I.
        hidden_size: H.
        chrono: T_max, the longest dependency in steps: the total bias of z, which keeps the state,
            is drawn as log U[1, T_max - 1].

    Raises:
        InputError: a chrono that is no number of steps.

    Source: Cho et al. 2014, arXiv:1406.1078, in torch's variant (the reset gate acts after the
    recurrent product); chrono: Tallec & Ollivier 2018, arXiv:1804.11188.
    """

    def __init__(self, input_size: int, hidden_size: int, chrono: float | None = None) -> None:
        options.number("chrono", chrono, "a number of steps above 2", above=2)
        super().__init__(input_size, hidden_size)
        if chrono is not None:  # torch's order: r, z, n
            update_gate = slice(hidden_size, 2 * hidden_size)
            set_bias(self, update_gate, chrono_bias(hidden_size, chrono))
