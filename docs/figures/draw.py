"""Draws the figures of docs/measures.md from runs that the commands at its end make.

python docs/figures/draw.py    # a minute, with adding, copy and diagnostics in runs/
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn

import seqbench
from seqbench.analysis.curve import HALF, Curve
from seqbench.analysis.study import Study
from seqbench.reporting import diagnosed, figures, style
from seqbench.reporting.diagnosed import View
from seqbench.reporting.sections import diagnostics
from seqbench.results import Results

HERE = Path(__file__).parent
LENGTH = 100  # of adding
THETAS = ("1e-1", "1e-3", "1e-6")
# Of the report's pictures, those that the page shows, and of one with many panels these alone.
PICTURES: dict[str, tuple[str, ...]] = {
    "credit": (),
    "lyapunov": (),
    "singular_values": (),
    "spectral_radius": ("layers.0.weight_hh_l0", "layers.0.weight_hh_l0 f"),
    "saturation": ("forget gate > 0.9", "output beyond ±0.9"),
    "signal_to_noise": (),
    "gradient_norm": (),
}


def main() -> None:
    """Draw them all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", default="runs", type=Path, help="where the runs lie")
    runs = parser.parse_args().runs
    adding = Study(seqbench.load(runs / "adding"))
    with style.drawing():
        drawn = {
            "output_flow": output_flow(adding),
            "read_off": read_off(adding),
            "loss_flow": loss_flow(Study(seqbench.load(runs / "copy"))),
            "retain_grad": retain_grad(),
            "parts": parts(adding.results),
            **diagnosis(Study(seqbench.load(runs / "diagnostics"))),
        }
        for name, figure in drawn.items():
            figure.savefig(HERE / f"{name}.png", dpi=110, metadata={"Software": None})
            print(HERE / f"{name}.png")


def panels(count: int, width: float = 3.3) -> tuple[Figure, list]:
    """A row of panels."""
    figure = Figure(figsize=(width * count, 2.7), layout="constrained")
    return figure, list(figure.subplots(1, count, squeeze=False)[0])


def output_flow(adding: Study) -> Figure:
    """S(k) before and after training."""
    shape = adding.shape[adding.shape["length"] == LENGTH]
    return figures.flow_before_and_after(shape, adding.comparison, adding.needs)


def read_off(adding: Study, cell: str = "lstm") -> Figure:
    """What is read off one curve."""
    rows = adding.shape.query(f"cell == '{cell}' and length == {LENGTH} and seed == 0")
    rows = rows[rows["main_anchor"] & (rows["at"] == "start")].sort_values("lag")
    one = Curve(rows["lag"], rows["s"])
    figure, (ax,) = panels(1, 5.5)
    ax.plot(one.lags, one.s, color=style.COLOURS[0])
    levels = {"half-life": HALF} | {f"horizon({t})": np.log10(float(t)) for t in THETAS}
    arrow = {"arrowstyle": "-", "color": style.GREY, "lw": 0.6}
    for i, (name, level) in enumerate(levels.items()):
        lag = one.crossing(level)
        ax.plot(lag, level, "o", color=style.INK, ms=4)
        where = 30 + 8 * i, -2.2 * i
        told = f"{name} = {lag:.1f}"
        ax.annotate(told, (lag, level), where, va="center", fontsize=8, arrowprops=arrow)
    K, red = one.largest_lag, style.COLOURS[1]
    rates = [("early", 1, 10, one.early_rate(), -6.5), ("late", K / 2, K, one.late_rate(), -18)]
    for name, a, b, rate, below in rates:
        ax.plot([a, b], [one.at(a), one.at(b)], color=red, lw=2.4, alpha=0.7)
        ax.annotate(f"{name} rate {rate:.3f}", (a, below), color=red, fontsize=8)
    ax.set_title(f"Adding, T = {LENGTH}, an untrained {cell}, seed 0")
    ax.set_xlabel("lag k, steps")
    ax.set_ylabel("S(k), decades")
    return figure


