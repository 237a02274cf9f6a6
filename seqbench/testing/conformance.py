"""For the tests of somebody's cell or problem: the checks of `seqbench check` and `seqbench
check-problem` as pytest classes.

    class TestMyCell(CellConformance):
        cell = MyCell

    class TestMyProblem(ProblemConformance):
        problem = MyProblem

Needs pytest, which seqbench itself does not install.
"""

from __future__ import annotations

import inspect
from typing import Any, ClassVar, Literal

import pytest

from seqbench.testing import problem_checks
from seqbench.testing.checks import CHECKS
from seqbench.testing.examination import Examination, Result, examine, examine_problem


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
    _examination: ClassVar[Examination]

    @classmethod
    def examination(cls) -> Examination:
        """The cell's checks; each is carried out once, whichever test asks first."""
        if "_examination" not in vars(cls):
            cell = inspect.getattr_static(cls, "cell", None)  # a function would become a method
            if cell is None:
                pytest.fail(f"{cls.__name__} names no cell; allowed: cell = MyCell", pytrace=False)
            cls._examination = examine(
                cell,
                kind=cls.kind,
                input_size=cls.input_size,
                hidden_size=cls.hidden_size,
                options=cls.options,
            )
        return cls._examination

    @pytest.mark.parametrize("name", [check.name for check in CHECKS])
    def test_contract(self, name: str) -> None:
        """One of the checks."""
        _tell(self.examination().result(name))


class ProblemConformance:
    """A test for each check of a problem, in the same way.

    Attributes:
        problem: a class, or a name, "module:Class" or "path/to/file.py:Class". All else is
            optional.
        length: what it is tried with.
        options: for its constructor.
    """

    problem: type | str
    length: int = 20
    options: ClassVar[dict[str, Any]] = {}
    _examination: ClassVar[Examination]

    @classmethod
    def examination(cls) -> Examination:
        """The problem's checks; each is carried out once, whichever test asks first."""
        if "_examination" not in vars(cls):
            problem = inspect.getattr_static(cls, "problem", None)
            if problem is None:
                told = f"{cls.__name__} names no problem; allowed: problem = MyProblem"
                pytest.fail(told, pytrace=False)
            cls._examination = examine_problem(problem, length=cls.length, options=cls.options)
        return cls._examination

    @pytest.mark.parametrize("name", [check.name for check in problem_checks.CHECKS])
    def test_contract(self, name: str) -> None:
        """One of the checks."""
        _tell(self.examination().result(name))


def _tell(result: Result) -> None:
    if result.status == "failed":
        pytest.fail(str(result), pytrace=False)
    if result.status == "not applicable":
        pytest.skip(result.told)
