"""The figure of `seqbench flow`: untrained cells, S(k) against lag."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from seqbench.reporting import style
from seqbench.reporting.terminal import FLOAT32_ZERO


def untrained_flow(table: pd.DataFrame) -> Figure:
    """One line a cell, the joint state of its top layer; the band is p10 to p90 over examples.

    Args:
        table: what `seqbench.measure.untrained.compare` returns.
    """
    with style.drawing():
        figure = Figure(figsize=(7.2, 4.2), layout="constrained")
        ax = figure.subplots()
        looks = style.looks(table["cell"].unique())
        lowest = 0.0
        for cell, rows in table[table["state"] == "all"].groupby("cell", sort=False):
            rows = rows[rows["layer"] == rows["layer"].max()].sort_values("lag")
            s = rows[["log10_norm", "log10_p10", "log10_p90"]] - rows["log10_norm"].iloc[0]
            s = s.where(np.isfinite(s))  # an exact zero has no place on this axis
            lag, lowest = rows["lag"], min(lowest, s["log10_norm"].min())
            ax.fill_between(
                lag, s["log10_p10"], s["log10_p90"], color=looks[cell]["color"], alpha=0.16, lw=0
            )
            ax.plot(lag, s["log10_norm"], label=cell, **looks[cell])
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
        steps, seed = table["length"].iloc[0], table["seed"].iloc[0]
        ax.set_title(f"Output flow of untrained cells, T = {steps}, seed {seed}")
        ax.set_xlabel("lag k: steps back from the last output")
        ax.set_ylabel("S(k), decades")
        ax.legend()
    return figure
