"""What is trained and measured need not be a sequence in time: a model hands over its chain.

Here the layers of a deep feedforward network, each as wide as it likes.
"""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from seqbench.engine.chain import Part
from seqbench.engine.cut import Cut, choose
from seqbench.measure.flow import probe_flow
from seqbench.problems.batch import Batch
from seqbench.training.evaluation import evaluate
from seqbench.training.objective import gradient_of_loss

WIDTHS = [4, 6, 5, 7, 3]


class Deep(nn.Module):
    """tanh layers and a readout; a batch is one step, [1, B, I], that the last layer answers."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(*sizes) for sizes in pairwise(WIDTHS))
        self.readout = nn.Linear(WIDTHS[-1], 2)

    def chain(self, inputs, run=None):
        return Layers(self.layers, inputs[0])


class Layers:
    mixes = False

    def __init__(self, layers, x_BI):
        self.layers, self.x_BI, self.length = layers, x_BI, len(layers)

    def link(self, start, stop):
        def run(state):
            x_Bn = self.x_BI if state is None else state
            for layer in self.layers[start:stop]:
                x_Bn = torch.tanh(layer(x_Bn))
            return x_Bn[None][self.shown(start, stop)], x_Bn

        return run

    def shown(self, start, stop):
        return slice(0, int(stop == self.length))

    def place(self, step_B):
        return torch.full_like(step_B, self.length)

    def repeated(self, copies):
        return Layers(self.layers, self.x_BI.repeat(copies, 1))

    def start(self):
        return self.x_BI

    def parts(self):
        return [Part(layer=0, name="h", tensor=0, row=None, batch_dim=0)]


class Regression:
    output_size = 2

    def loss(self, outputs, targets):
        return (outputs - targets).square().sum(-1)

    def score(self, outputs, targets, weights):
        return {"score": 0.0}

    def anchors(self, batch):
        return [torch.ones(batch.inputs.shape[1], dtype=torch.long)]


@pytest.fixture
def deep():
    torch.manual_seed(0)
    batch = Batch(torch.randn(1, 8, 4), torch.randn(1, 8, 2), torch.ones(1, 8))
    return Deep(), Regression(), batch


@pytest.mark.parametrize("cut", [Cut(1), Cut(3), Cut(2, recompute=True)])
def test_layers_are_trained_as_a_chain(deep, cut):
    model, problem, batch = deep
    loss = gradient_of_loss(model, problem, batch, cut)
    found = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    x_Bn = batch.inputs[0]
    for layer in model.layers:
        x_Bn = torch.tanh(layer(x_Bn))
    expected = problem.loss(model.readout(x_Bn), batch.targets[0]).mean()
    expected.backward()
    torch.testing.assert_close(loss, expected.detach())
    for one, parameter in zip(found, model.parameters(), strict=True):
        torch.testing.assert_close(one, parameter.grad)
    assert evaluate(model, problem, batch)["loss"] == pytest.approx(expected.item(), rel=1e-5)


def test_layers_are_measured_as_a_chain_lags_counted_from_the_output(deep):
    model, problem, batch = deep
    u_CO = torch.eye(2)[:1]
    table = probe_flow(model, problem, batch, u_CO, "all")
    wide = Deep().double()
    wide.load_state_dict(model.state_dict())
    states = [batch.inputs[0].double().requires_grad_()]
    for layer in wide.layers:
        states.append(torch.tanh(layer(states[-1])))
    answer = wide.readout(states[-1])
    output = torch.autograd.grad(answer[:, 0].sum(), states, retain_graph=True)
    losses = problem.loss(answer, batch.targets[0].double())
    for source, grads in (("output", output), ("loss", torch.autograd.grad(losses.sum(), states))):
        rows = table[(table.source == source) & (table.state == "h")].sort_values("lag")
        expected = [grad.norm(dim=1).log10().mean().item() for grad in reversed(grads)]
        np.testing.assert_allclose(rows.log10_norm, expected, atol=1e-10)
        assert rows.lag.tolist() == list(range(len(WIDTHS)))


def test_the_rule_of_segments_takes_layers_for_links(deep):
    from seqbench.card.task import Training

    model, _, batch = deep
    assert choose(model, batch.inputs, Training()).segment == len(model.layers)
