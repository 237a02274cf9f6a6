"""Draws the figures of docs/depth.md.

seqbench run depth-mnist --seeds 1
python docs/figures/depth.py --runs runs    # with runs/depth-mnist in it
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import seqbench
from seqbench.analysis import depth
from seqbench.analysis.mean_field import open_interval
from seqbench.measure.untrained import look
from seqbench.reporting import style
from seqbench.reporting.sections.depth import draw as draw_speeds

HERE = Path(__file__).parent
LAYERS = 50
NETWORKS = {
    "sigmoid": '{use="dense", label="sigmoid"}',
    "sigmoid, tied": '{use="dense", label="sigmoid, tied", tied=true}',
    "relu, 1/n": '{use="dense", label="relu, 1/n", activation="relu", bias_scale=0.0}',
    "relu, 2/n": '{use="dense", label="relu, 2/n", activation="relu", init="he"}',
    "tanh, 1/n": '{use="dense", label="tanh, 1/n", activation="tanh", bias_scale=0.0}',
}


def main() -> None:
    """Draw them all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", default="runs", type=Path, help="where the runs lie")
    mnist = seqbench.load(parser.parse_args().runs / "depth-mnist")
    with style.drawing():
        figures = {
            "depth_layers": layers(),
            "depth_interval": interval(),
            "depth_speed": draw_speeds(depth.speeds(mnist)),
        }
        for name, figure in figures.items():
            figure.savefig(HERE / f"{name}.png", dpi=150)


def layers() -> Figure:
    """The flow through fifty layers, untrained."""
    table = look(list(NETWORKS.values()), length=LAYERS).table
    table = table[table["state"] == "h"]
    figure = Figure(figsize=(5.6, 3.2), layout="constrained")
    ax = figure.subplots()
    for name in NETWORKS:
        rows = table[table["cell"] == name].sort_values("lag")
        ax.plot(rows["lag"], rows["log10_norm"], label=name, ls="--" if "tied" in name else "-")
    ax.set_xlabel("lag k: layers below the output")
    ax.set_ylabel("log10 of the gradient")
    ax.legend()
    return figure


def interval() -> Figure:
    """How wide the interval of activations is in which one neuron passes a gradient on whole."""
    weights = np.linspace(4, 40, 721)
    widths = [open_interval(weight) for weight in weights]
    figure = Figure(figsize=(5.6, 2.6), layout="constrained")
    ax = figure.subplots()
    ax.plot(weights, widths)
    best = int(np.argmax(widths))
    ax.plot(weights[best], widths[best], "o")
    ax.annotate(f"|w| = {weights[best]:.2f}: {widths[best]:.3f}", (weights[best], widths[best]),
                (12, -4), textcoords="offset points")  # fmt: skip
    ax.set_xlim(0, 40)
    ax.set_ylim(0, 0.5)
    ax.set_xlabel("|w|")
    ax.set_ylabel("width of the interval of a")
    return figure


if __name__ == "__main__":
    main()
