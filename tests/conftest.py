"""Tests run on one thread, so that the same seed gives the same numbers."""

from functools import partial

import pytest
import runs
import torch


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def make(tmp_path):
    """Writes a run made by hand: see `runs.write`."""
    return partial(runs.write, tmp_path)
