"""The figure of `seqbench flow`: untrained cells, S(k) against lag."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from seqbench.reporting import style

FLOAT32 = -45.15  # log10 of its smallest subnormal number


def untrained_flow(table: pd.DataFrame) -> Figure:
    """One line a cell, the joint state of its first layer; the band is p10 to p90 over examples.

    Args:
        table: what `seqbench.untrained.compare` returns.
    """
    with style.drawing():
        figure = Figure(figsize=(7.2, 4.2), layout="constrained")
        ax = figure.subplots()
        looks = style.looks(table["cell"].unique())
        for cell, rows in table[(table["state"] == "all") & (table["layer"] == 0)].groupby(
            "cell", sort=False
        ):
            rows = rows.sort_values("lag")
            start = rows["log10_norm"].iloc[0]
            ax.fill_between(
                rows["lag"], rows["log10_p10"] - start, rows["log10_p90"] - start,
                color=looks[cell]["color"], alpha=0.16, lw=0,
            )  # fmt: skip
            ax.plot(rows["lag"], rows["log10_norm"] - start, label=cell, **looks[cell])
        lowest = (table["log10_norm"] - table["log10_norm"].iloc[0]).min()
        if lowest < FLOAT32:
            ax.axhline(FLOAT32, color=style.GREY, lw=0.8, ls=":")
            ax.annotate("below: 0 in float32", (1, FLOAT32), xytext=(-4, 3), ha="right",
                        textcoords="offset points", xycoords=("axes fraction", "data"),
                        color=style.GREY, fontsize=7.5)  # fmt: skip
        steps, seed = table["length"].iloc[0], table["seed"].iloc[0]
        ax.set_title(f"Output flow of untrained cells, T = {steps}, seed {seed}")
        ax.set_xlabel("lag k: steps back from the last output")
        ax.set_ylabel("S(k), decades")
        ax.legend()
    return figure
