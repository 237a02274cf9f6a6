"""A cell or a problem in, named checks with advice out: does it keep the contract?

from seqbench.testing import CellConformance
"""

from importlib import import_module


def __getattr__(name: str) -> type:
    if name != "CellConformance":
        raise AttributeError(f"module 'seqbench.testing' has no attribute {name!r}")
    return import_module("seqbench.testing.conformance").CellConformance  # needs pytest
