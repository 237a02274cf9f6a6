"""The tables of a card: what may stand in each, and what holds where nothing is said."""

from __future__ import annotations

import json
from collections import Counter
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PrivateAttr,
    field_validator,
    model_validator,
)

# Whether a class takes a step at a time or a whole sequence, where it doesn't say so itself.
Kind = Literal["cell", "layer", "chain"]

MOST = 10**9  # of anything that is counted

PositiveInt = Annotated[int, Field(gt=0, le=MOST)]
NotNegative = Field(default=0.0, ge=0.0)

STRICT = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


class Table(BaseModel):
    """Keys are fields, values of their own type; what is checked stays as it is."""

    model_config = ConfigDict(extra="forbid", **STRICT)


class _OpenTable(Table):
    """Keys that are no fields are somebody's options: plain TOML values, but for dates."""

    model_config = ConfigDict(extra="allow", **STRICT)

    @model_validator(mode="after")
    def _plain_options(self) -> _OpenTable:
        for key, value in (self.model_extra or {}).items():
            try:
                json.dumps(value, allow_nan=False)
            except (TypeError, ValueError, RecursionError):
                raise ValueError(
                    f"{key} = {value!r} is no text, finite number, true or false, list or table"
                ) from None
        return self


class Named(_OpenTable):
    """A table that names a class, a problem, a cell or a diagnostic, with its options.

    What the name stands for is looked up once, by `seqbench.sweep.check`, and carried from then on.
    It is no part of the card: neither written, nor compared, nor hashed.
    """

    registry: ClassVar[Literal["cells", "problems", "diagnostics"]]  # where a short name is listed
    _source: str | type | None = PrivateAttr(default=None)
    _origin: dict[str, Any] = PrivateAttr(default_factory=dict)

    @property
    def spec(self) -> str:
        """The name as the card has it."""
        raise NotImplementedError

    @property
    def options(self) -> dict[str, Any]:
        """What the constructor takes besides what the suite fills in."""
        return self.model_extra or {}

    @property
    def where(self) -> str:
        """What messages call the table."""
        raise NotImplementedError

    @property
    def source(self) -> str | type:
        """What the name stands for: "module:Class", "/absolute/file.py:Class", or a class that was
        given as one."""
        if self._source is None:
            raise LookupError(f"{self.spec!r} has not been looked up: seqbench.sweep.check.resolve")
        return self._source

    @property
    def is_resolved(self) -> bool:
        """Whether the name has been looked up."""
        return self._source is not None

    @property
    def origin(self) -> dict[str, Any]:
        """Where the class comes from, as `seqbench.sweep.provenance.origin` says it."""
        return self._origin

    def standing_for(self, source: str | type, origin: dict[str, Any] | None = None) -> Self:
        """The same table, its name looked up."""
        resolved = self.model_copy()
        resolved._source, resolved._origin = source, origin or {}
        return resolved

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.model_dump() == other.model_dump()


class ProblemTable(Named):
    """[problem]: which one, and its options."""

    registry = "problems"
    name: str
    protocol: str | None = None

    @property
    def spec(self) -> str:
        return self.name

    @property
    def where(self) -> str:
        return f"problem ({self.name})"

    @property
    def options(self) -> dict[str, Any]:
        """What the problem's constructor takes besides the length."""
        given = {} if self.protocol is None else {"protocol": self.protocol}
        return given | (self.model_extra or {})


class _Brought(Named):
    """A class by its spec, or a table; keys that are not fields go to its constructor."""

    use: str
    label: str = Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")

    @property
    def spec(self) -> str:
        return self.use

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, given: Any) -> Any:
        if isinstance(given, str):
            given = {"use": given}
        if isinstance(given, dict) and isinstance(given.get("use"), str):
            return {"label": given["use"].rpartition(":")[2]} | given
        return given


