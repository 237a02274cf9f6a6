"""What trial.json and the tables beside it may say; nothing else passes for a result."""

from __future__ import annotations

from typing import Annotated, Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

from seqbench.card.status import RECORDED, Status

SUMMARY_COLUMNS = ["status", "steps", "solved_at", "parameters", "seconds", "loss", "score"]
SUMMARY_COLUMNS += ["baseline", "baseline_score", "error"]
AXES = ["cell", "length", "seed"]
TRIAL_COLUMNS = ["task", *AXES, *SUMMARY_COLUMNS]

# Column -> what its values are: i whole numbers, 0 or more; f numbers; s text.
CURVES = {"step": "i", "loss": "f", "score": "f", "gradient_norm": "f"}
FLOW = {"step": "i", "source": "s", "anchor": "i", "layer": "i", "time": "i", "lag": "i"}
FLOW |= {"state": "s", "log10_norm": "f", "log10_p10": "f", "log10_p90": "f"}
FLOW |= {"n_zero": "i", "n_nonfinite": "i"}
DIAGNOSTICS = {"step": "i", "diagnostic": "s", "quantity": "s", "index": "i", "value": "f"}
LENGTHS = {"step": "i", "evaluated_length": "i", "data": "s", "loss": "f", "score": "f"}
LENGTHS |= {"baseline": "f", "baseline_score": "f"}
TABLES = {"curves": CURVES, "flow": FLOW, "diagnostics": DIAGNOSTICS, "lengths": LENGTHS}
NEEDED = ("curves", "flow")  # the others where the card asks for them
# What tells a table's rows apart.
KEYS = {
    "curves": ["step"],
    "flow": ["step", "source", "anchor", "layer", "lag", "state"],
    "diagnostics": ["step", "diagnostic", "quantity", "index"],
    "lengths": ["step", "evaluated_length", "data"],
}
CURVE_COLUMNS = [*AXES, *CURVES]
FLOW_COLUMNS = [*AXES, *FLOW]
DIAGNOSTIC_COLUMNS = [*AXES, *DIAGNOSTICS]
LENGTH_COLUMNS = [*AXES, *LENGTHS]

Count = Annotated[int, Field(ge=0, le=2**53)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class Needs(_Strict):
    """The lags that an anchor needs: smallest, median, largest over the probe, by need."""

    anchor: Count
    lags: list[Annotated[list[float], Field(min_length=3, max_length=3)]]


class Summary(_Strict):
    """How a trial ended; see `seqbench.training.outcome.Outcome`."""

    status: str
    steps: Count | None = None
    solved_at: Count | None = None
    parameters: Count | None = None
    seconds: Annotated[float, Field(ge=0)] | None = None
    loss: float | None = None
    score: float | None = None
    baseline: float | None = None
    baseline_score: float | None = None
    error: str | None = None
    baselines: dict[str, float | None] = {}
    needed_lags: list[Needs] = []
    probe_size: Count | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Summary:
        if self.status not in RECORDED:
            raise ValueError(f"status = {self.status!r}")
        if self.status == Status.ERROR:
            needed = ["error"]
        elif self.status == Status.SOLVED:
            needed = ["steps", "parameters", "solved_at", "baseline"]
        else:
            needed = ["steps", "parameters", "baseline"]
        missing = [name for name in needed if getattr(self, name) is None]
        if missing:
            raise ValueError(f"{self.status} without {missing[0]}")
        if self.status == Status.SOLVED and (self.solved_at or 0) > (self.steps or 0):
            raise ValueError("solved after its last step")
        return self


class Record(_Strict):
    """trial.json."""

    key: str
    configuration: dict[str, Any]
    summary: Summary
    cell: str | None = None
    origins: dict[str, dict[str, Any]] = {}
    versions: dict[str, str] = {}
    machine: dict[str, Any] = {}
    traceback: str | None = None


def fault_of_table(name: str, table: pd.DataFrame) -> str | None:
    """What is wrong with a trial's table, in words; None if nothing is."""
    wanted, found = TABLES[name], list(table.columns)
    if not len(table):
        return "no rows"
    for column, kind in wanted.items():
        if found.count(column) != 1:
            return f"{'no' if column not in found else 'two'} column {column}"
        if not _is(table[column], kind):
            return f"its column {column} has other values than {_WORDS[kind]}"
    for column in found:  # a problem's own numbers, and what not every trial has
        if found.count(column) > 1 or not (column in wanted or _is_plain(table[column])):
            return f"a column {column}, which does not belong there"
    if table.duplicated(KEYS[name]).any():
        return "a row is there twice"
    return None


_WORDS = {"i": "whole numbers, 0 or more", "f": "numbers", "s": "text"}


def _is_plain(values: pd.Series) -> bool:
    return _is(values, "f") or _is(values, "s") or pd.api.types.is_bool_dtype(values)


def _is(values: pd.Series, kind: str) -> bool:
    if kind == "s":
        return bool(values.map(type).eq(str).all())
    if kind == "i":
        return pd.api.types.is_integer_dtype(values) and not bool((values < 0).any())
    return pd.api.types.is_float_dtype(values) or pd.api.types.is_integer_dtype(values)
