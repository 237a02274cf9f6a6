"""Images shown all at once: for networks in depth, whose length is the number of layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from seqbench.errors import InputError
from seqbench.problems.batch import Baseline, Batch
from seqbench.problems.checks import check_choice
from seqbench.problems.images import load_parts
from seqbench.problems.kinds import Classification


class FlatImages(Classification):
    """Images of digits, [1, B, pixels]: all pixels in one step, ten classes; solved at 95 % right.

    The parts are those of `seqbench.problems.images.Images`: training images are drawn at random,
    different ones in a batch; a batch of at least all of them is all of them, in their order.

    loss "softmax": cross-entropy. "sigmoid": the sum over classes of the cross-entropy of each
    output's sigmoid with whether it is that class, as Nielsen has it.

    Baseline: the best answer that does not look, from the shares of the training classes: the
    entropy; for "sigmoid" the sum of each class's own.

    Args:
        length: how many layers a network in depth has; it changes no image.
        dataset: "digits", "mnist", or "mnist_test": the 10,000 test images of MNIST alone.
        data_dir: a folder with the original files of MNIST; None: downloaded once.
        loss: "softmax" or "sigmoid".
        train_images: only the first so many of the training images; None: all.

    Raises:
        InputError: another data set or loss, more training images than there are, no files.

    Source: Nielsen 2015, Neural Networks and Deep Learning, chapters 3 and 5.
    """

    output_size = 10
    steps = 1
    classes = tuple("0123456789")
    solved_share = 0.95

    def __init__(
        self,
        length: int,
        dataset: str = "digits",
        data_dir: str | None = None,
        loss: str = "softmax",
        train_images: int | None = None,
    ) -> None:
        check_choice("dataset", dataset, ("digits", "mnist", "mnist_test"), "flat_images")
        check_choice("loss", loss, ("softmax", "sigmoid"), "flat_images")
        self.length, self.sigmoid = length, loss == "sigmoid"
        self.parts = dict(load_parts(dataset, data_dir))
        pixels_NP, classes_N = self.parts["training"]
        count = _check_count(train_images, len(classes_N))
        self.parts["training"] = type(self.parts["training"])(pixels_NP[:count], classes_N[:count])
        self.input_size = pixels_NP.shape[1]
        self.channels = [f"pixel {i + 1}" for i in range(self.input_size)]
        self.baselines = {"not looking": self._not_looking(classes_N[:count])}

    def _not_looking(self, classes_N: Tensor) -> Baseline:
        shares = torch.bincount(classes_N, minlength=10).double() / len(classes_N)
        entropy = torch.special.entr(shares).sum()
        if self.sigmoid:
            entropy += torch.special.entr(1 - shares).sum()
        return Baseline(entropy.item(), shares.max().item())

    def sample(self, batch_size: int, generator: Generator) -> Batch:
        """Different training images at random; all of them where so many are asked for."""
        count = len(self.parts["training"].classes)
        if batch_size >= count:
            return self.training_set()
        return self._batch("training", torch.randperm(count, generator=generator)[:batch_size])

    def training_set(self) -> Batch:
        """All training images, in their order."""
        return self._batch("training", torch.arange(len(self.parts["training"].classes)))

    def held_out(self, part: str, size: int, generator: Generator) -> Batch:
        """`size` different images of the part "validation" or "test", at most all of them."""
        count = len(self.parts[part].classes)
        return self._batch(part, torch.randperm(count, generator=generator)[:size])

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Of each image, [1, B, 10] and [1, B] -> [1, B]."""
        if not self.sigmoid:
            return super().loss(outputs, targets)
        is_class = F.one_hot(targets, 10).to(outputs.dtype)
        return F.binary_cross_entropy_with_logits(outputs, is_class, reduction="none").sum(-1)

    def needed_lags(self, batch: Batch) -> list[Tensor]:
        """The input, below all layers."""
        return [torch.full((batch.inputs.shape[1], 1), self.length)]

    def _batch(self, part: str, chosen_B: Tensor) -> Batch:
        pixels_BP, classes_B = (x[chosen_B] for x in self.parts[part])
        return Batch(pixels_BP[None], classes_B[None], torch.ones(1, len(chosen_B)))


def _check_count(asked: Any, there: int) -> int:
    if asked is None:
        return there
    if type(asked) is not int or not 0 < asked <= there:
        raise InputError(f"problem.train_images = {asked!r}\nallowed: a number from 1 to {there:,}")
    return asked
