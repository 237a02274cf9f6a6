"""Temporal order: two or three relevant symbols far apart; in which order did they come?"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from seqbench.problems.batch import Baseline, Batch
from seqbench.problems.checks import check_choice, check_length
from seqbench.problems.kinds import Classification, asked_at_end, one_hot

WINDOWS = {2: [(10, 20), (50, 60)], 3: [(10, 20), (33, 43), (66, 76)]}  # in hundredths of T
DISTRACTORS, X, START, END = 4, 4, 6, 7  # symbols: a b c d, X Y, and E (start) B (end)


class TemporalOrder(Classification):
    """One-hot symbols: distractors a, b, c, d, and at two or three steps an X or a Y, each as
    likely; at the last step the class says which they were, in order (XX, XY, YX, YY).

    protocol "pascanu2013": T steps, the relevant symbols at 0-based steps in [T/10, T/5) and [T/2,
    3T/5). "hochreiter1997": length U[T, 1.1 T] (T = 100 is the paper's), the sequence starts with E
    and ends with B, and the windows include their ends. With markers = 3 the windows are [.1 T,
    .2 T), [.33 T, .43 T), [.66 T, .76 T). Solved at 99 % right. Fresh sequences.

    Baselines: all 2^markers classes are as likely, ln 2^markers; each symbol known halves them.

    Args:
        length: T, at least 10.
        protocol: "pascanu2013" or "hochreiter1997".
        markers: 2 or 3.

    Raises:
        InputError: another protocol or number of markers, a length too short.

    Source: Hochreiter & Schmidhuber 1997, section 5.6; Martens & Sutskever 2011; Pascanu et al.
    2013, who draw lengths of 50 to 200.
    """

    def __init__(self, length: int, protocol: str = "pascanu2013", markers: int = 2) -> None:
        check_choice("protocol", protocol, ("pascanu2013", "hochreiter1997"), "temporal_order")
        check_choice("markers", markers, WINDOWS, "temporal_order")
        self.length, self.markers = check_length(length, 10, "temporal_order"), markers
        self.original = protocol == "hochreiter1997"
        self.steps = length * 11 // 10 if self.original else length
        self.symbols = "abcdXYEB" if self.original else "abcdXY"
        self.input_size, self.output_size = len(self.symbols), 2**markers
        self.classes = [
            f"{k:0{markers}b}".replace("0", "X").replace("1", "Y") for k in range(2**markers)
        ]
        self.baselines = {
            "knowing nothing": Baseline(markers * math.log(2), 0.5**markers),
            "all but one symbol": Baseline(math.log(2), 0.5),
        }

    def sample(self, batch_size: int, generator: Generator) -> Batch:
        """Draw `batch_size` sequences; see the class for the distribution."""
        T, S, B = self.length, self.steps, batch_size
        ends_B = torch.full((B,), S)
        if self.original:
            ends_B = torch.randint(T, S + 1, (B,), generator=generator)
        symbols_SB = torch.randint(0, DISTRACTORS, (S, B), generator=generator)
        steps_mB = torch.stack(
            [
                torch.randint(
                    T * low // 100, T * high // 100 + self.original, (B,), generator=generator
                )
                for low, high in WINDOWS[self.markers]
            ]
        )
        bits_mB = torch.randint(0, 2, (self.markers, B), generator=generator)
        symbols_SB.scatter_(0, steps_mB, X + bits_mB)
        if self.original:
            symbols_SB[0] = START
            symbols_SB.scatter_(0, ends_B[None] - 1, END)
        powers_m = 2 ** torch.arange(self.markers - 1, -1, -1)
        inputs_SBI = one_hot(symbols_SB, self.input_size, ends_B)
        return asked_at_end(inputs_SBI, (bits_mB * powers_m[:, None]).sum(0), ends_B)

    def needed_lags(self, batch: Batch) -> list[Tensor]:
        """From the end back to each X or Y, [B, markers]."""
        relevant_BS = (batch.inputs[:, :, X] + batch.inputs[:, :, X + 1]).T > 0
        steps_Bm = relevant_BS.nonzero()[:, 1].reshape(-1, self.markers) + 1
        return [batch.last_scored_step()[:, None] - steps_Bm]
