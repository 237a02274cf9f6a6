"""Token problems, delays and grammars: what the sources say of the data, what a guesser earns."""

import math
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from problems.drawn import best_by_symbol, best_constant, draw

from seqbench import InputError
from seqbench.problems.delay import Delay, MemoryCapacity
from seqbench.problems.flip_flop import FlipFlop
from seqbench.problems.mqar import MQAR
from seqbench.problems.reber import SYMBOLS, EmbeddedReber
from seqbench.problems.selective_copying import SelectiveCopying
from seqbench.problems.state_tracking import GROUPS, StateTracking

seeds = st.integers(0, 2**31)
bounded = settings(max_examples=20, deadline=None)


# --- selective copying, associative recall ------------------------------------------------------


@given(tokens=st.integers(1, 8), extra=st.integers(0, 60), seed=seeds)
@bounded
def test_selective_copying_asks_for_the_data_tokens_in_their_order(tokens, extra, seed):
    problem = SelectiveCopying(tokens + extra, tokens=tokens)
    batch = draw(problem, 30, seed)
    shown = batch.inputs[:-tokens]
    for b in range(30):
        data = shown[:, b][shown[:, b] > 0]
        assert len(data) == tokens
        assert torch.equal(batch.targets[-tokens:, b], data - 1)
    assert (batch.inputs[-tokens:] == 15).all()
    assert (batch.weights.sum(0) == tokens).all()
    for anchor, lags in zip(problem.anchors(batch), problem.needed_lags(batch), strict=True):
        every = torch.arange(30)
        seen = batch.inputs[anchor - lags[:, 0] - 1, every]
        assert torch.equal(seen - 1, batch.targets[anchor - 1, every])


def test_selective_copying_scatters_evenly_and_its_baseline_is_a_guess():
    problem = SelectiveCopying(20, tokens=4)
    batch = draw(problem)
    shares = (batch.inputs[:20] > 0).float().mean(1)
    torch.testing.assert_close(shares, torch.full((20,), 0.2), atol=0.012, rtol=0)
    assert best_constant(problem, batch) == pytest.approx(math.log(14), abs=0.002)


@given(pairs=st.integers(1, 8), extra=st.integers(0, 40), spare=st.integers(0, 30), seed=seeds)
@bounded
def test_mqar_asks_each_key_once_for_its_value(pairs, extra, spare, seed):
    problem = MQAR(4 * pairs + extra, pairs=pairs, vocabulary=2 * pairs + 2 + spare)
    batch = draw(problem, 20, seed)
    half = problem.vocabulary // 2
    keys, values = batch.inputs[: 2 * pairs : 2], batch.inputs[1 : 2 * pairs : 2]
    assert ((keys >= 1) & (keys < half)).all()
    assert ((values >= half) & (values < problem.vocabulary)).all()
    for b in range(20):
        assert len(set(keys[:, b].tolist())) == len(set(values[:, b].tolist())) == pairs
        asked = batch.weights[:, b].nonzero().squeeze(1)
        assert (asked >= 2 * pairs).all()
        assert ((asked - 2 * pairs) % 2 == 0).all()
        table = dict(zip(keys[:, b].tolist(), values[:, b].tolist(), strict=True))
        answers = {int(batch.inputs[t, b]): int(batch.targets[t, b]) for t in asked}
        assert answers == table
    for anchor, lags in zip(problem.anchors(batch), problem.needed_lags(batch), strict=True):
        every = torch.arange(20)
        seen = batch.inputs[anchor - lags[:, 0] - 1, every]
        assert torch.equal(seen, batch.targets[anchor - 1, every])


