"""Sequential images: parts that never mix, pixels in their order; the loader of MNIST."""

import gzip
import hashlib
import math

import numpy as np
import pytest
import torch
from problems.drawn import draw

from seqbench import InputError
from seqbench.problems import images, mnist
from seqbench.problems.images import Images


def fixed(part, size, seed=0):
    return Images(64).held_out(part, size, torch.Generator().manual_seed(seed))


def rows(batch):
    return {tuple(x) for x in batch.inputs[:, :, 0].T.tolist()}


def test_training_validation_and_test_images_are_never_mixed():
    datasets = pytest.importorskip("sklearn.datasets")
    parts = Images(64).parts
    found = [{tuple(x) for x in part.pixels.tolist()} for part in parts.values()]
    assert [len(part.classes) for part in parts.values()] == [1197, 300, 300]
    assert not found[0] & (found[1] | found[2])
    assert not found[1] & found[2]
    whole = {tuple(x) for x in (datasets.load_digits().data / 16).tolist()}
    assert found[0] | found[1] | found[2] == whole
    assert rows(draw(Images(64), 5000)) <= found[0]
    assert rows(fixed("validation", 10**6)) == found[1]
    assert rows(fixed("test", 10**6)) == found[2]
    assert fixed("test", 50).inputs.shape == (64, 50, 1)


def test_pixels_come_line_by_line_a_few_at_a_time():
    wide = draw(Images(8), 20)
    narrow = draw(Images(64), 20)
    assert wide.inputs.shape == (8, 20, 8)
    assert torch.equal(wide.inputs.movedim(1, 0).reshape(20, 64), narrow.inputs[:, :, 0].T)
    assert torch.equal(wide.targets[-1], narrow.targets[-1])


def test_the_permutation_is_exprnns():
    plain, permuted = draw(Images(64), 9), draw(Images(64, protocol="permuted"), 9)
    order = np.random.RandomState(92916).permutation(64)
    assert torch.equal(permuted.inputs, plain.inputs[order])


def test_the_baseline_is_the_entropy_of_the_training_classes():
    told = Images(64).baselines["not looking"]
    assert told.loss == pytest.approx(math.log(10), abs=0.01)
    counts = Images(64).parts["training"].classes.bincount()
    assert told.score == counts.max().item() / 1197


def test_a_length_that_does_not_divide_is_refused_with_those_that_do():
    with pytest.raises(InputError, match=r"64 pixels\nallowed: 2, 4, 8, 16, 32, 64"):
        Images(10)


# --- the loader --------------------------------------------------------------------------------


def idx(array):
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return head + array.tobytes()


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Four small files of the same form, on a server that is a folder."""
    draws = np.random.RandomState(0)
    arrays = {
        name: draws.randint(0, 10, (70, 28, 28) if "images" in name else 70).astype(np.uint8)
        for name in mnist.FILES
    }
    hashes = {name: hashlib.sha256(idx(array)).hexdigest() for name, array in arrays.items()}
    server = tmp_path / "server"
    server.mkdir()
    for name, array in arrays.items():
        (server / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
    monkeypatch.setattr(mnist, "FILES", hashes)
    monkeypatch.setattr(mnist, "URL", server.as_uri() + "/")
    monkeypatch.setattr(images, "MNIST_TRAINING", 60)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    images._mnist.cache_clear()
    yield arrays, server
    images._mnist.cache_clear()


def test_mnist_is_downloaded_once_and_checked(small):
    arrays, server = small
    problem = Images(28, dataset="mnist")
    kept = sorted(file.name for file in mnist.cache().iterdir())
    assert kept == sorted(f"{name}.gz" for name in mnist.FILES)
    for file in server.iterdir():
        file.unlink()
    images._mnist.cache_clear()
    again = Images(784, dataset="mnist")
    expected = arrays["t10k-images-idx3-ubyte"].reshape(70, 784) / np.float32(255)
    np.testing.assert_array_equal(again.parts["test"].pixels.numpy(), expected)
    assert [len(part.classes) for part in problem.parts.values()] == [60, 10, 70]


def test_mnist_from_a_folder_packed_or_not(small, tmp_path):
    arrays, server = small
    for name, array in arrays.items():
        (tmp_path / name).write_bytes(idx(array))
    for folder in (server, tmp_path):
        found = mnist.load("train-labels-idx1-ubyte", str(folder))
        np.testing.assert_array_equal(found, arrays["train-labels-idx1-ubyte"])
    assert not mnist.cache().exists()


def test_a_damaged_file_of_mnist_is_named(small):
    _, server = small
    file = server / "t10k-labels-idx1-ubyte.gz"
    file.write_bytes(gzip.compress(b"\0\0\x08\1\0\0\0\1\3"))
    with pytest.raises(InputError, match=r"SHA-256 is another\nallowed: t10k-labels"):
        mnist.load("t10k-labels-idx1-ubyte", str(server))
    file.write_bytes(b"no gzip")
    with pytest.raises(InputError, match="can't be read"):
        mnist.load("t10k-labels-idx1-ubyte", str(server))


def test_without_network_it_is_said_what_to_put_where(small):
    _, server = small
    for file in server.iterdir():
        file.unlink()
    with pytest.raises(InputError, match=r"can't be downloaded.*\nallowed: the files train-images"):
        Images(28, dataset="mnist")
    with pytest.raises(InputError, match=r"there is no train-images-idx3-ubyte\.gz\nallowed: a"):
        Images(28, dataset="mnist", data_dir=str(server))
    assert list(mnist.cache().iterdir()) == []
