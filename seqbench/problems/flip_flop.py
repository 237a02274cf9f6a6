"""Flip-flop language: write a bit, ignore bits, read: which was written last?"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from seqbench.errors import InputError
from seqbench.problems.batch import Baseline, Batch
from seqbench.problems.checks import check_length
from seqbench.problems.kinds import Classification

WRITE, READ, IGNORE, ZERO = 0, 1, 2, 3  # tokens; 4 is the bit 1


class FlipFlop(Classification):
    """T tokens: an instruction and a bit, again and again. w: write, r: read, i: ignore. The bit
    after w or i is any; the one after r is the bit written last, and is asked for where r is shown.

    The first instruction is w, the last r; of the others a share `ignore` is i, and w and r are as
    likely. Tokens of a vocabulary of 5, which the model embeds; T-1 are shown, since the last is
    the answer. Only r steps are scored, cross-entropy of two classes; solved at 99 % right. Fresh
    sequences. A bounded state solves it at any length: evaluate beyond the one trained at.

    Baseline: ln 2.

    Args:
        length: T, even, at least 4.
        ignore: probability of i, 0 to 1.

    Raises:
        InputError: a length too short or odd, a share that is none.

    Source: Liu et al. 2023, Exposing attention glitches with flip-flop language modeling, NeurIPS,
    arXiv:2306.00946: T = 512, ignore = 0.8 (and 0.98, 0.1 out of distribution).
    """

    vocabulary, input_size, output_size = 5, 1, 2
    symbols = tuple("wri01")
    classes = ("0", "1")

    def __init__(self, length: int, ignore: float = 0.8) -> None:
        check_length(length, 4, "flip_flop")
        if length % 2:
            raise InputError(f"lengths: {length} is odd\nallowed for flip_flop: even, 4 or more")
        if not (type(ignore) in (int, float) and 0 <= ignore <= 1):
            raise InputError(f"problem.ignore = {ignore!r}\nallowed: a share, 0 to 1")
        self.steps, self.ignore = length - 1, ignore
        self.baselines = {"knowing nothing": Baseline(math.log(2), 0.5)}

    def sample(self, batch_size: int, generator: Generator) -> Batch:
        """Draw `batch_size` sequences."""
        P, B = (self.steps + 1) // 2, batch_size
        draws_PB = torch.rand(P, B, generator=generator)
        half = self.ignore + (1 - self.ignore) / 2
        instructions_PB = torch.full((P, B), READ).where(draws_PB >= half, WRITE)
        instructions_PB[draws_PB < self.ignore] = IGNORE
        instructions_PB[0], instructions_PB[-1] = WRITE, READ
        bits_PB = torch.randint(0, 2, (P, B), generator=generator)
        held_PB = bits_PB.gather(0, _last_written(instructions_PB))
        read_PB = instructions_PB == READ
        tokens_PB2 = torch.stack([instructions_PB, ZERO + held_PB.where(read_PB, bits_PB)], 1)
        tokens_SB = tokens_PB2.reshape(2 * P, B)[:-1]
        targets_SB = torch.zeros_like(tokens_SB)
        targets_SB[::2] = held_PB
        return Batch(tokens_SB, targets_SB, (tokens_SB == READ).float())

    def needed_lags(self, batch: Batch) -> list[Tensor]:
        """From the last read back to the bit written last."""
        bit_step_B = 2 * _last_written(batch.inputs[::2])[-1] + 2
        return [(batch.last_scored_step() - bit_step_B)[:, None]]


def _last_written(instructions_PB: Tensor) -> Tensor:
    """For each pair the index of the last one that wrote, [P, B]."""
    index_P1 = torch.arange(len(instructions_PB), device=instructions_PB.device)[:, None]
    return index_P1.where(instructions_PB == WRITE, 0).cummax(0).values
