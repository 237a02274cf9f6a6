"""Images all at once: for networks in depth."""

import math

import pytest
import torch

from seqbench import InputError
from seqbench.cells.gru import GRU
from seqbench.models.kinds import build
from seqbench.problems.batch import capabilities
from seqbench.problems.flat_images import FlatImages


def draws():
    return torch.Generator().manual_seed(0)


def test_a_recurrent_cell_is_refused_in_words():
    with pytest.raises(InputError, match=r"shows all in one step.*\nallowed: a network in depth"):
        build(GRU, length=3, steps=1, input_size=64, hidden_size=4, output_size=10)


def test_all_pixels_are_shown_in_one_step_and_the_parts_do_not_mix():
    problem = FlatImages(5)
    batch = problem.sample(20, draws())
    assert batch.inputs.shape == (1, 20, 64)
    assert len({tuple(x) for x in batch.inputs[0].tolist()}) == 20  # different images
    training = {tuple(x) for x in problem.training_set().inputs[0].tolist()}
    for part in ("validation", "test"):
        shown = problem.held_out(part, 1000, draws()).inputs[0]
        assert len(shown) == 300
        assert not training & {tuple(x) for x in shown.tolist()}


def test_a_batch_as_large_as_the_training_set_is_all_of_it_in_order():
    problem = FlatImages(1, train_images=100)
    whole, batch = problem.training_set(), problem.sample(100, draws())
    assert torch.equal(batch.inputs, whole.inputs)
    assert torch.equal(batch.targets, whole.targets)
    assert capabilities(problem).training_set is not None


def test_the_needed_lag_is_the_input_below_all_layers():
    problem = FlatImages(7)
    assert torch.equal(problem.needed_lags(problem.sample(2, draws()))[0], torch.full((2, 1), 7))


def test_cross_entropy_of_sigmoids_is_summed_over_the_outputs():
    problem = FlatImages(1, loss="sigmoid")
    outputs = torch.randn(1, 4, 10, dtype=torch.float64, generator=draws())
    targets = torch.tensor([[3, 1, 0, 9]])
    a = outputs.sigmoid()
    y = torch.zeros(1, 4, 10, dtype=torch.float64).scatter_(2, targets[:, :, None], 1.0)
    expected = -(y * a.log() + (1 - y) * (1 - a).log()).sum(-1)
    torch.testing.assert_close(problem.loss(outputs, targets), expected)


@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
def test_the_baseline_is_what_the_best_constant_answer_earns(loss):
    problem = FlatImages(1, loss=loss)
    targets = problem.training_set().targets
    shares = torch.bincount(targets[0], minlength=10) / targets.numel()
    logits = shares.log() if loss == "softmax" else torch.logit(shares)
    got = problem.loss(logits.expand(1, targets.numel(), 10), targets).mean()
    baseline = problem.baselines["not looking"]
    assert baseline.loss == pytest.approx(got.item(), rel=1e-5)
    assert baseline.loss > (math.log(10) - 0.01 if loss == "softmax" else 3.2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"loss": "hinge"}, "problem.loss = 'hinge'"),
        ({"dataset": "cifar"}, "problem.dataset = 'cifar'"),
        ({"train_images": 1198}, "problem.train_images = 1198\nallowed: a number from 1 to 1,197"),
        ({"train_images": 0}, "problem.train_images = 0"),
    ],
)
def test_what_can_not_be_is_told(options, words):
    with pytest.raises(InputError) as told:
        FlatImages(1, **options)
    assert words in str(told.value)
