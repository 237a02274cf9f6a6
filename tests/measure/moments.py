"""What a diagnostic is shown, made by hand."""

import torch
from torch import nn

from seqbench.measure.diagnostics.moment import Moment
from seqbench.measure.probe import cotangents
from seqbench.models.recurrent import Model, Stack, as_layer
from seqbench.problems.adding import Adding


def moment_of(layer, problem=None, width=None, examples=4, seed=0):
    """A model of one layer on a batch of a problem."""
    problem = problem or Adding(20)
    torch.manual_seed(seed)
    draws = torch.Generator().manual_seed(seed)
    stack = layer if isinstance(layer, Stack) else Stack([as_layer(layer)])
    width = width or stack(torch.zeros(1, 1, problem.input_size), None)[0].shape[-1]
    model = Model(stack, nn.Linear(width, problem.output_size))
    batch = problem.sample(examples, draws)
    return Moment(0, model, problem, batch, cotangents(problem.output_size, draws))