class Cell(_Brought):
    """One entry of `cells`; match = "parameters": the width at which the model has about as many as
    the first cell's, instead of the same width. group: under which heading a report shows it.
    learned_start: the initial state is learned, instead of zeros. leave_out: parts of its state, as
    "s2", that do not count in "all"."""

    registry = "cells"
    group: str | None = Field(default=None, max_length=100, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")
    hidden_size: PositiveInt | None = None
    match: Literal["width", "parameters"] | None = None
    learning_rate: PositiveFloat | None = None
    clip_norm: float | None = Field(default=None, ge=0.0)
    layers: PositiveInt = 1
    learned_start: bool = False
    kind: Kind | None = None
    leave_out: list[str] | None = None

    @property
    def where(self) -> str:
        return f"cells ({self.label})"

    @model_validator(mode="after")
    def _one_width(self) -> Cell:
        if self.match and self.hidden_size:
            raise ValueError("match and hidden_size can't both be set")
        return self


class Diagnostic(_Brought):
    """One entry of `recording.diagnostics`; every: its own schedule, None: where the flow is
    recorded too (or at every training step, for those that look at steps)."""

    registry = "diagnostics"
    every: PositiveInt | None = None

    @property
    def where(self) -> str:
        return f"recording.diagnostics ({self.label})"


# Key of [training] -> the optimisers that have it.
OPTIMIZER_OPTIONS = {
    "momentum": ("rmsprop", "sgd"),
    "decay": ("adam", "rmsprop"),
    "eps": ("adam", "rmsprop"),
    "accumulator_start": ("rmsprop",),
}


class Training(Table):
    """[training]: the budget and the optimiser, the same for every cell that does not override."""

    steps: PositiveInt = 5000
    batch_size: PositiveInt = 64
    hidden_size: PositiveInt = 128
    match: Literal["width", "parameters"] = "width"
    optimizer: Literal["adam", "rmsprop", "sgd"] = "adam"
    learning_rate: PositiveFloat = 1e-3
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    momentum: float = Field(default=0.0, ge=0.0, lt=1.0)
    decay: Annotated[float, Field(ge=0.0, lt=1.0)] | Literal["auto"] = "auto"
    eps: PositiveFloat | Literal["auto"] = "auto"
    accumulator_start: float = NotNegative
    weight_decay: float = NotNegative
    clip_norm: float = NotNegative
    clip_value: float = NotNegative
    eval_every: PositiveInt = 100
    eval_size: PositiveInt = 1000
    stop_when_solved: bool = True
    checkpoint_every: float = Field(default=300.0, ge=0.0)  # seconds; changes no number
    right_in_a_row: int = Field(default=0, ge=0)
    readout: Literal["default", "glorot"] = "default"
    segment: PositiveInt | Literal["auto"] = "auto"
    recompute: bool | Literal["auto"] = "auto"
    truncate: int = Field(default=0, ge=0)
    compile: bool = False

    @model_validator(mode="after")
    def _one_clip(self) -> Training:
        if self.clip_norm and self.clip_value:
            raise ValueError("clip_norm and clip_value can't both be set")
        return self

    @model_validator(mode="after")
    def _options_of_the_optimizer(self) -> Training:
        for key, optimizers in OPTIMIZER_OPTIONS.items():
            given = getattr(self, key) != type(self).model_fields[key].default
            if given and self.optimizer not in optimizers:
                raise ValueError(
                    f"{key} is no option of {self.optimizer!r}, only of {' and '.join(optimizers)}"
                )
        return self


def each_once(values: list) -> list:
    """Values in order, none of them twice."""
    if len(set(values)) < len(values):
        raise ValueError("a value is given twice")
    return sorted(values)


class Tuning(Table):
    """[tuning]: the learning rates that each cell is tried with before the task proper, where, and
    on which seeds; those are not reported. widen: how many rates may be added to a cell's grid
    while its best one lies at the edge."""

    learning_rates: list[PositiveFloat] = Field(min_length=1)
    lengths: list[PositiveInt] = Field(min_length=1)
    seeds: PositiveInt = 3
    widen: int = Field(default=4, ge=0)
    first_seed: PositiveInt = 1000

    _each_once = field_validator("learning_rates", "lengths")(each_once)


class Published(Table):
    """One number of the paper, beside which a report shows ours: of the final loss or score, at the
    trained length or an evaluated one, of the steps or training sequences until solved, or of the
    share of trials that solved it."""

    cell: str
    length: PositiveInt
    evaluated_length: PositiveInt | None = None
    quantity: Literal["loss", "score", "steps", "sequences", "solved"]
    value: float | None = None
    words: str = ""
    where: str = ""

    @model_validator(mode="after")
    def _known_elsewhere(self) -> Self:
        if self.evaluated_length and self.quantity not in ("loss", "score"):
            raise ValueError(
                f"published: {self.quantity} at an evaluated_length; allowed there: loss, score"
            )
        return self


class Recording(Table):
    """[recording]: when the gradient flow is measured, at how many boundaries, and what else."""

    every: PositiveInt = 500
    boundaries: PositiveInt | Literal["all"] = 64
    diagnostics: list[Diagnostic] = []

    @field_validator("diagnostics")
    @classmethod
    def _distinct_labels(cls, diagnostics: list[Diagnostic]) -> list[Diagnostic]:
        return labels_differ(diagnostics, "diagnostics")

    def steps(self, budget: int) -> set[int]:
        """0, 10, 30, 100, 300, ... and every `every`, up to the last step."""
        thin = {scale * 10**power for power in range(1, len(str(budget)) + 1) for scale in (1, 3)}
        return {
            step for step in {0, budget, *thin, *range(0, budget, self.every)} if step <= budget
        }


def labels_differ(entries: list, what: str) -> list:
    """The entries, whose labels must be different ones."""
    counts = Counter(entry.label for entry in entries)
    for label, count in counts.items():
        if count > 1:
            raise ValueError(f"two {what} have the label {label!r}; give one a label of its own")
    return entries