def loss_flow(copy: Study, trial: str = "cell == 'lstm' and length == 20 and seed == 0") -> Figure:
    """The same trial, as output flow, and as loss flow normalised at lag 1 (which is wrong)."""
    output = copy.shape.query(trial).query("main_anchor").rename(columns={"s": "shown"})
    loss = copy.results.flow.query(trial).query("source == 'loss' and state == 'all' and lag > 0")
    loss = loss[loss["layer"] == 0]
    first = loss[loss["lag"] == 1].set_index("step")["log10_norm"]
    loss = loss.assign(shown=loss["log10_norm"] - loss["step"].map(first))
    steps = [step for step in (0, 100, 1000) if step in set(loss["step"])] + [loss["step"].max()]
    looks = style.looks(f"after {step:,} training steps" for step in steps)
    figure, axes = panels(2)
    titles = {"output flow S(k)": output, "loss flow, divided by lag 1: misleading": loss}
    for ax, (title, rows) in zip(axes, titles.items(), strict=True):
        for step, look in zip(steps, looks.values(), strict=True):
            line = rows[rows["step"] == step].sort_values("lag")
            ax.plot(line["lag"], line["shown"], **look)
        ax.set_title(title)
        ax.set_xlabel("lag k, steps")
    axes[0].set_ylabel("decades")
    style.legend(figure, [style.line(label, **look) for label, look in looks.items()])
    return figure


def retain_grad(steps: int = 100, hidden: int = 64) -> Figure:
    """What out.retain_grad() says of a fused layer, and the gradient with respect to the state."""
    torch.manual_seed(0)
    layer, inputs = nn.LSTM(2, hidden), torch.randn(steps, 16, 2)
    u = torch.randn(hidden) / hidden**0.5
    outputs = layer(inputs)[0]
    outputs.retain_grad()
    (outputs[-1] @ u).sum().backward()
    said = outputs.grad.norm(dim=2).mean(1).numpy()
    true = seqbench.gradient_flow(layer, inputs, lambda out: out[-1] @ u)
    true = true[true["state"] == "all"].sort_values("lag")
    figure, (ax,) = panels(1, 5.5)
    blue, red = style.COLOURS[:2]
    told = "gradient with respect to the state (h, c)"
    ax.plot(true["lag"], 10 ** true["log10_norm"], color=blue, label=told)
    told = "out.grad after out.retain_grad()"
    ax.plot(np.arange(steps), said[::-1], ".-", color=red, ms=3, lw=0.8, label=told)
    ax.set_yscale("symlog", linthresh=1e-16, linscale=0.3)
    ax.set_yticks([0, 1e-15, 1e-10, 1e-5, 1])
    ax.set_title(f"nn.LSTM, untrained, {steps} steps, loss at the last one")
    ax.set_xlabel("lag, steps")
    ax.set_ylabel("mean norm")
    ax.legend()
    return figure


def parts(adding: Results) -> Figure:
    """An LSTM's h and c, before and after training."""
    rows = adding.flow.query(f"cell == 'lstm' and length == {LENGTH} and source == 'output'")
    rows = rows[(rows["lag"] > 0) & (rows["seed"] == 0)]
    looks = style.looks(["all", "h", "c"])
    figure, axes = panels(2)
    for ax, step in zip(axes, (0, rows["step"].max()), strict=True):
        for state, look in looks.items():
            line = rows[(rows["step"] == step) & (rows["state"] == state)].sort_values("lag")
            ax.plot(line["lag"], line["log10_norm"], label=state, **look)
        ax.set_title(f"lstm, step {step:,}")
        ax.set_xlabel("lag k, steps")
    axes[0].set_ylabel("log10 norm")
    axes[0].legend()
    return figure


def diagnosis(study: Study) -> dict[str, Figure]:
    """The report's pictures of diagnostics."""
    views = {view.name: view for view in diagnostics.data(study)}
    return {
        name: diagnosed.draw(
            some(views["diagnostics-" + name.replace("_", "-")], quantities),
            study.results.trials,
            study.labels,
        )
        for name, quantities in PICTURES.items()
    }


def some(view: View, quantities: tuple[str, ...]) -> View:
    """A view of fewer panels."""
    if not quantities:
        return view
    kept = tuple(panel for panel in view.picture.panels if panel.quantity in quantities)
    return replace(view, picture=view.picture.model_copy(update={"panels": kept}))


if __name__ == "__main__":
    main()
