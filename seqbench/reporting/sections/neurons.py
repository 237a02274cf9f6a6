"""One neuron a layer: the gradient as a product, factor by factor; when it vanishes or explodes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np
import pandas as pd
from matplotlib import figure as mpl
from matplotlib.axes import Axes

from seqbench.analysis import neurons
from seqbench.analysis.depth import sigmoid_chains
from seqbench.analysis.study import Study
from seqbench.reporting import style
from seqbench.reporting.blocks import Block, Figure, Table, Text
from seqbench.reporting.style import GREY
from seqbench.reporting.words import percent

PRODUCT = (
    "Let every layer have one sigmoid neuron: z = w a + b, and it hands on a′ = σ(z). By the chain "
    "rule the gradient of the first bias is a product, ∂C/∂b₁ = σ′(z₁) · w₂ σ′(z₂) · w₃ σ′(z₃) · "
    "w₄ σ′(z₄) · ∂C/∂a₄. Two such chains, no part of the run: each factor by the formula, and "
    "measured, as the ratio of two derivatives that are taken through the whole rest of the chain."
)
CHAINS = {"w, b drawn from N(0, 1)": neurons.drawn, "w = 100, each z = 0": neurons.exploding}
CAPTION = (
    "Left: factors of chains whose w and b are drawn from N(0, 1); dotted: 1/4 and 1. Right: how "
    "wide the interval of activations a is within which one factor is 1 or more, 2/|w| · ln(|w| (1 "
    "+ √(1 − 4/|w|)) / 2 − 1), against |w|; b only moves it. Point: its largest, {width:.2f} at "
    "|w| = {weight:.1f}."
)


class Neurons:
    """Beside networks of sigmoid layers."""

    title = "One neuron a layer"

    def blocks(self, study: Study) -> Iterable[Block]:
        """A table, what follows from it, a figure."""
        if not sigmoid_chains(study.results):
            return
        chains = {name: make() for name, make in CHAINS.items()}
        table = pd.concat(
            [neurons.factors(*chain).assign(chain=name) for name, chain in chains.items()]
        )
        yield Text([PRODUCT])
        heads = ["chain", "neuron", "w", "b", "z", "factor: |w σ′(z)|", "measured"]
        align = "lrrrrrr"
        yield Table("neurons", table, heads, rows(table), align, stubs=2, title=self.title)
        yield Text([product(name, *chain) for name, chain in chains.items()], "bullets")
        logs, widths = neurons.logs(), neurons.interval_widths()
        yield Text([limits(logs, table[table["chain"] == list(CHAINS)[-1]]["factor"])])
        best = widths.loc[widths["width"].idxmax()]
        caption = CAPTION.format(weight=best["w"], width=best["width"])
        yield Figure("neurons", "How large a factor gets", caption, partial(draw, logs, widths))
        yield Table("open_interval", widths)


def rows(table: pd.DataFrame) -> list[list[str]]:
    """A row a neuron."""
    return [
        [
            row.chain,
            str(row.neuron),
            *(f"{value:.4g}".replace("-", "−") for value in (row.w, row.b, row.z)),
            f"{row.factor:.6f}",
            f"{row.measured:.6f}",
        ]
        for row in table.itertuples()
    ]


def product(name: str, weights: np.ndarray, biases: np.ndarray) -> str:
    """What the whole product is."""
    found = neurons.bias_gradient(weights, biases)
    return (
        f"{name}: |∂C/∂b₁| is {found.product:.4g} of |∂C/∂a₄| by the product, {found.measured:.4g} "
        "measured."
    )


def limits(logs: np.ndarray, large: pd.Series) -> str:
    """How large factors are.

    Args:
        logs: from `neurons.logs`.
        large: the factors of the chain with large weights.
    """
    quarter, one = (float((logs > np.log10(level)).mean()) for level in (0.25, 1.0))
    return (
        "σ′ is never more than 1/4, so wherever |w| < 1 a factor is less than 1/4, and the "
        f"gradient falls at least fourfold a layer. Of {len(logs):,} factors with w and b drawn "
        f"from N(0, 1) {percent(quarter)} % exceed 1/4 and {1e6 * one:.0f} in a million exceed 1; "
        f"half of them are below {10 ** np.median(logs):.2f}. Large weights can make it grow: the "
        f"second chain has factors of up to {large.max():.3g}. But a large w makes "
        "z large too, where σ′ is nearly 0; a factor of 1 or more needs |w| ≥ 4, and then an "
        "activation within a short interval."
    )


def draw(logs: np.ndarray, widths: pd.DataFrame, *, ax: Axes | None = None) -> mpl.Figure:
    """Factors as a histogram, and the interval's width against |w|.

    Args:
        logs: from `neurons.logs`.
        widths: from `neurons.interval_widths`.
        ax: in whose place to draw; None: a new figure.
    """
    figure, axes = style.panels(2, 1, height=2.2, ax=ax)
    left, right = axes[0]
    counts, edges = np.histogram(logs, bins=np.linspace(-4, 0.25, 86))
    left.stairs(counts / len(logs), 10.0**edges, fill=True, color=style.COLOURS[0], alpha=0.6)
    for level in (0.25, 1.0):
        left.axvline(level, color=GREY, lw=0.9, ls=(0, (1, 2)))
    left.set_xscale("log")
    left.set_xlabel("factor |w σ′(z)|")
    left.set_ylabel("share of factors")
    right.plot(widths["w"], widths["width"], color=style.COLOURS[0])
    best = widths.loc[widths["width"].idxmax()]
    right.plot(best["w"], best["width"], "o", ms=4.5, color=style.INK)
    right.set_xlabel("|w|")
    right.set_ylabel("width of the interval")
    right.set_ylim(0, None)
    return style.whole(figure)
