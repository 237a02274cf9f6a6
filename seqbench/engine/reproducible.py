"""The numbers of a computation depend on its inputs alone: threads, small numbers, random state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def flushes_denormal() -> bool:
    """Whether this thread takes subnormal numbers for 0."""
    return bool((torch.full((1,), 1e-300, dtype=torch.float64) * 1e-20 == 0).all())


@contextmanager
def reproducible(device: str) -> Iterator[None]:
    """One thread, subnormal numbers flushed to zero, the global random state put back after."""
    threads, flushing = torch.get_num_threads(), flushes_denormal()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    devices = [torch.cuda.current_device()] if device == "cuda" else []
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        torch.set_flush_denormal(flushing)
        torch.set_num_threads(threads)
