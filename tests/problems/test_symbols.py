"""Problems of symbols: what the papers say of the data, and what a guesser earns."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from problems.drawn import best_by_symbol, best_constant, draw

from seqbench.problems.copy import Copy
from seqbench.problems.denoising import Denoising
from seqbench.problems.latch import Latch
from seqbench.problems.memorisation import Memorisation
from seqbench.problems.noise_free import NoiseFree
from seqbench.problems.permutation import RandomPermutation
from seqbench.problems.temporal_order import WINDOWS, TemporalOrder

seeds = st.integers(0, 2**31)
bounded = settings(max_examples=20, deadline=None)


# --- temporal order ----------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["pascanu2013", "hochreiter1997"])
@pytest.mark.parametrize("markers", [2, 3])
@given(length=st.integers(10, 200), seed=seeds)
@bounded
def test_x_and_y_fall_into_their_windows_and_make_the_class(protocol, markers, length, seed):
    problem = TemporalOrder(length, protocol=protocol, markers=markers)
    batch = draw(problem, 50, seed)
    original = protocol == "hochreiter1997"
    ends, (lags,) = batch.last_scored_step(), problem.needed_lags(batch)
    steps = ends[:, None] - lags - 1
    for (low, high), step in zip(WINDOWS[markers], steps.unbind(1), strict=True):
        assert ((step >= length * low // 100) & (step < length * high // 100 + original)).all()
    shown = batch.inputs.argmax(2)
    symbols = shown.T.gather(1, steps)
    assert ((symbols == 4) | (symbols == 5)).all()
    number = sum((symbols[:, k] - 4) << (markers - 1 - k) for k in range(markers))
    assert torch.equal(batch.targets[ends - 1, torch.arange(50)], number)
    assert ((ends >= length) & (ends <= problem.steps)).all()
    relevant = batch.inputs[:, :, 4:6].sum((0, 2))
    assert (relevant == markers).all()
    if original:
        assert (shown[0] == 6).all()
        assert (shown[ends - 1, torch.arange(50)] == 7).all()
    inside = torch.arange(problem.steps)[:, None] < ends
    assert torch.equal(batch.inputs.sum(2) == 1, inside)


def test_temporal_order_of_1997_has_100_to_110_steps():
    ends = draw(TemporalOrder(100, protocol="hochreiter1997"), 3000).last_scored_step()
    assert (ends.min(), ends.max()) == (100, 110)


@pytest.mark.parametrize("markers", [2, 3])
def test_temporal_order_classes_are_as_likely_and_distractors_too(markers):
    problem = TemporalOrder(50, markers=markers)
    batch = draw(problem)
    told = problem.baselines["knowing nothing"]
    assert told.loss == pytest.approx(markers * math.log(2))
    assert best_constant(problem, batch) == pytest.approx(told.loss, abs=0.002)
    shares = batch.inputs.mean((0, 1))[:4]
    torch.testing.assert_close(shares, torch.full((4,), (50 - markers) / 200), atol=2e-3, rtol=0)
    assert problem.classes[:2] == (["XX", "XY"] if markers == 2 else ["XXX", "XXY"])


# --- random permutation, noise-free long lag, latch --------------------------------------------


@given(length=st.integers(3, 150), seed=seeds)
@bounded
def test_random_permutation_asks_for_the_first_symbol_which_no_other_step_shows(length, seed):
    batch = draw(RandomPermutation(length), 40, seed)
    shown = batch.inputs.argmax(2)
    assert batch.inputs.shape == (length - 1, 40, 100)
    assert (shown[0] <= 1).all()
    assert (shown[1:] >= 2).all()
    assert torch.equal(batch.targets[-1], shown[0])
    assert batch.weights.sum() == 40


def test_random_permutation_baseline():
    problem = RandomPermutation(20)
    told = problem.baselines["one of the two"]
    assert best_constant(problem, draw(problem)) == pytest.approx(told.loss, abs=0.002)


@given(length=st.integers(2, 60), seed=seeds)
@bounded
def test_noise_free_long_lag_is_one_of_two_sequences(length, seed):
    problem = NoiseFree(length)
    batch = draw(problem, 20, seed)
    shown = batch.inputs.argmax(2)
    assert torch.equal(shown[1:], torch.arange(2, length + 1)[:, None].expand(-1, 20))
    assert (shown[0] <= 1).all()
    assert torch.equal(batch.targets[:-1], shown[1:])
    assert torch.equal(batch.targets[-1], shown[0])
    assert (batch.weights == 1).all()


def test_noise_free_baseline_is_what_one_without_memory_earns():
    """Every present symbol but the last says which comes next; the last leaves x or y."""
    problem = NoiseFree(12)
    batch = draw(problem)
    told = next(iter(problem.baselines.values()))
    assert best_by_symbol(problem, batch, batch.inputs.argmax(2)) == pytest.approx(
        told.loss, rel=0.01
    )
    guess = torch.zeros(12, 20_000, 13)
    guess[-1, :, 0] = 1.0
    numbers = problem.score(problem.answers(guess), batch.targets, batch.weights)
    assert numbers["score"] == pytest.approx(told.score, abs=0.02)
    assert numbers["share_learned"] < 0.04


@pytest.mark.parametrize("elements", [1, 3])
@pytest.mark.parametrize("protocol", ["hochreiter1997-3a", "hochreiter1997-3b"])
def test_latch_says_the_class_at_the_start_and_is_noise_after(protocol, elements):
    problem = Latch(40, protocol=protocol, elements=elements)
    batch = draw(problem)
    ends = batch.last_scored_step()
    told = batch.targets[ends - 1, torch.arange(len(ends)), 0]
    start = batch.inputs[:elements, :, 0] - (told * 2 - 1)
    noise = 0.2**0.5 if protocol.endswith("b") else 0.0
    assert start.std().item() == pytest.approx(noise, abs=0.01)
    after = batch.inputs[elements:40]
    assert after.mean().item() == pytest.approx(0.0, abs=0.01)
    assert after.var().item() == pytest.approx(0.2, rel=0.02)
    assert (ends.min(), ends.max()) == (40, 44)
    assert best_constant(problem, batch) == pytest.approx(0.25, abs=0.002)
    half = torch.full((1, 5, 1), 0.5)
    assert problem.score(half, told[None, :5, None], torch.ones(1, 5))["score"] == 0


# --- recall: copy, memorisation, denoising ------------------------------------------------------

RECALLS = [
    *((lambda T, p=p: Copy(T, protocol=p)) for p in ("arjovsky2016", "exprnn2019", "variable")),
    lambda T: Memorisation(T, bits=5),
    lambda T: Memorisation(T, bits=20),
    Denoising,
]


@pytest.mark.parametrize("make", RECALLS)
@given(length=st.integers(1, 80), seed=seeds)
@bounded
def test_what_is_shown_is_asked_for_in_order_at_the_end(make, length, seed):
    problem = make(length)
    batch = draw(problem, 30, seed)
    shown, n = batch.inputs.argmax(2), problem.n
    ends = batch.last_scored_step()
    for b in range(30):
        steps = shown[: ends[b], b]
        symbols = steps[(steps > 0) & (steps <= problem.k)]
        assert len(symbols) == n
        assert torch.equal(batch.targets[ends[b] - n : ends[b], b], symbols)
        assert (batch.targets[: ends[b] - n, b] == 0).all()
        assert (steps == problem.k + 1).sum() == 1
    assert ((ends >= 2 * n + 1) & (ends <= length + 2 * n)).all()
    for anchor, lags in zip(problem.anchors(batch), problem.needed_lags(batch), strict=True):
        every = torch.arange(30)
        assert torch.equal(shown[anchor - lags[:, 0] - 1, every], batch.targets[anchor - 1, every])


@pytest.mark.parametrize("make", RECALLS)
@pytest.mark.parametrize("length", [1, 3, 30])
def test_recall_baselines_are_what_guessing_earns(make, length):
    problem = make(length)
    batch = draw(problem, 5000)
    shown = batch.inputs.argmax(2)
    told = problem.baselines["stateless"]
    assert best_by_symbol(problem, batch, shown) == pytest.approx(told.loss, rel=0.02)
    outputs = torch.full((problem.steps, 5000, problem.output_size), -1e9)
    recall = batch.targets > 0
    outputs[..., 0] = torch.where(recall, -1e9, 0.0)
    outputs[..., 1:] = torch.where(recall, 0.0, -1e9)[..., None]
    told = problem.baselines["knowing when, not what"]
    loss = (problem.loss(outputs, batch.targets) * batch.loss_weights()).sum(0).mean()
    assert loss.item() == pytest.approx(told.loss, rel=0.02)
    numbers = problem.score(outputs, batch.targets, batch.weights)
    assert numbers["score"] == pytest.approx(told.score, abs=0.01)
    assert numbers["share_learned"] == pytest.approx(0.0, abs=0.02)


def test_copy_of_the_tcn_code_has_eleven_delimiters_and_shows_the_digit_itself():
    problem = Copy(7, protocol="tcn2018")
    batch = draw(problem, 500)
    digits = batch.inputs[:, :, 0]
    assert batch.inputs.shape == (27, 500, 1)
    assert (digits[10:16] == 0).all()
    assert (digits[16:] == 9).all()
    assert torch.equal(batch.targets[17:].float(), digits[:10])
    told = problem.baselines["stateless"]
    assert best_by_symbol(problem, batch, digits.long()) == pytest.approx(told.loss, rel=0.01)


def test_copy_of_exprnn_has_its_delimiter_at_the_first_recall_step():
    shown = draw(Copy(7, protocol="exprnn2019"), 50).inputs.argmax(2)
    assert (shown[10:17] == 0).all()
    assert (shown[17] == 9).all()


def test_variable_delays_are_as_likely():
    problem = Copy(6, protocol="variable")
    delays = draw(problem, 12_000).last_scored_step() - 20
    torch.testing.assert_close(torch.bincount(delays)[1:] / 2000, torch.ones(6), atol=0.1, rtol=0)


def test_denoising_baseline_as_published():
    told = Denoising(200).baselines["knowing when, not what"]
    assert told.loss == pytest.approx(0.0999, abs=5e-5)


def test_denoising_scatters_over_all_steps_before_the_marker():
    shown = draw(Denoising(30), 4000).inputs.argmax(2)
    assert (shown[39] == 10).all()
    shares = ((shown[:39] > 0) & (shown[:39] < 10)).float().mean(1)
    torch.testing.assert_close(shares, torch.full((39,), 10 / 39), atol=0.03, rtol=0)
