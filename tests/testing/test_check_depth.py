"""`seqbench check` of a network in depth: each fault under a name of its own."""

import itertools

import pytest
import torch
from torch import nn

from seqbench import InputError
from seqbench.testing.examination import examine


class Good(nn.Sequential):
    kind = "chain"

    def __init__(self, input_size, hidden_size, depth):
        sizes = [input_size, *[hidden_size] * depth]
        super().__init__(*[self.layer(*pair) for pair in itertools.pairwise(sizes)])

    def layer(self, n_in, n_out):
        return nn.Sequential(nn.Linear(n_in, n_out), nn.Tanh())


class TwoModulesALayer(nn.Sequential):
    kind = "chain"

    def __init__(self, input_size, hidden_size, depth):
        sizes = [input_size, *[hidden_size] * depth]
        pairs = itertools.pairwise(sizes)
        super().__init__(*[module for pair in pairs for module in (nn.Linear(*pair), nn.Tanh())])


class Noisy(Good):
    def layer(self, n_in, n_out):
        layer = super().layer(n_in, n_out)
        layer.register_forward_hook(lambda _, __, out: out + torch.rand_like(out))
        return layer


class Mixing(Good):
    def layer(self, n_in, n_out):
        layer = super().layer(n_in, n_out)
        layer.register_forward_hook(lambda _, __, out: out - out.mean(0))
        return layer


class Idle(Good):
    def layer(self, n_in, n_out):
        layer = super().layer(n_in, n_out)
        layer.idle = nn.Parameter(torch.ones(1))
        layer.forward = lambda x: layer[1](layer[0](x))
        return layer


def failed(cls, **options):
    return [one.name for one in examine(cls, **options) if one.status == "failed"]


def test_a_network_of_layers_passes():
    told = {one.name: one for one in examine(Good)}
    assert not failed(Good)
    assert told["speed of learning"].status == "not applicable"
    assert "no bias" in told["speed of learning"].told


@pytest.mark.parametrize("options", [{}, {"norm": "batch"}, {"residual": True}, {"tied": True}])
def test_the_bundled_one_keeps_it(options):
    assert not failed("dense", options=options)


@pytest.mark.parametrize(
    ("cls", "check"),
    [
        (TwoModulesALayer, "as deep as it is asked to be"),
        (Noisy, "the same twice, each example by itself"),
        (Mixing, "the same twice, each example by itself"),
    ],
)
def test_a_fault_has_a_name_of_its_own(cls, check):
    assert failed(cls) == [check]


def test_a_parameter_without_a_gradient_is_named():
    (one,) = [one for one in examine(Idle) if one.name == "every parameter is used"]
    assert one.status == "failed"
    assert "idle" in one.told


def test_an_option_that_there_is_not_is_refused():
    with pytest.raises(InputError, match="unknown option"):
        examine("dense", options={"colour": 3})