def test_mqar_gaps_follow_the_power_law():
    """One pair: the first slot has 1 / sum (g + 1)^-0.99 of the draws."""
    problem = MQAR(42, pairs=1, vocabulary=8)
    asked = draw(problem).weights.argmax(0)
    found = torch.bincount((asked - 2) // 2, minlength=20) / len(asked)
    law = torch.arange(1, 21) ** (0.01 - 1)
    torch.testing.assert_close(found, law / law.sum(), atol=0.008, rtol=0)


def test_mqar_draws_gaps_one_after_another_without_replacement():
    problem = MQAR(8, pairs=2, vocabulary=8)  # two slots, odds p and 1 - p
    batch = draw(problem)
    first = (batch.inputs[4] == batch.inputs[0]) & (batch.weights[4] > 0)
    law = torch.arange(1, 3) ** (0.01 - 1)
    assert first.float().mean().item() == pytest.approx((law / law.sum())[0].item(), abs=0.012)


def test_mqar_baseline_is_a_guess_among_all_values():
    problem = MQAR(16, pairs=2, vocabulary=20)
    told = problem.baselines["a value, not which"]
    assert best_constant(problem, draw(problem)) == pytest.approx(told.loss, abs=0.003)
    assert told.score == 0.1


# --- delay and memory capacity ------------------------------------------------------------------


@given(length=st.integers(1, 30), seed=seeds)
@bounded
def test_delay_asks_for_what_was_shown_that_long_ago(length, seed):
    batch = draw(Delay(length), 10, seed)
    assert torch.equal(batch.targets[length:], batch.inputs[:length])
    assert torch.equal(batch.weights.sum(1) > 0, torch.arange(2 * length) >= length)
    many = draw(MemoryCapacity(length), 10, seed)
    for k in range(1, length + 1):
        assert torch.equal(many.targets[length:, :, k - 1], many.inputs[length - k : -k, :, 0])


@pytest.mark.parametrize("cls", [Delay, MemoryCapacity])
def test_delay_baselines(cls):
    problem = cls(6)
    batch = draw(problem)
    assert best_constant(problem, batch) == pytest.approx(1 / 3, rel=0.01)
    zeros = torch.zeros_like(batch.targets[6:])
    numbers = problem.score(zeros, batch.targets[6:], batch.weights[6:])
    assert numbers["score"] == pytest.approx(problem.baselines["knowing nothing"].score, abs=0.01)
    assert numbers["share_learned"] == pytest.approx(0, abs=0.02)


def test_memory_capacity_counts_the_lags_that_are_followed_whatever_their_scale():
    """Three of six outputs right but for scale and shift, one half noise, two noise: 3.5."""
    problem = MemoryCapacity(6)
    batch = draw(problem)
    targets = batch.targets[6:]
    noise = torch.randn(targets.shape, generator=torch.Generator().manual_seed(1)) / 3**0.5
    outputs = noise.clone()
    outputs[..., :3] = targets[..., :3] * torch.tensor([2.0, -0.1, 1.0]) + 3
    outputs[..., 3] += targets[..., 3]
    numbers = problem.score(outputs, targets, batch.weights[6:])
    assert numbers["capacity"] == pytest.approx(3.5, abs=0.02)
    assert numbers["score"] == pytest.approx(3.5 / 6, abs=0.004)


# --- flip-flop, state tracking ------------------------------------------------------------------


@given(pairs=st.integers(2, 40), ignore=st.sampled_from([0.0, 0.5, 0.8, 1.0]), seed=seeds)
@bounded
def test_flip_flop_asks_for_the_bit_written_last(pairs, ignore, seed):
    problem = FlipFlop(2 * pairs, ignore=ignore)
    batch = draw(problem, 20, seed)
    (lags,) = problem.needed_lags(batch)
    for b in range(20):
        tokens, held = batch.inputs[:, b].tolist(), None
        assert tokens[0] == 0
        assert tokens[-1] == 1
        for t in range(0, len(tokens), 2):
            if tokens[t] == 0:
                held, shown_at = tokens[t + 1] - 3, t + 2
            assert batch.weights[t, b] == (tokens[t] == 1)
            if tokens[t] == 1:
                assert batch.targets[t, b] == held
                assert t + 1 == len(tokens) or tokens[t + 1] - 3 == held
        assert lags[b, 0] == len(tokens) - shown_at


def test_flip_flop_frequencies_and_baseline():
    problem = FlipFlop(40, ignore=0.8)
    batch = draw(problem, 5000)
    instructions = batch.inputs[2:-1:2]
    shares = torch.bincount(instructions.flatten(), minlength=3) / instructions.numel()
    torch.testing.assert_close(shares, torch.tensor([0.1, 0.1, 0.8]), atol=0.004, rtol=0)
    assert best_constant(problem, batch) == pytest.approx(math.log(2), abs=0.002)
    with pytest.raises(InputError, match="odd"):
        FlipFlop(41)


@pytest.mark.parametrize("group", GROUPS)
@given(length=st.integers(2, 40), seed=seeds)
@settings(max_examples=8, deadline=None)
def test_state_tracking_multiplies_all_so_far(group, length, seed):
    problem = StateTracking(length, group=group)
    batch = draw(problem, 5, seed)
    for b in range(5):
        product = None
        for token, target in zip(batch.inputs[:, b], batch.targets[:, b], strict=True):
            product = token if product is None else problem.table[product, token]
            assert target == product


def test_parity_is_parity_and_the_groups_are_groups():
    batch = draw(StateTracking(30), 50)
    assert torch.equal(batch.targets, batch.inputs.cumsum(0) % 2)
    for group in GROUPS:
        table = StateTracking(5, group=group).table
        n = len(table)
        a, b, c = torch.randint(0, n, (3, 500))
        assert torch.equal(table[table[a, b], c], table[a, table[b, c]]), "associative"
        assert (table.sort(0).values == torch.arange(n)[:, None]).all(), "invertible"
    commute = {group: torch.equal(t.T, t) for group in GROUPS if (t := GROUPS[group]()) is not None}
    assert commute == {"parity": True, "z5": True, "s3": False, "s5": False}


@pytest.mark.parametrize("group", ["parity", "s3"])
def test_state_tracking_baselines(group):
    problem = StateTracking(6, group=group)
    batch = draw(problem)
    nothing, present = problem.baselines.values()
    assert best_constant(problem, batch) == pytest.approx(nothing.loss, abs=0.003)
    assert best_by_symbol(problem, batch, batch.inputs) == pytest.approx(present.loss, abs=0.003)
    score = (batch.inputs == batch.targets).float().mean().item()
    assert score == pytest.approx(present.score, abs=0.01)


# --- embedded Reber grammar ---------------------------------------------------------------------

GRAMMAR = {0: "B1", 1: "T2P3", 2: "S2X4", 3: "T3V5", 4: "X3S6", 5: "P4V6", 6: "E7"}


def is_reber(string):
    state = 0
    for symbol in string:
        arrows = GRAMMAR.get(state, "")
        at = arrows.find(symbol)
        if at < 0:
            return False
        state = int(arrows[at + 1])
    return state == 7


def strings(problem, size, seed=0):
    batch = draw(problem, size, seed)
    ends = batch.last_scored_step()
    shown = batch.inputs.argmax(2)
    return [
        "".join(SYMBOLS[k] for k in shown[:end, b]) + SYMBOLS[batch.targets[end - 1, b]] + "E"
        for b, end in enumerate(ends.tolist())
    ]


@pytest.mark.parametrize("protocol", ["exact", "hochreiter1997"])
@given(length=st.integers(9, 60), seed=seeds)
@bounded
def test_embedded_reber_strings_are_of_the_grammar(protocol, length, seed):
    for string in strings(EmbeddedReber(length, protocol=protocol), 20, seed):
        assert string[0] == "B"
        assert string[1] == string[-2]
        assert string[1] in "TP"
        assert is_reber(string[2:-2]), string
        assert len(string) == length if protocol == "exact" else 9 <= len(string) <= length


def test_embedded_reber_strings_are_as_likely_as_the_grammar_makes_them():
    """The shortest five: after B T or P, two ways on at each step, 1/8 each for a string of 5."""
    found = Counter(string[2:-2] for string in strings(EmbeddedReber(60, "hochreiter1997"), 40_000))
    for string in ("BTXSE", "BPVVE"):
        assert found[string] / 40_000 == pytest.approx(1 / 8, abs=0.008)
    assert found["BTSXSE"] / 40_000 == pytest.approx(1 / 16, abs=0.006)
    exact = Counter(string[2:-2] for string in strings(EmbeddedReber(10), 20_000))
    assert set(exact) == {"BTSXSE", "BPTVVE", "BPVPSE"}
    assert exact["BTSXSE"] / 20_000 == pytest.approx(1 / 3, abs=0.015)


def test_embedded_reber_baseline():
    problem = EmbeddedReber(15)
    told = problem.baselines["T or P"]
    assert best_constant(problem, draw(problem)) == pytest.approx(told.loss, abs=0.001)
