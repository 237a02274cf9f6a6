"""A trained model on sequences of other lengths than it was trained on, and on data held out.

The rows of `results.lengths`.
"""

from __future__ import annotations

from typing import Any

import torch

from seqbench.card.task import Trial
from seqbench.errors import InputError
from seqbench.models.recurrent import Model
from seqbench.problems.batch import Batch, Problem, capabilities
from seqbench.training.batches import generator, make_problem
from seqbench.training.evaluation import evaluate

EVERYTHING = 10**9  # sequences: all that a part has


def other_problems(trial: Trial, problem: Problem) -> dict[int, Problem]:
    """The problem at each length that the card wants evaluated, the trained one among them; none if
    it wants none.

    Raises:
        InputError: a length that can't be, or at which inputs or outputs are others.
    """
    if not trial.evaluate_lengths:
        return {}
    found = {}
    for length in sorted({trial.length, *trial.evaluate_lengths}):
        try:
            other = make_problem(trial.model_copy(update={"length": length}))
        except InputError as error:
            raise InputError(f"evaluate_lengths: {error}") from None
        if _sizes(other) != _sizes(problem):
            raise InputError(
                f"evaluate_lengths: {length}: the problem has other inputs or outputs there than "
                f"at length {trial.length}\nallowed: problems that have the same at every length"
            )
        found[length] = other
    return found


def _sizes(problem: Problem) -> tuple[int, int, int]:
    return problem.input_size, problem.output_size, capabilities(problem).vocabulary


class Lengths:
    """What is evaluated beside the validation: other lengths, along the way and at the end, always
    on the same fresh sequences; at the end alone, of finite data: the test part, and all training
    data."""

    def __init__(self, trial: Trial, problem: Problem, device: torch.device) -> None:
        self.trial, self.problem, self.device = trial, problem, device
        self.others = other_problems(trial, problem)
        self.rows: list[dict[str, Any]] = []

    def look(self, model: Model, step: int, *, last: bool = False) -> None:
        """Evaluate; a step that was looked at before is not looked at again."""
        size = self.trial.training.eval_size
        if not any(row["step"] == step for row in self.rows):
            for length, problem in self.others.items():
                at_length = self.trial.model_copy(update={"length": length})
                batch = problem.sample(size, generator("lengths", at_length))
                self._add(model, problem, batch, step, length, "fresh")
        held_out = capabilities(self.problem).held_out
        if last and held_out is not None:
            batch = held_out("test", EVERYTHING, generator("test", self.trial))
            self._add(model, self.problem, batch, step, self.trial.length, "test")
        training_set = capabilities(self.problem).training_set
        if last and training_set is not None:
            self._add(model, self.problem, training_set(), step, self.trial.length, "training")

    def _add(
        self, model: Model, problem: Problem, batch: Batch, step: int, length: int, data: str
    ) -> None:
        reference = next(iter(problem.baselines.values()))
        known = {"baseline": reference.loss, "baseline_score": reference.score, "data": data}
        numbers = evaluate(model, problem, batch.to(self.device))
        self.rows.append({"step": step, "evaluated_length": length, **numbers, **known})
