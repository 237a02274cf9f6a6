"""What a card costs at most: CPU time of a few training steps, times its budget and its trials.

python -m benchmarks.cards arjovsky2016-copy kerg2019-copy

Evaluations and records are not in it, nor the trials of [tuning]; a trial that solves stops sooner.
"""

from __future__ import annotations

import sys
import time

import torch

from seqbench.card import task as cards
from seqbench.card.task import Trial
from seqbench.sweep.check import checked, resolve
from seqbench.training import loop

WARM = 3  # steps that are not counted: what is read or compiled at first
STEPS = 20
SEQUENCES = 60  # at least so many: steps of one sequence are short


def main() -> None:
    """A line a card."""
    torch.set_num_threads(1)
    for name in sys.argv[1:]:
        card = cards.load(name)
        task = checked(resolve(card), card.cells[0])
        told, total = [], 0.0
        for trial in (one for one in task.trials() if one.seed == task.first_seed):
            seconds = seconds_a_step(trial)
            total += seconds * trial.training.steps * task.seeds
            told.append(f"{trial.cell.label} T={trial.length}: {1000 * seconds:.0f} ms a step")
        print(f"{name}: {len(task.trials())} trials, {total / 3600:.1f} CPU hours at most")
        print("    " + "; ".join(told), flush=True)


def seconds_a_step(trial: Trial) -> float:
    """CPU seconds of one training step, after the first ones."""
    problem = loop.make_problem(trial)
    one = loop.Run(trial, problem, loop.make_model(trial, problem), torch.device("cpu"))
    count = max(STEPS, SEQUENCES // trial.training.batch_size)
    for step in range(1, WARM + 1):
        one.step(step)
    started = time.process_time()
    for step in range(WARM + 1, WARM + count + 1):
        one.step(step)
    return (time.process_time() - started) / count


if __name__ == "__main__":
    main()
