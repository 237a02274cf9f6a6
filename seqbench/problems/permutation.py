"""Random permutation: the last of a hundred symbols is the first one again."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from seqbench.problems.batch import Baseline, Batch
from seqbench.problems.checks import check_length
from seqbench.problems.kinds import Classification, asked_at_end, one_hot

SYMBOLS = 100


class RandomPermutation(Classification):
    """T symbols of 100: the first is 0 or 1, the last is the same, those between are any of the
    other 98; one-hot. T-1 are shown, and the last is asked for where it would come next. Solved at
    99 % right. Fresh sequences.

    Baseline: one of two, ln 2 (who does not know even that: ln 100).

    Deviation: the papers predict every next symbol; all but the last are noise, and only that one
    is scored here.

    Args:
        length: T, at least 3.

    Raises:
        InputError: a length too short.

    Source: Hochreiter & Schmidhuber 1997, section 5.2 (2b); Martens & Sutskever 2011; Pascanu et
    al. 2013.
    """

    input_size = output_size = SYMBOLS
    symbols = tuple(map(str, range(SYMBOLS)))

    def __init__(self, length: int) -> None:
        self.steps = check_length(length, 3, "random_permutation") - 1
        self.baselines = {
            "one of the two": Baseline(math.log(2), 0.5),
            "any symbol": Baseline(math.log(SYMBOLS), 1 / SYMBOLS),
        }

    def sample(self, batch_size: int, generator: Generator) -> Batch:
        """Draw `batch_size` sequences."""
        size = (self.steps, batch_size)
        symbols_TB = torch.randint(2, SYMBOLS, size, generator=generator)
        symbols_TB[0] = torch.randint(0, 2, (batch_size,), generator=generator)
        return asked_at_end(one_hot(symbols_TB, SYMBOLS), symbols_TB[0])

    def needed_lags(self, batch: Batch) -> list[Tensor]:
        """Back to the first step."""
        return [batch.last_scored_step()[:, None] - 1]
