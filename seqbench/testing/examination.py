"""Whether a cell keeps the contract: named checks, each with advice for the one that fails.

`seqbench check` prints them, `seqbench.testing.CellConformance` runs them as tests; what is checked
lies in `seqbench.testing.checks`, one function a check.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal

from seqbench import plugins
from seqbench.errors import InputError
from seqbench.models.kinds import is_chain
from seqbench.testing import problem_checks
from seqbench.testing.checks import CHECKS, depth
from seqbench.testing.checks.subject import Check, Fault, NotApplicable, S, Subject
from seqbench.testing.problem_subject import ProblemSubject

WIDTH, INDENT = 100, 16  # of what is printed


@dataclass(frozen=True)
class Result:
    """What came of a check.

    Attributes:
        name: the check's.
        status: "ok", "failed" or "not applicable".
        told: a remark, what is wrong, or why it is not applicable.
        advice: for a failure.
    """

    name: str
    status: Literal["ok", "failed", "not applicable"]
    told: str = ""
    advice: str = ""

    def __str__(self) -> str:
        """A line, and under a failure what was found and what to do."""
        line = f"{self.status:<{INDENT}}{self.name}"
        if self.status != "failed":
            return f"{line}{self.told and ': '}{self.told}"
        prose, newline, code = self.advice.partition("\n")
        advice = textwrap.wrap(prose, WIDTH - INDENT)
        under = [*self.told.splitlines(), *advice, *(code.splitlines() if newline else [])]
        return "\n".join([line, *(f"{'':{INDENT}}{one}".rstrip() for one in under)])


class Examination(Generic[S]):
    """The checks of one subject, each carried out once, those that it needs first.

    Args:
        subject: a cell or a problem.
        checks: which.
    """

    def __init__(self, subject: S, checks: Sequence[Check[S]]) -> None:
        self.subject = subject
        self.checks = {one.name: one for one in checks}
        self._results: dict[str, Result] = {}
        self._roots: dict[str, str] = {}  # of checks that mean nothing: the one that failed

    def __iter__(self) -> Iterator[Result]:
        return (self.result(name) for name in self.checks)

    def result(self, name: str) -> Result:
        """Carry out one check."""
        if name not in self._results:
            self._results[name] = self._carry_out(self.checks[name])
        return self._results[name]

    def _carry_out(self, check: Check[S]) -> Result:
        for needed in check.needs:
            if self.result(needed).status == "failed" or needed in self._roots:
                root = self._roots[check.name] = self._roots.get(needed, needed)
                return Result(check.name, "not applicable", f'until "{root}" is ok')
        try:
            return Result(check.name, "ok", check.run(self.subject) or "")
        except NotApplicable as why:
            return Result(check.name, "not applicable", str(why))
        except Fault as fault:
            return Result(check.name, "failed", str(fault), fault.advice or check.advice)
        except InputError as error:
            told, _, allowed = str(error).partition("\n")
            return Result(check.name, "failed", told, allowed or check.advice)
        except (Exception, SystemExit) as error:  # somebody's code
            return Result(check.name, "failed", plugins.own_words(error), check.advice)


def examine_problem(
    problem: type | str, *, length: int = 20, options: dict[str, Any] | None = None
) -> Examination[Any]:
    """The checks of a problem; iterate over them for the results.

    Args:
        problem: a class, or a name, "module:Class" or "path/to/file.py:Class".
        length: what it is tried with.
        options: for its constructor.

    Raises:
        InputError: no such problem, or an option that it does not have.
    """
    spec = plugins.resolve(problem, "problems") if isinstance(problem, str) else problem
    cls = plugins.load(spec)
    plugins.check_options(cls, options or {}, ("length",), f"problem {cls.__name__}")
    subject = ProblemSubject(cls, length, options or {})
    return Examination(subject, problem_checks.CHECKS)


def examine(
    cell: type | str,
    *,
    kind: str | None = None,
    input_size: int = 3,
    hidden_size: int = 8,
    options: dict[str, Any] | None = None,
) -> Examination[Any]:
    """The checks of a cell; iterate over them for the results.

    Args:
        cell: a class, or a name, "module:Class" or "path/to/file.py:Class".
        kind: "layer" for a whole-sequence layer that is not an nn.RNNBase.
        input_size, hidden_size: what the cell is tried with.
        options: for its constructor.

    Raises:
        InputError: no such cell, an option that it does not have, or another kind.
    """
    spec = plugins.resolve(cell, "cells") if isinstance(cell, str) else None
    cls = plugins.load(spec or cell)
    if is_chain(cls, kind):  # refuses another kind
        plugins.check_options(
            cls, options or {}, ("input_size", "hidden_size", "depth"), f"cell {cls.__name__}"
        )
        network = depth.DeepSubject(cls, input_size, hidden_size, options or {})
        return Examination(network, depth.CHECKS)
    if isinstance(cls, type):
        reserved = ("input_size", "hidden_size")
        plugins.check_options(cls, options or {}, reserved, f"cell {cls.__name__}")
    subject = Subject(cls, kind, spec, input_size, hidden_size, options or {})
    return Examination(subject, CHECKS)


def work(asked: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, bytes]]]:
    """Carry out checks in a process of its own (see `seqbench.sweep.apart`): what is being checked,
    then what came of it."""
    yield {"at": "importing it"}, {}
    function = examine_problem if asked.pop("function") == "examine_problem" else examine
    examination = function(asked.pop("subject"), **asked)
    for name in examination.checks:
        yield {"at": f'"{name}"'}, {}
        result = examination.result(name)
        yield {"status": result.status, "text": str(result)}, {}
