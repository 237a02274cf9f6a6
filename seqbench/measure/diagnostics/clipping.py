"""How often the clip of the gradient acts."""

from __future__ import annotations

import torch
from torch import Tensor

from seqbench.card.task import Trial
from seqbench.measure.diagnostics.moment import Moment
from seqbench.measure.diagnostics.picture import Picture
from seqbench.measure.diagnostics.spectra import check_counts


class ClippedSteps:
    """The share of training steps whose gradient was clipped, over the last `window` steps.

    "by norm": of steps whose gradient's norm, all parameters together, exceeded clip_norm. "by
    value": of steps at which an entry exceeded clip_value; "entries": the share of entries that
    did. Only what the trial has: without a clip there is nothing. A share near 1 says that the
    clip, not the learning rate alone, sets the size of a step (at SGD; Adam divides it out again
    where the norm changes slowly).

    Args:
        window: training steps; a reading at the end of each.

    Source: norm clipping: Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063, section 3.2.
    """

    when = "step"

    def __init__(self, window: int = 100) -> None:
        check_counts("clipped_steps", window=window)
        self.window = window
        self.seen: list[dict[str, Tensor]] = []

    def pictures(self, trial: Trial) -> list[Picture]:
        """The shares against the training step."""
        caption = (
            f"The share of training steps, of the last {self.window}, whose gradient was clipped. "
            "Dotted: 0 and 1."
        )
        return [
            Picture(title="Clipped steps", caption=caption, lines=(0.0, 1.0), y="share of steps")
        ]

    def __call__(self, moment: Moment) -> dict[str, Tensor]:
        """At the end of a window its shares, at other steps nothing."""
        grads = [p.grad for p in moment.model.parameters() if p.grad is not None]
        now = {}
        if moment.clip_norm:
            now["by norm"] = torch.nn.utils.get_total_norm(grads) > moment.clip_norm
        if moment.clip_value:
            over = torch.cat([(grad.abs() > moment.clip_value).flatten() for grad in grads])
            now |= {"by value": over.any(), "entries": over.double().mean()}
        self.seen.append(now)
        if len(self.seen) < self.window:
            return {}
        seen, self.seen = self.seen, []
        return {name: torch.stack([one[name] for one in seen]).double().mean() for name in now}
