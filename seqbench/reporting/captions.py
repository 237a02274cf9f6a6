"""How to read the figures: a title and a caption for each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seqbench.analysis.study import Study
from seqbench.card.status import FINISHED
from seqbench.reporting import words
from seqbench.reporting.diagnosed import odd_values
from seqbench.reporting.heat import lengths_shown
from seqbench.reporting.views import STEP, View


def captions(tables: Study, views: Sequence[View] = ()) -> dict[str, tuple[str, str]]:
    """Figure -> title and how to read it."""
    return _of_the_flow(tables) | {view.name: (view.title, _of(view, tables)) for view in views}


def _of_the_flow(tables: Study) -> dict[str, tuple[str, str]]:
    lengths = words.join(f"T = {length}" for length in lengths_shown(tables))
    finished = tables.results.trials["status"].isin(FINISHED).any()
    mean = (
        "Thick: median over seeds; band: 10 to 90 % of the examples; thin, at the end: each seed."
    )
    return {
        "flow": (
            "Output flow against lag",
            "S(k): how many decades less of the gradient arrives k steps back than at the anchor. "
            f"{mean} Trials that were solved and trials whose budget ran out are drawn apart. "
            "Shaded: the lags that the problem needs, from the smallest to the largest over the "
            "probe; triangles: their medians. Dotted: a thousandth. Lines that leave a panel go on "
            "below; the tables have the numbers.",
        ),
        "reach": (
            "Half-life and horizon against length",
            "Dashed: before training; solid: at the end. Medians over seeds; pale dots: seeds. An "
            "arrow: not reached within the largest lag K, so at least K. Dotted: the median of the "
            "longest needed lag.",
        ),
        "training": (
            "Output flow over training",
            f"S(k) by colour at {lengths}, one trial a panel; a column is a recorded step, so the "
            "step axis is not to scale. Dashed line: the median of the longest needed lag. Upright "
            "line: by the record to its right, the loss had fallen.",
        ),
        "loss": (
            "Learning curves",
            "Loss on fresh evaluation sequences, a line a trial. Grey lines: what partial "
            "knowledge earns." + (" Dots: solved from here on." if finished else ""),
        ),
        "fall": (
            "Flow before training, and when the loss fell",
            "A mark a trial: S at the median longest needed lag before any training, and the first "
            "evaluation whose loss had fallen, by the rule above; on the topmost line: it did not "
            f"fall within {tables.results.task.training.steps:,} steps. Colour: the cell; shape: "
            f"what became of the trial. Dotted: a thousandth.{_left_out(tables)}",
        ),
    }


def _left_out(tables: Study) -> str:
    gone = int((~np.isfinite(tables.marks["s_start"].astype(float))).sum())
    return f" Left out: {words.count(gone, 'trial')} with no finite S there." if gone else ""


def _of(view: View, tables: Study) -> str:
    """What a view says of itself, and how every one is drawn."""
    lengths = view.lengths
    told = [view.caption] if view.caption else []
    if view.over == STEP:
        told.append("Thick: median over seeds, as far as all of them trained; thin: each seed, "
                    "with a mark where it ended.")  # fmt: skip
    else:
        told.append("Above: the first reading, before training; below: the last. Line: median over "
                    "seeds; band: from the lowest to the highest.")  # fmt: skip
    if view.bin:
        told.append(f"A point is the median over the readings of {view.bin:,} steps.")
    if view.floor is not None:
        told.append("Lines that leave a panel go on below.")
    if odd_values(view):
        told.append("Triangles at an edge: infinite" + (", or exactly 0." if view.log else "."))
    every = view.rows["length"].nunique()
    if every > len(lengths):
        told.append(f"Shown: the longest {len(lengths)} of {every} lengths.")
    return " ".join(told)
