"""How fast each layer of a network in depth learns at first: the gradient of its biases."""

from __future__ import annotations

import copy
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from seqbench.card.task import Trial
from seqbench.errors import InputError
from seqbench.measure.diagnostics.moment import Moment
from seqbench.measure.diagnostics.picture import Picture
from seqbench.models.deep import Layers
from seqbench.problems.batch import Batch, capabilities


class LearningSpeed:
    """||dC/db^l||, C the mean loss over the whole training set, l = 1, 2, ... from the input; after
    the last layer comes the output layer, the readout.

    The norm of a *mean* gradient, where the gradient flow is a mean of each example's norms: two
    quantities, and no curve of one belongs on the axis of the other. Of layers that are tied each
    has the share of its own place. With batch norm the training set is one batch.

    Source: Nielsen 2015, Neural Networks and Deep Learning, chapter 5.
    """

    def check(self, problem: Any) -> None:
        """Raises InputError where there is no training set to take the mean over."""
        if capabilities(problem).training_set is None:
            raise InputError(
                "recording.diagnostics (learning_speed): the problem's training data are not "
                "finite\nallowed: problems with a training set: flat_images"
            )

    def pictures(self, trial: Trial) -> list[Picture]:
        """A line a training step, against the layer."""
        caption = (
            "The norm of the gradient of the mean loss over the training set with respect to each "
            "layer's biases, from the input (1) to the output layer."
        )
        return [Picture(title="Speed of learning", caption=caption, y="|dC/db|", log=True)]

    def __call__(self, moment: Moment) -> dict[str, pd.Series]:
        """By layer."""
        training_set = capabilities(moment.problem).training_set
        stack = moment.model.stack
        if not isinstance(stack, Layers) or training_set is None:
            return {}
        norms = speeds(moment.model, moment.problem, training_set().to(moment.batch.inputs.device))
        return {"speed of learning": pd.Series(norms, index=range(1, len(norms) + 1))}


def speeds(model: Any, problem: Any, batch: Batch) -> list[float]:
    """||dC/db^l|| for each layer, first to last, and the readout; the model is left alone."""
    layers = [copy.deepcopy(layer) for layer in model.stack.layers]  # tied ones come apart
    with torch.enable_grad():
        h_Bn = batch.inputs[0]
        for layer in layers:
            h_Bn = layer(h_Bn)
        loss = problem.loss(model.readout(h_Bn)[None], batch.targets).mean()
        biases = [bias_of(layer) for layer in (*layers, model.readout)]
        grads = torch.autograd.grad(loss, biases)
    return [grad.double().norm().item() for grad in grads]


def bias_of(layer: torch.nn.Module) -> Tensor:
    """What a layer adds to its weighted sum.

    Raises:
        InputError: it has none.
    """
    bias = getattr(layer, "bias", None)
    if not isinstance(bias, Tensor):
        raise InputError(
            f"learning_speed: {type(layer).__name__} has no bias\n"
            "allowed: layers with an attribute `bias`, a tensor, as the layers of dense have"
        )
    return bias
