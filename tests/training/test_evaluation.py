"""Evaluation in bounded memory, inputs that are tokens, other lengths, held-out parts."""

import pytest
import torch
from torch import nn

from seqbench import InputError, load
from seqbench import run as run_task
from seqbench.card import task as cards
from seqbench.engine.cut import Cut
from seqbench.models.recurrent import Stack, build
from seqbench.problems.adding import Adding
from seqbench.problems.copy import Copy
from seqbench.problems.mqar import MQAR
from seqbench.training import evaluation, objective
from seqbench.training.evaluation import evaluate
from seqbench.training.lengths import other_problems
from seqbench.training.objective import gradient_of_loss


def model_for(problem, seed=0, cls=nn.GRU):
    torch.manual_seed(seed)
    return build(
        cls,
        input_size=problem.input_size,
        hidden_size=8,
        output_size=problem.output_size,
        vocabulary=getattr(problem, "vocabulary", 0),
    )


def at_once(model, problem, batch):
    """The loss from one graph over everything."""
    outputs = model.readout(model.stack(batch.inputs)[0])
    return (problem.loss(outputs, batch.targets) * batch.loss_weights()).sum(0).mean()


PROBLEMS = [MQAR(40, pairs=4, vocabulary=20), Copy(9, protocol="variable"), Adding(15),
            Adding(20, protocol="hochreiter1997")]  # fmt: skip


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: type(problem).__name__)
@pytest.mark.parametrize("waste", [0, 10**9])
@pytest.mark.parametrize("room", [40, 10**9])
def test_an_evaluation_in_small_parts_gives_the_numbers_of_the_whole(
    problem, waste, room, monkeypatch
):
    model = model_for(problem)
    batch = problem.sample(30, torch.Generator().manual_seed(0))
    monkeypatch.setattr(objective, "WASTE", 10**9)
    whole = evaluate(model, problem, batch)
    monkeypatch.setattr(objective, "WASTE", waste)
    for name, value in {"CHUNK": 7, "STRETCH": 6, "OUTPUTS": room}.items():
        monkeypatch.setattr(evaluation, name, value)
    parts = evaluate(model, problem, batch)
    assert parts == pytest.approx(whole, rel=1e-5)
    assert parts["loss"] == pytest.approx(at_once(model, problem, batch).item(), rel=1e-5)


@pytest.mark.parametrize("waste", [0, 10**9])
def test_sequences_picked_one_by_one_give_the_same_gradient(waste, monkeypatch):
    monkeypatch.setattr(objective, "WASTE", waste)
    problem = PROBLEMS[0]
    model = model_for(problem)
    batch = problem.sample(6, torch.Generator().manual_seed(0))
    loss = gradient_of_loss(model, problem, batch, Cut(7))
    found = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    expected = at_once(model, problem, batch)
    expected.backward()
    torch.testing.assert_close(loss, expected.detach())
    for one, p in zip(found, model.parameters(), strict=True):
        torch.testing.assert_close(one, p.grad, rtol=1e-4, atol=1e-7)


def test_tokens_are_embedded_by_the_model_which_learns_the_vectors():
    problem = PROBLEMS[0]
    model = model_for(problem)
    assert model.stack.embedding.weight.shape == (20, 8)
    tokens = torch.tensor([[3], [5]])
    expected = Stack(list(model.stack.layers))(model.stack.embedding.weight[tokens])[0]
    assert torch.equal(model.stack(tokens)[0], expected)


CARD = """
name = "tiny"
lengths = [6]
evaluate_lengths = [6, 12]
seeds = 1
cells = ["gru"]
[problem]
name = "adding"
[training]
steps = 4
hidden_size = 4
eval_every = 2
eval_size = 20
[recording]
every = 2
boundaries = 4
"""


def test_a_trained_model_is_evaluated_at_other_lengths_along_the_way_and_at_the_end(tmp_path):
    (tmp_path / "tiny.toml").write_text(CARD)
    run_task(str(tmp_path / "tiny.toml"), out=tmp_path / "run")
    table = load(tmp_path / "run").lengths
    assert table[["step", "evaluated_length"]].values.tolist() == [
        [step, length] for step in (0, 2, 4) for length in (6, 12)
    ]
    assert {"cell", "length", "seed", "loss", "score", "share_learned", "rmse"} <= set(table)
    assert (table["data"] == "fresh").all()
    with pytest.raises(InputError, match="evaluate_lengths = "):
        run_task(str(tmp_path / "tiny.toml"), out=tmp_path / "run",
                 overrides={"evaluate_lengths": [24]})  # fmt: skip


def test_other_lengths_leave_the_key_of_a_trial_without_them_alone():
    without = cards.parse(CARD, "tiny.toml", {"evaluate_lengths": []})
    assert "evaluate_lengths" not in without.trials()[0].model_dump(exclude_defaults=True)
    assert without.trials()[0].key != cards.parse(CARD, "tiny.toml").trials()[0].key


def test_a_length_that_can_not_be_evaluated_is_refused_before_anything_runs(tmp_path):
    (tmp_path / "tiny.toml").write_text(CARD)
    with pytest.raises(InputError, match="evaluate_lengths: lengths: 1 is too short"):
        run_task(str(tmp_path / "tiny.toml"), out=tmp_path, overrides={"evaluate_lengths": [1]})
    trial = cards.parse(CARD, "tiny.toml").trials()[0]
    trial = trial.model_copy(update={"evaluate_lengths": []})
    assert other_problems(trial, Adding(6)) == {}


def test_finite_data_are_validated_on_one_part_and_tested_on_another_at_the_end(tmp_path):
    pytest.importorskip("sklearn")
    card = CARD.replace('"adding"', '"images"').replace("[6]", "[8]", 1)
    card = card.replace("evaluate_lengths = [6, 12]\n", "")
    (tmp_path / "tiny.toml").write_text(card)
    run_task(str(tmp_path / "tiny.toml"), out=tmp_path / "run")
    results = load(tmp_path / "run")
    (row,) = results.lengths.to_dict("records")
    assert (row["data"], row["step"], row["evaluated_length"]) == ("test", 4, 8)
    assert row["score"] * 300 == pytest.approx(round(row["score"] * 300))  # of 300 images
    assert len(results.curves) == 3
