"""Sequential images: a digit, a few pixels at a time; which is it?"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from seqbench.errors import InputError
from seqbench.problems import mnist
from seqbench.problems.batch import Baseline, Batch
from seqbench.problems.checks import check_choice
from seqbench.problems.kinds import Classification, asked_at_end

PERMUTATION_SEED = 92916  # expRNN's, so that results can be compared
DIGITS = (1197, 300)  # training and validation images of scikit-learn's 1797; the rest is for test
MNIST_TRAINING = 55_000  # of 60,000; the rest is for validation


class Part(NamedTuple):
    """Images of one part of a data set: pixels in [0, 1], [N, pixels], and classes, [N]."""

    pixels: Tensor
    classes: Tensor


class Images(Classification):
    """Images of digits in T steps of pixels/T pixels each, line by line; ten classes, asked at the
    last step; cross-entropy; solved at 95 % right.

    dataset "digits": the 1,797 images of 8 x 8 that scikit-learn ships (T = 64 pixel by pixel,
    T = 8 row by row): 1,197 for training, 300 for validation, 300 for test, in a fixed random
    order. "mnist": 28 x 28 (T = 784, T = 28): the 60,000 training images, the last 5,000 of them
    for validation, and the 10,000 of the test set. Training draws images at random, with
    replacement. Evaluations while training see the validation part alone; the test part is seen
    once, when training has ended. protocol "sequential": as they stand; "permuted": all pixels in
    one fixed random order, numpy's RandomState(92916).

    Baseline: the best answer that does not look, the entropy of the training classes.

    Args:
        length: T, a divisor of the number of pixels, at least 2.
        protocol: "sequential" or "permuted".
        dataset: "digits" or "mnist".
        data_dir: a folder with the original files of MNIST; None: downloaded once.

    Raises:
        InputError: another protocol or data set, a T that does not divide, no scikit-learn, no
            files and no network.

    Source: Le et al. 2015 (sequential and permuted MNIST, T = 784); the permutation:
    Lezcano-Casado & Martinez-Rubio 2019; digits: Alpaydin & Kaynak 1998, by way of scikit-learn.
    """

    output_size = 10
    classes = tuple("0123456789")
    solved_share = 0.95

    def __init__(
        self,
        length: int,
        protocol: str = "sequential",
        dataset: str = "digits",
        data_dir: str | None = None,
    ) -> None:
        check_choice("protocol", protocol, ("sequential", "permuted"), "images")
        check_choice("dataset", dataset, ("digits", "mnist"), "images")
        self.parts = load_parts(dataset, data_dir)
        pixels = self.parts["training"].pixels.shape[1]
        if length < 2 or pixels % length:
            raise InputError(
                f"lengths: {length} steps can't show {pixels} pixels\nallowed: "
                f"{', '.join(str(T) for T in range(2, pixels + 1) if pixels % T == 0)}"
            )
        self.steps, self.input_size = length, pixels // length
        self.channels = [f"pixel {i + 1}" for i in range(self.input_size)]
        self.order = torch.arange(pixels)
        if protocol == "permuted":
            order = np.random.RandomState(PERMUTATION_SEED).permutation(pixels)
            self.order = torch.from_numpy(order)
        shares = torch.bincount(self.parts["training"].classes, minlength=10).double()
        shares /= shares.sum()
        entropy = torch.special.entr(shares).sum().item()
        self.baselines = {"not looking": Baseline(entropy, shares.max().item())}

    def sample(self, batch_size: int, generator: Generator) -> Batch:
        """Draw training images, with replacement."""
        count = len(self.parts["training"].classes)
        return self._batch("training", torch.randint(0, count, (batch_size,), generator=generator))

    def held_out(self, part: str, size: int, generator: Generator) -> Batch:
        """`size` different images of the part "validation" or "test", at most all of them."""
        count = len(self.parts[part].classes)
        return self._batch(part, torch.randperm(count, generator=generator)[:size])

    def needed_lags(self, batch: Batch) -> list[Tensor]:
        """All: any pixel may matter."""
        return [torch.arange(self.steps).repeat(batch.inputs.shape[1], 1)]

    def _batch(self, part: str, chosen_B: Tensor) -> Batch:
        pixels_BP = self.parts[part].pixels[chosen_B][:, self.order]
        inputs_TBI = pixels_BP.view(len(chosen_B), self.steps, self.input_size).movedim(0, 1)
        return asked_at_end(inputs_TBI.contiguous(), self.parts[part].classes[chosen_B])


def load_parts(dataset: str, data_dir: str | None = None) -> dict[str, Part]:
    """The parts "training", "validation" and "test" of a data set.

    Args:
        dataset: "digits", "mnist", or "mnist_test": its 10,000 test images alone, 8,000 for
            training, 1,000 for validation, 1,000 for test.
        data_dir: a folder with the original files of MNIST; None: downloaded once.

    Raises:
        InputError: no scikit-learn, no files and no network.
    """
    match dataset:
        case "digits":
            return _digits()
        case "mnist_test":
            return _mnist_test(data_dir)
    return _mnist(data_dir)


@cache
def _digits() -> dict[str, Part]:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise InputError(
            "problem.dataset = 'digits': scikit-learn, which ships them, is not installed\n"
            'allowed: pip install "seqbench[images]", or dataset = "mnist"'
        ) from None
    pixels, classes = load_digits(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(classes))
    whole = _part(pixels[order] / 16, classes[order])
    training, validation = DIGITS[0], sum(DIGITS)
    return _split(whole, training, validation)


@cache
def _mnist(data_dir: str | None) -> dict[str, Part]:
    files = {name: mnist.load(name, data_dir) for name in mnist.FILES}
    images = files["train-images-idx3-ubyte"] / np.float32(255)
    both = _part(images, files["train-labels-idx1-ubyte"])
    test = files["t10k-images-idx3-ubyte"] / np.float32(255)
    return {
        "training": Part(*(x[:MNIST_TRAINING] for x in both)),
        "validation": Part(*(x[MNIST_TRAINING:] for x in both)),
        "test": _part(test, files["t10k-labels-idx1-ubyte"]),
    }


@cache
def _mnist_test(data_dir: str | None) -> dict[str, Part]:
    images = mnist.load("t10k-images-idx3-ubyte", data_dir) / np.float32(255)
    return _split(_part(images, mnist.load("t10k-labels-idx1-ubyte", data_dir)), 8000, 9000)


def _split(whole: Part, training: int, validation: int) -> dict[str, Part]:
    bounds = {
        "training": (0, training),
        "validation": (training, validation),
        "test": (validation, len(whole.classes)),
    }
    return {name: Part(*(x[low:high] for x in whole)) for name, (low, high) in bounds.items()}


def _part(images: np.ndarray, classes: np.ndarray) -> Part:
    pixels = torch.from_numpy(images.reshape(len(images), -1)).float()
    return Part(pixels, torch.from_numpy(classes.astype(np.int64)))
