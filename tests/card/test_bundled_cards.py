"""Every bundled card is complete, and its problem takes a training step at its shortest length."""

import math

import pytest

from seqbench.card import task as cards
from seqbench.engine.cut import Cut
from seqbench.problems import BUNDLED
from seqbench.sweep.check import resolve
from seqbench.training.batches import Batches, make_problem
from seqbench.training.evaluation import evaluate
from seqbench.training.lengths import other_problems
from seqbench.training.loop import make_model
from seqbench.training.objective import gradient_of_loss

SMALL = {"training.batch_size": 8, "training.hidden_size": 6}
OF_PROBLEMS = [
    name
    for name in cards.bundled()
    if name != "quickstart" and cards.load(name).training.eval_size == 500
]  # a card a problem: small budgets alike


@pytest.mark.parametrize("name", OF_PROBLEMS)
def test_a_training_step_and_an_evaluation(name):
    if "images" in name:
        pytest.importorskip("sklearn")
    task = resolve(cards.load(name, SMALL))
    trial = min(task.trials(), key=lambda trial: trial.length)
    trial = trial.model_copy(update={"cell": trial.cell.model_copy(update={"learning_rate": 1e-3})})
    problem = make_problem(trial)
    model = make_model(trial, problem)
    batch = Batches(trial, problem).next()
    loss = gradient_of_loss(model, problem, batch, Cut(len(batch.inputs)))
    assert math.isfinite(loss)
    numbers = evaluate(model, problem, batch)
    assert numbers["loss"] == pytest.approx(loss.item(), rel=1e-4)
    assert {"score", "share_learned"} <= set(numbers)
    assert set(other_problems(trial, problem)) == {*trial.evaluate_lengths}


@pytest.mark.parametrize("name", OF_PROBLEMS)
def test_a_card_says_whom_it_follows_and_where_not(name):
    task = cards.load(name)
    assert task.description
    assert task.paper
    assert task.deviations
    assert len(task.lengths) == 3
    assert [cell.use for cell in task.cells] == ["rnn", "gru", "lstm"]
    assert set(task.tuning.lengths) <= set(task.lengths)


def test_every_bundled_problem_has_a_card():
    used = {cards.load(name).problem.name for name in cards.bundled()}
    assert used >= BUNDLED.keys() - {"flat_images"}
