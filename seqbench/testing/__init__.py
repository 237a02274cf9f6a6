"""A cell or a problem in, named checks with advice out: does it keep the contract?

from seqbench.testing import CellConformance, ProblemConformance
"""

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    if name not in ("CellConformance", "ProblemConformance"):
        raise AttributeError(f"module 'seqbench.testing' has no attribute {name!r}")
    return getattr(import_module("seqbench.testing.conformance"), name)  # needs pytest
