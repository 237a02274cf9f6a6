"""The speed of learning of each layer: against one autograd graph, and the published numbers."""

import numpy as np
import pytest
import torch
from torch import nn

from seqbench import InputError
from seqbench.card.tables import Diagnostic
from seqbench.cells.dense import Dense
from seqbench.measure.diagnostics import instruments
from seqbench.measure.diagnostics.learning_speed import speeds
from seqbench.models.kinds import build
from seqbench.problems.adding import Adding
from seqbench.problems.flat_images import FlatImages

# Nielsen 2015, chapter 5: |dC/db| of the hidden layers at initialisation, [784, 30, ..., 30, 10].
PUBLISHED = {
    2: [0.07, 0.31],
    3: [0.012, 0.060, 0.283],
    4: [0.003, 0.017, 0.070, 0.285],
}


def model(depth, problem, seed=0, **options):
    torch.manual_seed(seed)
    sizes = {"input_size": problem.input_size, "hidden_size": 30, "output_size": 10}
    return build(Dense, length=depth, **sizes, options=options)


@pytest.mark.parametrize("options", [{}, {"norm": "layer"}, {"activation": "relu", "init": "he"}])
def test_it_is_the_norm_of_the_mean_gradient_of_the_biases(options):
    problem = FlatImages(3, train_images=50)
    net = model(3, problem, **options)
    found = speeds(net, problem, problem.training_set())
    data = problem.training_set()
    outputs = net.readout(nn.Sequential(*net.stack.layers)(data.inputs[0]))
    nn.functional.cross_entropy(outputs, data.targets[0]).backward()
    expected = [layer.bias.grad.norm().item() for layer in (*net.stack.layers, net.readout)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_of_tied_layers_each_has_the_share_of_its_own_place():
    problem = FlatImages(4, train_images=50)
    net = model(4, problem, tied=True)
    found = speeds(net, problem, problem.training_set())
    assert len(found) == 5, "and the readout"
    assert len(set(found)) == 5
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize("depth", PUBLISHED)
def test_the_published_norms_lie_among_those_of_40_initialisations(depth):
    problem = FlatImages(depth, loss="sigmoid", train_images=1000)
    data = problem.training_set()
    found = [speeds(model(depth, problem, seed), problem, data)[:depth] for seed in range(40)]
    low, high = np.percentile(found, [5, 95], axis=0)
    assert (low <= PUBLISHED[depth]).all()
    assert (high >= PUBLISHED[depth]).all()


def test_endless_training_data_have_no_mean_gradient():
    with pytest.raises(InputError, match=r"learning_speed.*not\s+finite"):
        instruments.make([Diagnostic(use="learning_speed").standing_for(
            "seqbench.measure.diagnostics.learning_speed:LearningSpeed")], Adding(10))  # fmt: skip
