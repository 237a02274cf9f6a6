"""Segments give the gradients of one autograd graph: of every parameter, at every boundary."""

import math
from collections import namedtuple
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from seqbench.engine.chain import (
    backpropagate,
    even_edges,
    even_edges_from_end,
    flatten,
    rebuild,
)
from seqbench.measure.flow import gradient_flow
from seqbench.models.recurrent import Stack, Unroll

T, B, IN, H = 17, 3, 2, 5


def layers():
    return {
        "rnn": Stack([nn.RNN(IN, H)]),
        "gru": Stack([nn.GRU(IN, H)]),
        "lstm": Stack([nn.LSTM(IN, H)]),
        "lstm cell": Stack([Unroll(nn.LSTMCell(IN, H))]),
        "stack": Stack([nn.GRU(IN, H), Unroll(nn.LSTMCell(H, H))]),
    }


def one_graph(layer, inputs, weights_TBH, edges):
    """Plain autograd: gradients of all parameters, and of the state at each edge but the last.

    (h, c) at an edge are leaves of their own: zeros added to what is handed on, whose gradients
    are the totals there.
    """
    state, zeros, total = None, [], 0.0
    for start, stop in pairwise(edges):
        if state is not None:
            parts = list(flatten(state))
            zeros.append([torch.zeros_like(part, requires_grad=True) for part in parts])
            moved = [part + zero for part, zero in zip(parts, zeros[-1], strict=True)]
            state = rebuild(state, moved)
        outputs, state = layer(inputs[start:stop], state)
        total = total + (outputs.sin() * weights_TBH[start:stop]).sum()
    total.backward()
    return [p.grad for p in layer.parameters()], [[z.grad for z in at_edge] for at_edge in zeros]


def links(stack, inputs, edges):
    chain = stack.chain(inputs)
    return [chain.link(start, stop) for start, stop in pairwise(edges)]


def in_segments(layer, inputs, weights_TBH, edges, recompute, truncate=0):
    boundaries = {}

    def term(i, outputs):
        weights = weights_TBH[edges[i] : edges[i + 1]]
        return (outputs.sin() * weights).sum() if weights.any() else None

    backpropagate(
        links(layer, inputs, edges),
        term,
        recompute=recompute,
        truncate=truncate,
        at_boundary=boundaries.__setitem__,
    )
    return [p.grad for p in layer.parameters()], boundaries


