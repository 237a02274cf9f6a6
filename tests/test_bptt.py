"""Segments give the gradients of one autograd graph: of every parameter, at every boundary."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from seqbench.bptt import TimeChain, backpropagate, even_edges
from seqbench.model import Stack, Unroll

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
    shapes, state, zeros, total = None, None, [], 0.0
    for start, stop in pairwise(edges):
        if state is not None:
            shapes = [[torch.zeros_like(part, requires_grad=True) for part in one] for one in state]
            state = tuple(
                tuple(part + zero for part, zero in zip(one, of_one, strict=True))
                for one, of_one in zip(state, shapes, strict=True)
            )
            zeros.append([zero for of_one in shapes for zero in of_one])
        outputs, state = layer(inputs[start:stop], state)
        total = total + (outputs.sin() * weights_TBH[start:stop]).sum()
    total.backward()
    return [p.grad for p in layer.parameters()], [[z.grad for z in at_edge] for at_edge in zeros]


def in_segments(layer, inputs, weights_TBH, edges, recompute):
    boundaries = {}

    def direct(i, outputs):
        weights = weights_TBH[edges[i] : edges[i + 1]]
        return outputs.detach().cos() * weights if weights.any() else None

    backpropagate(
        TimeChain(layer, inputs, edges).links(),
        (),
        direct,
        recompute=recompute,
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
        (x,),
        lambda i, outputs: torch.ones_like(outputs) if i == 5 else None,
        at_boundary=lambda i, grad: gradients.setdefault(i, grad[0]),
    )
    leaf = y = x.clone().requires_grad_()
    for linear in network:
        y = torch.tanh(linear(y))
    y.sum().backward()
    torch.testing.assert_close(gradients[0], leaf.grad)
    assert sorted(gradients) == [0, 1, 2, 3, 4, 5]
