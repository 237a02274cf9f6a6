"""Problems: what they draw, and that their closed-form baselines are what a guesser earns."""

import math

import pytest
import torch

from seqbench import InputError
from seqbench.problems.adding import Adding
from seqbench.problems.copy import Copy

MANY = 40_000


def draw(problem, size=MANY, seed=0):
    return problem.sample(size, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("protocol", ["seqbench", "arjovsky2016"])
@pytest.mark.parametrize("length", [2, 7, 50])
def test_adding_marks_one_value_in_each_half_and_asks_for_their_sum(protocol, length):
    batch = draw(Adding(length, protocol=protocol), 500)
    values, marks = batch.inputs.unbind(2)
    assert batch.inputs.shape == (length, 500, 2)
    assert ((values >= 0) & (values < 1)).all()
    assert (marks[: length // 2].sum(0) == 1).all()
    assert (marks[length // 2 :].sum(0) == 1).all()
    torch.testing.assert_close(batch.targets[-1, :, 0], (values * marks).sum(0))
    assert (batch.weights[-1] == 1).all()
    assert batch.weights.sum() == 500


def test_adding_of_1997_as_the_paper_describes_it():
    length = 60
    problem = Adding(length, protocol="hochreiter1997")
    batch = draw(problem, 5000)
    values, marks = batch.inputs.unbind(2)
    ends = batch.last_scored_step()
    assert (ends.min(), ends.max()) == (60, 66)
    assert values.min() < -0.99
    assert values.max() > 0.99
    assert (marks[0] == -1).all()
    assert (marks.gather(0, (ends - 1)[None]) == -1).all()
    steps = torch.arange(problem.steps)[:, None]
    assert (batch.inputs[(steps >= ends).expand(-1, 5000)] == 0).all(), "padding is zeros"
    marked = marks == 1
    assert marked.sum(0).unique().tolist() == [1, 2]  # one of them may fall on the first step
    # the second is among the first T/2 - 1 = 29 still unmarked: 30 steps less the one marked
    assert marked.nonzero()[:, 0].max() == 29
    late = marked[10:30].float().mean(1)  # each as likely as the other
    torch.testing.assert_close(late, torch.full((20,), 1 / 29), atol=0.012, rtol=0)
    assert (marked[:10].sum(0) >= 1).float().mean() > 0.89
    target = 0.5 + (values * marked).sum(0) / 4  # a marked first step counts as 0
    torch.testing.assert_close(batch.targets.gather(0, (ends - 1)[None, :, None])[0, :, 0], target)
    assert batch.weights.sum() == 5000


@pytest.mark.parametrize("protocol", ["seqbench", "hochreiter1997"])
def test_adding_baselines_are_what_guessing_earns(protocol):
    problem = Adding(30, protocol=protocol)
    batch = draw(problem)
    scored = batch.scored_steps()
    targets, weights = batch.targets[scored], batch.weights[scored]
    middle = 0.5 if problem.original else 1.0
    knows_nothing = torch.full_like(targets, middle)
    told = problem.baselines["knowing nothing"]
    loss = problem.loss(knows_nothing, targets)[weights > 0].mean().item()
    assert loss == pytest.approx(told.loss, rel=0.02)
    assert problem.score(knows_nothing, targets, weights)["score"] == pytest.approx(
        told.score, abs=0.006
    )


def test_adding_knowing_one_addend():
    problem = Adding(30)
    batch = draw(problem)
    values, marks = batch.inputs.unbind(2)
    guess = ((values * marks)[:15].sum(0) + 0.5)[None, :, None]
    targets, told = batch.targets[-1:], problem.baselines["one addend"]
    assert problem.loss(guess, targets).mean().item() == pytest.approx(told.loss, rel=0.02)
    score = problem.score(guess, targets, batch.weights[-1:])["score"]
    assert score == pytest.approx(told.score, abs=0.006)


def test_adding_of_1997_knowing_the_first_addend():
    """Its errors are those of the second addend, which is lost where it falls on the first step."""
    problem = Adding(24, protocol="hochreiter1997")
    batch = draw(problem)
    values, marks = batch.inputs.unbind(2)
    marked = marks == 1
    both = marked.sum(0) == 2
    second = torch.where(both, marked.long().cumsum(0).argmax(0), 0)  # any of the two will do
    x = values.gather(0, second[None])[0]
    lost_second = (~both).float().mean() - 0.1  # the first addend is lost in one of ten
    errors = x[both] / 4
    told = problem.baselines["first addend only"]
    loss = errors.square().mean() * (1 - lost_second)
    assert loss.item() == pytest.approx(told.loss, rel=0.03)
    score = (errors.abs() < 0.04).float().mean() * (1 - lost_second) + lost_second
    assert score.item() == pytest.approx(told.score, abs=0.01)


def test_memory_steps_is_the_memory_that_an_error_is_worth():
    """Who knows the marked values of the last M steps only, and guesses 1/2 for the others."""
    length, memory = 40, 10
    problem = Adding(length)
    batch = draw(problem)
    values, marks = batch.inputs.unbind(2)
    seen = torch.arange(length)[:, None] >= length - memory
    guess = (values * marks * seen).sum(0) + 0.5 * (marks * ~seen).sum(0)
    numbers = problem.score(guess[None, :, None], batch.targets[-1:], batch.weights[-1:])
    assert numbers["memory_steps"] == pytest.approx(memory, abs=0.6)


def test_adding_needs_the_marked_steps():
    problem = Adding(20)
    batch = draw(problem, 50)
    (lags,) = problem.needed_lags(batch)
    for b in range(50):
        for lag in lags[b].tolist():
            assert batch.inputs[20 - lag - 1, b, 1] == 1  # the step just before the boundary


def test_copy_shows_blanks_delimits_and_asks():
    batch = draw(Copy(7), 200)
    shown, targets = batch.inputs.argmax(2), batch.targets
    assert batch.inputs.shape == (27, 200, 10)
    assert set(shown[:10].unique().tolist()) == set(range(1, 9))
    assert (shown[10:16] == 0).all()
    assert (shown[16] == 9).all()
    assert (shown[17:] == 0).all()
    assert (targets[:17] == 0).all()
    assert torch.equal(targets[17:], shown[:10])
    assert (batch.weights == 1).all()


@pytest.mark.parametrize(
    ("length", "blind", "stateless"),
    [(100, 0.1733, 0.4517), (200, 0.0945, 0.2770), (500, 0.0400, 0.1346), (1000, 0.0204, 0.0754)],
)
def test_copy_baselines_as_published(length, blind, stateless):
    baselines = Copy(length).baselines
    assert baselines["knowing when, not what"].loss == pytest.approx(blind, abs=5e-5)
    assert baselines["stateless"].loss == pytest.approx(stateless, abs=5e-5)


def test_copy_baseline_is_what_guessing_earns():
    problem = Copy(5)
    batch = draw(problem, 4000)
    outputs = torch.full((25, 4000, 9), -1e9)
    outputs[:15, :, 0] = 0.0  # sure of the blanks
    outputs[15:, :, 1:] = 0.0  # knows when, not what
    told = problem.baselines["knowing when, not what"]
    assert problem.loss(outputs, batch.targets).mean().item() == pytest.approx(told.loss, rel=1e-5)
    numbers = problem.score(outputs, batch.targets, batch.weights)
    assert numbers["score"] == pytest.approx(told.score, abs=0.01)
    assert numbers["recall_loss"] == pytest.approx(math.log(8), rel=1e-5)
    assert numbers["sequences_right"] < 0.001


def test_copy_is_scored_on_the_recall_alone():
    problem = Copy(5)
    batch = draw(problem, 300)
    outputs = torch.nn.functional.one_hot(batch.targets, 9).float()
    outputs[20] = 0.0
    outputs[20, :, 0] = 1.0  # one symbol of ten wrong
    numbers = problem.score(outputs, batch.targets, batch.weights)
    assert numbers["score"] == pytest.approx(0.9)
    assert numbers["sequences_right"] == 0
    assert not problem.solved(numbers)
    assert problem.solved({"score": 0.99})


def test_copy_anchors_and_needed_lags():
    problem = Copy(30)
    batch = draw(problem, 4)
    assert [a.tolist() for a in problem.anchors(batch)] == [[41] * 4, [50] * 4]
    for anchor, lags in zip(problem.anchors(batch), problem.needed_lags(batch), strict=True):
        assert (lags == 40).all()
        shown_at = anchor - lags[:, 0]  # the boundary just after the symbol was shown
        assert torch.equal(
            batch.inputs.argmax(2)[shown_at - 1, torch.arange(4)],
            batch.targets[anchor - 1, torch.arange(4)],
        )


@pytest.mark.parametrize("problem", [Adding(9), Adding(12, protocol="hochreiter1997"), Copy(3)])
def test_a_problem_draws_from_its_generator_alone(problem):
    state = torch.get_rng_state()
    one, other, third = draw(problem, 8), draw(problem, 8), draw(problem, 8, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one.inputs, other.inputs)
    assert not torch.equal(one.inputs, third.inputs)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Adding(1), "lengths: 1 is too short.*\nallowed: 2 or more"),
        (lambda: Adding(11, protocol="hochreiter1997"), "12 or more"),
        (lambda: Adding(50, protocol="arjovski"), "hochreiter1997"),
        (lambda: Adding(50, train_set=-1), "train_set = -1"),
        (lambda: Copy(50, train_set=True), "train_set = True"),
        (lambda: Copy(50, train_set=10.5), "train_set = 10.5"),
        (lambda: Copy(0), "1 or more"),
        (lambda: Copy(5, protocol="seqbench"), "arjovsky2016"),
    ],
)
def test_what_can_not_be_is_refused_in_words(make, words):
    with pytest.raises(InputError, match=words):
        make()
