"""seqbench: a benchmark suite for the memory of recurrent networks.

    results = seqbench.run("adding", cells=["lstm"], seeds=2)
    results.trials, results.curves, results.flow      # DataFrames
    seqbench.report(results, "reports/adding")
    seqbench.gradient_flow(nn.LSTM(2, 64), inputs, lambda out: out[-1].sum(-1))

The public names load when they are first used: importing seqbench imports neither torch nor pandas.
"""

from importlib import import_module
from typing import Any

from seqbench.errors import InputError

__all__ = ["InputError", "Results", "choices", "gradient_flow", "load", "report", "run"]

_HOME = {
    "Results": "seqbench.results",
    "choices": "seqbench.analysis.choice",
    "gradient_flow": "seqbench.measure.flow",
    "load": "seqbench.results",
    "report": "seqbench.reporting.report",
    "run": "seqbench.sweep.run",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name not in _HOME:
        raise AttributeError(f"module 'seqbench' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # slow to import

    try:
        return version("seqbench")
    except PackageNotFoundError:  # a source tree on the path, not installed
        return "0+unknown"


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME, "__version__"])
