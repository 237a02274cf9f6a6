"""For the tests of somebody's cell: the checks of `seqbench check`, as a pytest class.

    class TestMyCell(CellConformance):
        cell = MyCell

Needs pytest, which seqbench itself does not install.
"""

from __future__ import annotations

import inspect
from typing import Any, ClassVar, Literal

import pytest

from seqbench.checks import CHECKS
from seqbench.conformance import Examination, examine


class CellConformance:
    """A test for each check: derive from it, under a name that pytest collects, and say which cell.

    Attributes:
        cell: a class, or a name, "module:Class" or "path/to/file.py:Class". All else is optional.
        kind: "layer" for a whole-sequence layer that is not an nn.RNNBase.
        input_size, hidden_size: what the cell is tried with.
        options: for its constructor.
    """

    cell: type | str
    kind: Literal["cell", "layer"] | None = None
    input_size: int = 3
    hidden_size: int = 8
    options: ClassVar[dict[str, Any]] = {}

    @pytest.fixture(scope="class")
    def examination(self, request: pytest.FixtureRequest) -> Examination:
        """The cell's checks; each is carried out once, whichever test asks first."""
        case = request.cls
        cell = inspect.getattr_static(case, "cell", None)  # a function would become a method
        if cell is None:
            pytest.fail(f"{case.__name__} names no cell; allowed: cell = MyCell", pytrace=False)
        return examine(
            cell,
            kind=case.kind,
            input_size=case.input_size,
            hidden_size=case.hidden_size,
            options=case.options,
        )

    @pytest.mark.parametrize("name", [check.name for check in CHECKS])
    def test_contract(self, name: str, examination: Examination) -> None:
        """One of the checks."""
        result = examination.result(name)
        if result.status == "failed":
            pytest.fail(str(result), pytrace=False)
        if result.status == "not applicable":
            pytest.skip(result.told)