def compare(name, segment, scored, recompute):
    torch.manual_seed(0)
    layer = layers()[name].double()
    inputs = torch.randn(T, B, IN, dtype=torch.float64)
    weights_TBH = torch.zeros(T, B, H, dtype=torch.float64)
    weights_TBH[scored] = torch.randn(len(scored), B, H, dtype=torch.float64)
    edges = even_edges(T, segment)
    expected, expected_states = one_graph(layer, inputs, weights_TBH, edges)
    layer.zero_grad()
    found, found_states = in_segments(layer, inputs, weights_TBH, edges, recompute)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
    last_scored = max(scored)
    for edge, states in enumerate(expected_states, start=1):
        if edges[edge] > last_scored:  # no gradient arrives
            assert edge not in found_states
            continue
        for one, other in zip(found_states[edge], states, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("segment", [1, 4, 17, 100])
@pytest.mark.parametrize("name", layers())
def test_segments_equal_one_graph(name, segment, recompute):
    compare(name, segment, scored=[2, 9, 16], recompute=recompute)


@settings(max_examples=20, deadline=None)
@given(
    name=st.sampled_from(list(layers())),
    segment=st.integers(1, 20),
    scored=st.lists(st.integers(0, T - 1), min_size=1, max_size=6, unique=True),
    recompute=st.booleans(),
)
def test_segments_equal_one_graph_wherever_losses_lie(name, segment, scored, recompute):
    compare(name, segment, sorted(scored), recompute)


def test_a_chain_need_not_be_time():
    """Links may be any functions of a state: here the layers of a deep feedforward network."""
    torch.manual_seed(0)
    network = nn.ModuleList(nn.Linear(4, 4) for _ in range(6)).double()
    x = torch.randn(3, 4, dtype=torch.float64)

    def link(linear):
        def run(state):
            y = torch.tanh(linear(state[0]))
            return y, (y,)

        return run

    gradients = {}
    backpropagate(
        [link(linear) for linear in network],
        lambda i, outputs: outputs.sum() if i == 5 else None,
        state=(x,),
        at_boundary=lambda i, grad: gradients.setdefault(i, grad[0]),
    )
    leaf = y = x.clone().requires_grad_()
    for linear in network:
        y = torch.tanh(linear(y))
    y.sum().backward()
    torch.testing.assert_close(gradients[0], leaf.grad)
    assert sorted(gradients) == [0, 1, 2, 3, 4, 5]


class Odd(nn.Module):
    """A state with names, a vector and a counter."""

    State = namedtuple("State", "h s count")

    def __init__(self):
        super().__init__()
        self.mix = nn.Linear(IN + H, H)

    def forward(self, x, state=None):
        if state is None:
            zeros = x.new_zeros(len(x), H)
            state = self.State(zeros, x.new_zeros(len(x)), torch.zeros(len(x), dtype=torch.long))
        h = torch.tanh(self.mix(torch.cat([x, state.h], 1)))
        return self.State(h + 0.5 * state.h, state.s * 0.9 + h.mean(1), state.count + 1)


@pytest.mark.parametrize("segment", [1, 5, 100])
def test_states_may_have_names_vectors_and_counters(segment):
    torch.manual_seed(0)
    layer, inputs = Stack([Unroll(Odd())]).double(), torch.randn(T, B, IN, dtype=torch.float64)
    layer(inputs)[0].sum().backward()
    expected = [p.grad for p in layer.parameters()]
    layer.zero_grad()
    backpropagate(links(layer, inputs, even_edges(T, segment)), lambda i, outputs: outputs.sum())
    for one, parameter in zip(expected, layer.parameters(), strict=True):
        torch.testing.assert_close(one, parameter.grad)
    table = gradient_flow(Odd(), torch.randn(T, B, IN), lambda out: out[-1].sum(-1), every=segment)
    assert set(table.state) == {"h", "c", "all"}


def test_a_tuple_of_one_is_handed_back_as_a_tuple_of_one():
    class One(nn.Module):
        def forward(self, x, state=None):
            return ((torch.zeros_like(x) if state is None else state[0]) * 0.5 + x,)

    inputs = torch.randn(6, B, IN)
    table = gradient_flow(Stack([Unroll(One())]), inputs, lambda out: out[-1].sum(-1))
    rows = table[table.state == "all"]
    expected = rows.lag * math.log10(0.5)
    assert (rows.log10_norm - rows.log10_norm.iloc[0]).to_numpy() == pytest.approx(
        expected.to_numpy(), abs=1e-6
    )


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize(("segment", "truncate"), [(4, 1), (4, 2), (3, 4), (1, 5), (5, 100)])
@pytest.mark.parametrize("name", ["rnn", "lstm", "stack"])
def test_a_truncated_gradient_is_that_of_windows_cut_off_from_each_other(
    name, segment, truncate, recompute
):
    """Plain autograd, with the state detached before every k-th segment from the end."""
    torch.manual_seed(0)
    layer, inputs = layers()[name].double(), torch.randn(T, B, IN, dtype=torch.float64)
    weights_TBH = torch.randn(T, B, H, dtype=torch.float64)
    edges = even_edges_from_end(T, segment)
    state, total = None, 0.0
    for i, (start, stop) in enumerate(pairwise(edges)):
        if state is not None and (len(edges) - 1 - i) % truncate == 0:
            parts = [part.detach() for part in flatten(state)]
            state = rebuild(state, parts)
        outputs, state = layer(inputs[start:stop], state)
        total = total + (outputs.sin() * weights_TBH[start:stop]).sum()
    total.backward()
    expected = [p.grad for p in layer.parameters()]
    layer.zero_grad()
    found, _ = in_segments(layer, inputs, weights_TBH, edges, recompute, truncate)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@given(steps=st.integers(1, 300), segment=st.integers(1, 300))
def test_cuts_lie_a_segment_apart_but_for_what_is_left_over(steps, segment):
    for edges, left_over in (
        (even_edges(steps, segment), -1),
        (even_edges_from_end(steps, segment), 0),
    ):
        lengths = [stop - start for start, stop in pairwise(edges)]
        assert sum(lengths) == steps
        assert 0 < lengths.pop(left_over) <= segment
        assert set(lengths) <= {segment}


class Drawing(nn.Module):
    """A cell with dropout on its recurrent connection."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Linear(IN + H, H)

    def forward(self, x, h=None):
        h = x.new_zeros(len(x), H) if h is None else h
        return torch.tanh(self.mix(torch.cat([x, nn.functional.dropout(h, 0.3, self.training)], 1)))


@pytest.mark.parametrize("name", [*layers(), "drawing"])
def test_recomputation_changes_no_bit_and_leaves_the_random_state_where_it_would_be(name):
    torch.manual_seed(0)
    layer = layers()[name] if name != "drawing" else Stack([Unroll(Drawing())])
    inputs, weights_TBH = torch.randn(T, B, IN), torch.randn(T, B, H)
    found = []
    for recompute in (False, True):
        torch.manual_seed(1)
        layer.zero_grad()
        gradients, states = in_segments(layer, inputs, weights_TBH, even_edges(T, 4), recompute)
        flat = [grad for edge in sorted(states) for grad in states[edge]]
        found.append([*gradients, *flat, torch.rand(3)])
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)
