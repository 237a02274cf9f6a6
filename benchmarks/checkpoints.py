"""python -m benchmarks.checkpoints: what a checkpoint costs a trial, and its size."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from seqbench.card import task as cards
from seqbench.results.checkpoints import seal, write_checkpoint
from seqbench.sweep.check import resolve
from seqbench.training import loop, state

CARD = """
name = "saved"
lengths = [10]
seeds = 1
cells = ["{cell}"]
[problem]
name = "adding"
[training]
steps = 100
batch_size = 4
hidden_size = {hidden}
eval_every = 50
eval_size = 100
checkpoint_every = 1e-9
[recording]
every = 50
diagnostics = ["gradient_norm"]
"""
SIZES = [("rnn", 128), ("lstm", 128)]
LAST = 20  # checkpoints that count, at the end of training, where they are largest


def main() -> None:
    """A line for each size: milliseconds in the trial and in the command, bytes."""
    for cell, hidden in SIZES:
        card = cards.parse(CARD.format(cell=cell, hidden=hidden), "card")
        (trial,) = resolve(card).trials()
        kept, written, size = [], [], 0
        with tempfile.TemporaryDirectory() as folder:
            for told in loop.train(trial):
                if not isinstance(told, state.Snapshot) or told.step <= 100 - LAST:
                    continue
                began = time.process_time()
                content = seal(trial, told.step, state.as_bytes(told.state()), {}, [])
                kept.append(time.process_time() - began)
                began = time.perf_counter()
                write_checkpoint(Path(folder), trial, content)
                written.append(time.perf_counter() - began)
                size = len(content)
        told = [1000 * statistics.median(times) for times in (kept, written)]
        print(
            f"{cell}, {hidden} units: {told[0]:.0f} ms of processor in the trial, {told[1]:.0f} ms "
            f"to write, {size / 1e6:.1f} MB"
        )


if __name__ == "__main__":
    main()
