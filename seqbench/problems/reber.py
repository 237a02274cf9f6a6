"""Embedded Reber grammar: the last symbol but one is the second again."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Generator, Tensor

from seqbench.problems.batch import Baseline, Batch
from seqbench.problems.checks import check_choice, check_length
from seqbench.problems.kinds import Classification, asked_at_end, one_hot

SYMBOLS = "BTPSXVE"
# The grammar between its B and its E: two ways on from each state, equally likely; 5 is the end.
ARROWS = [
    [("T", 1), ("P", 2)],
    [("S", 1), ("X", 3)],
    [("T", 2), ("V", 4)],
    [("X", 2), ("S", 5)],
    [("P", 3), ("V", 5)],
]
START, FINAL = 0, 5
FRAME = 6  # symbols of a string besides those between: B, T or P, B, ..., E, the same, E


class EmbeddedReber(Classification):
    """Strings B t B ... E t E, where t is T or P, as likely, and B ... E is a string of Reber's
    grammar. All but the last two symbols are shown, one-hot over 7; where the second t would come
    next it is asked for, by cross-entropy over the 7 symbols; solved at 99 % right. Fresh strings.

    protocol "exact": strings of T symbols, drawn as the grammar gives them given that length.
    "hochreiter1997": strings as the grammar gives them, those of more than T symbols left out.

    Baseline: T or P, ln 2; what lies between is independent of it (not knowing even that: ln 7).

    Deviation: the paper predicts every next symbol and counts a string as right if all are; the
    others need no long memory, and only the last but one is scored here.

    Args:
        length: T, at least 9.
        protocol: "exact" or "hochreiter1997".

    Raises:
        InputError: another protocol, a length too short.

    Source: Reber 1967; Smith & Zipser 1989; Cleeremans et al. 1989; Hochreiter & Schmidhuber 1997,
    section 5.1.
    """

    input_size = output_size = len(SYMBOLS)
    symbols = classes = tuple(SYMBOLS)

    def __init__(self, length: int, protocol: str = "exact") -> None:
        check_choice("protocol", protocol, ("exact", "hochreiter1997"), "reber")
        self.length = check_length(length, FRAME + 3, "reber")
        self.steps = length - 2
        self.baselines = {
            "T or P": Baseline(math.log(2), 0.5),
            "any symbol": Baseline(math.log(7), 1 / 7),
        }
        between = length - FRAME
        arrives = _arrival(between)  # [between + 1, states]
        self.lengths = arrives[:, START].clone()  # how likely so many symbols between are
        if protocol == "exact":
            self.lengths[:-1] = 0.0
        after = torch.tensor([[state for _, state in arrows] for arrows in ARROWS])
        # numpy from here on: a step over few strings costs it a quarter of what torch takes
        self.next = torch.cat([after, torch.full((1, 2), FINAL)]).flatten().numpy()
        drawn = [[SYMBOLS.index(symbol) for symbol, _ in arrows] for arrows in ARROWS]
        self.drawn = np.array([*drawn, [SYMBOLS.index("E")] * 2]).ravel()
        # [symbols to come, state]: how likely the first arrow is, given that the end is met
        ways = 0.5 * arrives[:, after]
        first = ways[:-1, :, 0] / ways[:-1].sum(-1).clamp_min(1e-300)
        self.first = torch.nn.functional.pad(first, (0, 1, 1, 0)).numpy().ravel()

    def sample(self, batch_size: int, generator: Generator) -> Batch:
        """Draw `batch_size` strings."""
        B, between = batch_size, self.length - FRAME
        t_B = 1 + torch.randint(0, 2, (B,), generator=generator)
        count_B = torch.multinomial(self.lengths, B, replacement=True, generator=generator)
        draws = torch.rand(between, B, generator=generator, dtype=torch.float64)
        symbols_SB = torch.full((self.steps, B), SYMBOLS.index("E"))
        symbols_SB[0], symbols_SB[1], symbols_SB[2] = 0, t_B, 0
        symbols_SB[3:-1] = self._walk(count_B, draws)
        ends_B = count_B + FRAME - 2
        return asked_at_end(one_hot(symbols_SB, self.input_size, ends_B), t_B, ends_B)

    def _walk(self, count_B: Tensor, draws: Tensor) -> Tensor:
        """The symbols between, from draws U[0, 1], [between, B]; E where there are fewer."""
        states = len(ARROWS) + 1
        to_come_kB = count_B.numpy() - np.arange(len(draws))[:, None]
        rows_kB = states * np.maximum(to_come_kB, 0)
        arrows_kB, state_B = np.empty_like(rows_kB), np.full(len(count_B), START)
        for arrow_B, row_B, draw_B in zip(arrows_kB, rows_kB, draws.numpy(), strict=True):
            np.add(2 * state_B, draw_B >= self.first[row_B + state_B], out=arrow_B)
            state_B = self.next[arrow_B]
        return torch.from_numpy(self.drawn[arrows_kB])

    def needed_lags(self, batch: Batch) -> list[Tensor]:
        """Back to the second symbol."""
        return [batch.last_scored_step()[:, None] - 2]


def _arrival(most: int) -> Tensor:
    """How likely the grammar is at its end after exactly m more symbols, [m = 0..most, state]."""
    arrives = torch.zeros(most + 1, len(ARROWS) + 1, dtype=torch.float64)
    arrives[0, FINAL] = 1.0
    for m in range(1, most + 1):
        for state, arrows in enumerate(ARROWS):
            arrives[m, state] = sum(0.5 * arrives[m - 1, after] for _, after in arrows)
    return arrives
