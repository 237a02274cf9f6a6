"""What a diagnostic is shown, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import pandas as pd
from torch import Tensor

from seqbench.card.task import Trial
from seqbench.measure.diagnostics.picture import Picture
from seqbench.models.recurrent import Model
from seqbench.problems.batch import Batch, Problem


@dataclass(frozen=True)
class Moment:
    """A model at one training step.

    Attributes:
        step: training steps taken so far.
        model: in training mode; to be left as it is found.
        problem: what it learns.
        batch: the probe batch, on the model's device; for a diagnostic of every step, the training
            batch, on the CPU.
        cotangents: [C, O], the directions u of the output flow.
        clip_norm, clip_value: the trial's; 0: none.
    """

    step: int
    model: Model
    problem: Problem
    batch: Batch
    cotangents: Tensor
    clip_norm: float = 0.0
    clip_value: float = 0.0


# A number, or a series of them: with an index of its own (lags), or counted from 0.
Value: TypeAlias = float | Tensor | pd.Series


class Diagnostic(Protocol):
    """A class with a docstring; nothing to inherit. The constructor takes the card's options.

    Attributes:
        over_time: True where it looks at steps of time: refused where all is shown at once.
        when: "record" (the default): called on the probe batch, where the flow is recorded too.
            "step": called at every training step after the backward pass, before any clipping,
            with the gradients in .grad; what it returns stays on the device until an evaluation.
    """

    def __call__(self, moment: Moment) -> Mapping[str, Value]:
        """Quantities by name."""

    def check(self, problem: Any) -> None:
        """Optional. Raises InputError where the diagnostic means nothing for this problem."""

    def pictures(self, trial: Trial) -> Sequence[Picture]:
        """Optional. How a report draws it; else from the form of its values alone."""
