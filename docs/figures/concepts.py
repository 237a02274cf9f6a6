"""Draws the picture at the head of docs/concepts.md: `python docs/figures/concepts.py`.

A sequence of the adding problem, and how much of an untrained GRU's gradient arrives at each step.
"""

from __future__ import annotations

from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn

import seqbench
from seqbench.analysis.curve import Curve
from seqbench.problems.adding import Adding
from seqbench.reporting import style

HERE = Path(__file__).parent
LENGTH, THETA = 40, 1e-3


def measured() -> tuple[torch.Tensor, Curve]:
    """Values and marks of one sequence, [T, 2], and S(k) over 32 of them."""
    draws = torch.Generator().manual_seed(3)
    batch = Adding(LENGTH).sample(32, draws)
    torch.manual_seed(0)
    cell, u_H = nn.GRU(2, 64), torch.randn(64)
    flow = seqbench.gradient_flow(cell, batch.inputs, lambda out: out[-1] @ u_H)
    norms = flow[flow["state"] == "all"].set_index("lag")["log10_norm"].sort_index()
    return batch.inputs[:, 0], Curve(norms.index.to_numpy(float), (norms - norms[0]).to_numpy())


def main() -> None:
    """Draw it."""
    inputs_TI, curve = measured()
    with style.drawing():
        figure = Figure(figsize=(7.2, 3.9), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.6))
        show_sequence(above, inputs_TI)
        show_flow(below, curve)
        figure.savefig(HERE / "concepts.png", dpi=150)
    print(f"horizon({THETA:g}) = {curve.horizon(THETA):.1f}")


def show_sequence(ax: Axes, inputs_TI: torch.Tensor) -> None:
    """What is shown at each step; the two values to be added are filled."""
    steps = range(1, LENGTH + 1)
    colours = ["black" if marked else "white" for marked in inputs_TI[:, 1]]
    ax.bar(steps, inputs_TI[:, 0], color=colours, edgecolor="black", lw=0.6, width=0.7)
    ax.annotate("the anchor: the step\nwhose answer is asked", (LENGTH, 0.05), (LENGTH - 1, 1.25),
                ha="right", fontsize=8, arrowprops={"arrowstyle": "->"})  # fmt: skip
    ax.set_ylim(0, 1.9)
    ax.set_yticks([])
    ax.set_title("What is shown: a value a step; the two black ones are to be added", loc="left")


def show_flow(ax: Axes, curve: Curve) -> None:
    """S(k) at the step that lies k before the anchor."""
    ax.plot(LENGTH - curve.lags, curve.s, color=style.COLOURS[0])
    horizon = curve.horizon(THETA)
    assert horizon is not None
    ax.axhline(-3, color=style.GREY, lw=0.8, ls=":")
    ax.plot([LENGTH - horizon], [-3], "o", color="black", ms=4)
    ax.annotate("", (LENGTH - horizon, -5.2), (LENGTH, -5.2), arrowprops={"arrowstyle": "<->"})
    ax.text(LENGTH - horizon / 2, -5.6, f"lag k = {horizon:.0f}: steps back from the anchor",
            ha="center", va="top", fontsize=8)  # fmt: skip
    told = f"the horizon: beyond it less than\na thousandth arrives ({horizon:.0f} steps)"
    arrow = {"arrowstyle": "->"}
    ax.annotate(told, (LENGTH - horizon, -3), (1, -1.2), fontsize=8, arrowprops=arrow)
    ax.set_ylim(-8, 0.6)
    ax.set_xlabel("step of the sequence")
    ax.set_ylabel("log10 of the gradient\nthat arrives there")
    ax.set_title("Gradient flow of an untrained GRU, from the anchor back", loc="left")


if __name__ == "__main__":
    main()
