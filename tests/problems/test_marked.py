"""Adding, multiplication and XOR: where the marks fall, what is asked, what a guesser earns."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from problems.drawn import best_constant, draw

from seqbench.problems.adding import Adding
from seqbench.problems.multiplication import Multiplication
from seqbench.problems.xor import XOR

KINDS = [(cls, name) for cls in (Adding, Multiplication, XOR) for name in cls.placements]
seeds = st.integers(0, 2**31)


def marked_steps(problem, batch):
    """0-based steps of the two marks, ascending, [B, 2]."""
    (lags,) = problem.needed_lags(batch)
    return (batch.last_scored_step()[:, None] - lags - 1).sort(1).values


@pytest.mark.parametrize(("cls", "protocol"), KINDS)
@given(extra=st.integers(0, 60), seed=seeds)
@settings(max_examples=15, deadline=None)
def test_two_steps_are_marked_inside_the_sequence_and_their_values_make_the_target(
    cls, protocol, extra, seed
):
    shortest = cls.placements[protocol].shortest
    problem = cls(shortest + extra, protocol=protocol)
    batch = draw(problem, 64, seed)
    values, marks = batch.inputs.unbind(2)
    ends, steps = batch.last_scored_step(), marked_steps(problem, batch)
    assert ((ends >= problem.length) & (ends <= problem.steps)).all()
    assert (batch.weights.sum(0) == 1).all()
    assert (steps[:, 0] < steps[:, 1]).all()
    assert (steps[:, 1] < ends).all()
    x1, x2 = values.T.gather(1, steps).T
    seen1, seen2 = (marks.T.gather(1, steps) > 0).T  # False where 1997's first step was marked
    target = batch.targets[ends - 1, torch.arange(64)].squeeze(-1)
    if cls is Adding:
        expected = x1 * seen1 + x2 * seen2
        expected = expected * problem.scale + 0.5 * problem.original
    elif cls is Multiplication:
        expected = x1.where(seen1, 1.0) * x2.where(seen2, 1.0)
    else:
        expected = (x1 != x2).long()
    torch.testing.assert_close(target, expected)


@given(length=st.integers(12, 90), seed=seeds)
@settings(deadline=None)
def test_marks_fall_where_the_protocol_says(length, seed):
    def steps(protocol):
        problem = Adding(length, protocol=protocol)
        batch = draw(problem, 200, seed)
        return marked_steps(problem, batch), batch.last_scored_step()[:, None]

    halves, _ = steps("seqbench")
    assert ((halves[:, 0] < length // 2) & (halves[:, 1] >= length // 2)).all()
    early, _ = steps("early")
    assert (early < length // 6).all()
    pascanu, ends = steps("pascanu2013")
    assert (pascanu[:, :1] < ends // 10).all()
    assert ((pascanu[:, 1:] >= ends // 10) & (pascanu[:, 1:] < ends // 2)).all()
    assert (ends < 1.1 * length).all()
    original, ends = steps("hochreiter1997")
    assert (original.min(1).values < 10).all()
    assert (original < length // 2).all() or (original.max() < 10)
    assert (ends <= 1.1 * length).all()


def test_anywhere_is_anywhere():
    problem = Adding(8, protocol="anywhere")
    pairs = marked_steps(problem, draw(problem, 28_000))
    counts = torch.bincount(pairs[:, 0] * 8 + pairs[:, 1])
    assert (counts[counts > 0].float() / 1000 - 1).abs().max() < 0.15  # 28 pairs, as likely
    assert (counts > 0).sum() == 28


@pytest.mark.parametrize(("cls", "protocol"), KINDS)
def test_the_first_baseline_is_what_the_best_constant_earns(cls, protocol):
    problem = cls(40, protocol=protocol)
    batch = draw(problem, 40_000)
    told = next(iter(problem.baselines.values()))
    assert best_constant(problem, batch) == pytest.approx(told.loss, rel=0.025)
    if cls is not XOR:
        scored = batch.scored_steps()
        targets, weights = batch.targets[scored], batch.weights[scored]
        constant = torch.full_like(targets, targets[weights > 0].mean().item())
        numbers = problem.score(constant, targets, weights)
        assert numbers["score"] == pytest.approx(told.score, abs=0.008)
        assert numbers["share_learned"] == pytest.approx(0.0, abs=0.03)
        assert numbers["rmse"] == pytest.approx(told.loss**0.5, rel=0.02)


def test_multiplication_knowing_one_factor():
    problem = Multiplication(20)
    batch = draw(problem, 40_000)
    values, marks = batch.inputs.unbind(2)
    guess = ((values * marks)[:10].sum(0) / 2)[None, :, None]
    targets, told = batch.targets[-1:], problem.baselines["one factor"]
    assert problem.loss(guess, targets).mean().item() == pytest.approx(told.loss, rel=0.02)
    score = problem.score(guess, targets, batch.weights[-1:])["score"]
    assert score == pytest.approx(told.score, abs=0.008)


def test_multiplication_gives_each_factor_the_other_as_its_gradient():
    problem = Multiplication(15)
    batch = draw(problem, 30)
    batch.inputs[:7, 0, 0] = 0.0  # a value of exactly 0 is no exception
    gradient = problem.value_gradient(batch)
    values, marks = batch.inputs.unbind(2)
    for b in range(30):
        one, other = marks[:, b].nonzero().squeeze(1).tolist()
        assert gradient[one, b].item() == pytest.approx(values[other, b].item(), rel=1e-6)
        assert gradient[other, b].item() == pytest.approx(values[one, b].item(), rel=1e-6)
    assert (gradient[marks == 0] == 0).all()


@pytest.mark.parametrize("cls", [Adding, Multiplication])
def test_who_knows_all_has_learned_all(cls):
    problem = cls(20)
    batch = draw(problem, 100)
    numbers = problem.score(batch.targets[-1:], batch.targets[-1:], batch.weights[-1:])
    assert numbers["share_learned"] == numbers["score"] == 1
    assert numbers["rmse"] == 0
    assert problem.solved(numbers)


def test_fixed_training_sets_are_the_papers():
    sets = {name: Adding(50, protocol=name).train_set for name in Adding.placements}
    assert sets == dict.fromkeys(sets, 0) | {"arjovsky2016": 100_000, "tcn2018": 50_000}
