"""The figure of `seqbench flow`: untrained cells, S(k) against lag."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from seqbench.analysis import curve
from seqbench.reporting import style
from seqbench.reporting.terminal import EXAMPLES, FLOAT32_ZERO
from seqbench.reporting.words import many


def untrained_flow(table: pd.DataFrame) -> Figure:
    """One line a cell, the joint state of its top layer; the band is p10 to p90 over examples.
    Hollow: the mean of the rest where more than 5 % of the examples are exactly 0.

    Args:
        table: of `seqbench.measure.untrained.look`.
    """
    with style.drawing():
        figure = Figure(figsize=(7.2, 4.2), layout="constrained")
        ax = figure.subplots()
        looks = style.looks(table["cell"].unique())
        lowest, hollow = 0.0, False
        for cell, rows in table[table["state"] == "all"].groupby("cell", sort=False):
            rows = rows[rows["layer"] == rows["layer"].max()].sort_values("lag")
            s = rows[["log10_norm", "log10_p10", "log10_p90"]] - rows["log10_norm"].iloc[0]
            s = s.where(np.isfinite(s))  # an exact zero has no place on this axis
            lag, lowest = rows["lag"], min(lowest, s["log10_norm"].min())
            few = rows["n_zero"] > curve.MANY_ZEROS * EXAMPLES
            known = s.mask(few)
            colour = looks[cell]["color"]
            low, high = known["log10_p10"], known["log10_p90"]
            ax.fill_between(lag, low, high, color=colour, alpha=0.16, lw=0)
            ax.plot(lag, known["log10_norm"], label=style.plain(cell), **looks[cell])
            ax.plot(lag[few], s["log10_norm"][few], "o", ms=3, mfc="white", color=colour)
            hollow |= bool(few.any())
        if lowest < FLOAT32_ZERO:
            ax.axhline(FLOAT32_ZERO, color=style.GREY, lw=0.8, ls=":")
            ax.annotate(
                "below float32's range",
                (1, FLOAT32_ZERO),
                xytext=(-4, 3),
                ha="right",
                textcoords="offset points",
                xycoords=("axes fraction", "data"),
                color=style.GREY,
                fontsize=7.5,
            )
        length, seed, unit = table["length"].iloc[0], table["seed"].iloc[0], table.attrs.get("unit")
        deep = unit == "layer"
        counted = f"{length} layers" if deep else f"T = {length}"
        ax.set_title(f"Output flow, untrained, {counted}, seed {seed}")
        back = f"{many(unit or 'step')} back from the last output"
        ax.set_xlabel("lag k: layers below the output" if deep else f"lag k: {back}")
        ax.set_ylabel("S(k), decades")
        zeros = [style.mark("over 5 % exact zeros", "o", ms=3, mfc="white")] if hollow else []
        ax.legend(handles=[*ax.get_legend_handles_labels()[0], *zeros])
    return figure
