"""Draws the figures of docs/measures.md from real runs.

python docs/figures/draw.py --runs runs    # with runs/adding, runs/copy, runs/intervention in it
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import nn

import seqbench
from seqbench.analysis.curve import HALF, Curve
from seqbench.analysis.shapes import needed_lags, shapes
from seqbench.reporting import style
from seqbench.results import Results

HERE = Path(__file__).parent
FORGET = "lstm, forget bias "


def main() -> None:
    """Draw them all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", default="runs", type=Path, help="where the runs lie")
    runs = parser.parse_args().runs
    adding, copy, intervention = (
        seqbench.load(runs / name) for name in ("adding", "copy", "intervention")
    )
    with style.drawing():
        figures = {
            "output_flow": output_flow(adding),
            "read_off": read_off(adding),
            "loss_flow": loss_flow(copy),
            "retain_grad": retain_grad(),
            "parts": parts(adding),
            "credit": credit(intervention),
            "lyapunov": spectrum(intervention, "lyapunov", "exponent", "exponent, 1 / step"),
            "singular_values": spectrum(
                intervention, "singular_values", "over 25 steps", "log10 singular value"
            ),
            "spectral_radius": over_steps(
                intervention, "spectral_radius", "layers.0.weight_hh_l0", "spectral radius", "rnn"
            ),
            "saturation": over_steps(
                intervention,
                "saturation",
                "forget gate > 0.9",
                "share of forget gates > 0.9",
                "lstm",
            ),
            "signal_to_noise": signal_to_noise(intervention),
            "gradient_norm": over_steps(
                intervention, "gradient_norm", "all", "norm before clipping", "rnn"
            ),
        }
        for name, figure in figures.items():
            figure.savefig(HERE / f"{name}.png", dpi=110, metadata={"Software": None})
            print(HERE / f"{name}.png")


def panels(count: int, width: float = 3.3) -> tuple[Figure, list]:
    """A row of panels."""
    figure = Figure(figsize=(width * count, 2.7), layout="constrained")
    return figure, list(figure.subplots(1, count, squeeze=False)[0])


def output_flow(adding: Results, length: int = 100) -> Figure:
    """S(k) before and after training, each seed a line."""
    shape = shapes(adding)
    shape = shape[(shape["length"] == length) & shape["main_anchor"]]
    looks = style.looks(adding.trials["cell"].unique())
    figure, axes = panels(2)
    for ax, at, told in zip(axes, ("start", "end"), ("before", "after"), strict=True):
        for (cell, seed), rows in shape[shape["at"] == at].groupby(["cell", "seed"], sort=False):
            ax.plot(
                rows["lag"], rows["s"], lw=0.9, label=cell if seed == 0 else None, **looks[cell]
            )
        needs = needed_lags(adding)
        for need in needs[needs["length"] == length].itertuples():
            ax.axvspan(need.low, need.high, color="#000000", alpha=0.05, lw=0)
        ax.set_title(f"Adding, T = {length}, {told} training")
        ax.set_xlabel("lag k, steps")
        ax.set_ylim(-26, 2)
    axes[0].set_ylabel("S(k), decades")
    axes[1].legend()
    return figure


def read_off(adding: Results, cell: str = "lstm", length: int = 100) -> Figure:
    """What is read off one curve."""
    shape = shapes(adding)
    rows = shape[(shape["cell"] == cell) & (shape["length"] == length) & (shape["seed"] == 0)]
    rows = rows[rows["main_anchor"] & (rows["at"] == "start")].sort_values("lag")
    one = Curve(rows["lag"], rows["s"])
    figure, (ax,) = panels(1, 5.5)
    ax.plot(rows["lag"], rows["s"], color=style.COLOURS[0])
    marks = [("half-life", one.half_life(), HALF)]
    for theta in ("1e-1", "1e-3", "1e-6"):
        marks.append((f"horizon({theta})", one.horizon(float(theta)), np.log10(float(theta))))
    for i, (name, lag, level) in enumerate(marks):
        ax.plot(lag, level, "o", color=style.INK, ms=4)
        ax.annotate(f"{name} = {lag:.1f}", (lag, level), xytext=(60, 18 - 3 * i), va="center",
                    textcoords="offset points", fontsize=8,
                    arrowprops={"arrowstyle": "-", "color": style.GREY, "lw": 0.6})  # fmt: skip
    K = one.largest_lag
    for name, (a, b), rate in [("early rate", (1, 10), one.early_rate()),
                               ("late rate", (K / 2, K), one.late_rate())]:  # fmt: skip
        ax.plot([a, b], [one.at(a), one.at(b)], color=style.COLOURS[1], lw=2.4, alpha=0.7)
        ax.annotate(f"{name} {rate:.3f}", ((a + b) / 2, one.at((a + b) / 2)), xytext=(-8, -16),
                    ha="right" if a > 1 else "left", textcoords="offset points",
                    color=style.COLOURS[1], fontsize=8)  # fmt: skip
    ax.set_title(f"Adding, T = {length}, an untrained {cell}, seed 0")
    ax.set_xlabel("lag k, steps")
    ax.set_ylabel("S(k), decades")
    return figure


def loss_flow(copy: Results, cell: str = "lstm", length: int = 20) -> Figure:
    """The same trial, as output flow, and as loss flow normalised at lag 1 (which is wrong)."""
    rows = copy.flow.query(f"cell == '{cell}' and length == {length} and seed == 0")
    rows = rows[(rows["state"] == "all") & (rows["layer"] == 0)]
    figure, axes = panels(2)
    told = {"output": "output flow S(k)", "loss": "loss flow, divided by lag 1: misleading"}
    for ax, (source, title) in zip(axes, told.items(), strict=True):
        here = rows[rows["source"] == source]
        here = here[here["anchor"] == here["anchor"].max()]
        for i, step in enumerate((0, 100, 1000, 12000)):
            one = here[here["step"] == step].set_index("lag")["log10_norm"].sort_index()
            first = 0 if source == "output" else 1
            ax.plot(one.index[first:], one[first:] - one[first], label=f"step {step:,}",
                    color=style.COLOURS[i], linestyle=style.DASHES[i])  # fmt: skip
        ax.set_title(title)
        ax.set_xlabel("lag k, steps")
    axes[0].set_ylabel("decades")
    axes[0].legend()
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
    ax.plot(true["lag"], 10 ** true["log10_norm"], color=style.COLOURS[0],
            label="gradient with respect to the state (h, c)")  # fmt: skip
    ax.plot(np.arange(steps), said[::-1], color=style.COLOURS[1], marker=".", ms=3, lw=0.8,
            label="out.grad after out.retain_grad()")  # fmt: skip
    ax.set_yscale("symlog", linthresh=1e-16, linscale=0.3)
    ax.set_yticks([0, 1e-15, 1e-10, 1e-5, 1])
    ax.set_title(f"nn.LSTM, untrained, {steps} steps, loss at the last one")
    ax.set_xlabel("lag, steps")
    ax.set_ylabel("mean norm")
    ax.legend()
    return figure


def parts(adding: Results, length: int = 100) -> Figure:
    """An LSTM's h and c, before and after training."""
    rows = adding.flow.query(f"cell == 'lstm' and length == {length} and source == 'output'")
    rows = rows[(rows["lag"] > 0) & (rows["seed"] == 0)]
    figure, axes = panels(2)
    last = rows["step"].max()
    for ax, step in zip(axes, (0, last), strict=True):
        for i, state in enumerate(("all", "h", "c")):
            one = rows[(rows["step"] == step) & (rows["state"] == state)].sort_values("lag")
            ax.plot(
                one["lag"],
                one["log10_norm"],
                label=state,
                color=style.COLOURS[i],
                linestyle=style.DASHES[i],
            )
        ax.set_title(f"lstm, step {step:,}")
        ax.set_xlabel("lag k, steps")
    axes[0].set_ylabel("log10 norm")
    axes[0].legend()
    return figure


def readings(run: Results, diagnostic: str, quantity: str, family: str = "") -> pd.DataFrame:
    """One quantity at the longest length, of the cells whose label begins with `family`."""
    table = run.diagnostics
    table = table[(table["diagnostic"] == diagnostic) & (table["quantity"] == quantity)]
    table = table[(table["length"] == table["length"].max())]
    return table[table["cell"].str.startswith(family)]


def over_steps(run: Results, diagnostic: str, quantity: str, label: str, family: str) -> Figure:
    """A number against the training step, each seed a line; dense ones as medians of 50 steps."""
    table = readings(run, diagnostic, quantity, family)
    figure, (ax,) = panels(1, 5.5)
    cells = table["cell"].unique()
    for cell, rows in table.groupby("cell", sort=False):
        look = style.looks(cells)[cell]
        dense = rows["step"].nunique() > 100
        for seed, one in rows.groupby("seed"):
            at = one["step"] // 50 * 50 if dense else one["step"]
            label = None if seed else cell
            ax.plot(one.groupby(at)["value"].median(), lw=0.9, label=label, **look)
    if diagnostic == "gradient_norm":
        ax.set_yscale("log")
        ax.axhline(run.task.training.clip_norm, color=style.GREY, lw=0.8, ls=":")
    ax.set_title(f"{run.task.problem.name}, T = {table['length'].max()}: {diagnostic}")
    ax.set_xlabel("training step")
    ax.set_ylabel(label)
    ax.legend()
    return figure


def credit(run: Results) -> Figure:
    """How the answer depends on the marked values, and on the others."""
    figure, axes = panels(2)
    for ax, quantity, ideal in zip(
        axes, ("at marked steps", "size at unmarked steps"), (1.0, 0.0), strict=True
    ):
        table = readings(run, "credit", quantity, FORGET)
        looks = style.looks(table["cell"].unique())
        for cell, rows in table.groupby("cell", sort=False):
            for seed, one in rows.groupby("seed"):
                ax.plot(
                    one["step"], one["value"], lw=0.9, label=None if seed else cell, **looks[cell]
                )
        ax.axhline(ideal, color=style.GREY, lw=0.8, ls=":")
        ax.set_title(f"credit {quantity}")
        ax.set_xlabel("training step")
    axes[0].set_ylabel("d answer / d value")
    axes[1].legend()
    return figure


def spectrum(run: Results, diagnostic: str, quantity: str, label: str) -> Figure:
    """Values by rank, before training and at the end of it, median over seeds."""
    table = readings(run, diagnostic, quantity)
    looks = style.looks(table["cell"].unique())
    last = table.groupby(["cell", "seed"])["step"].transform("max")
    figure, axes = panels(2)
    for ax, rows, told in zip(
        axes, (table[table["step"] == 0], table[table["step"] == last]), ("before", "after"),
        strict=True,
    ):  # fmt: skip
        for cell, one in rows.groupby("cell", sort=False):
            ax.plot(one.groupby("index")["value"].median(), label=cell, lw=1.1, **looks[cell])
        ax.set_title(f"T = {table['length'].max()}, {told} training")
        ax.set_xlabel("rank")
    axes[0].set_ylabel(label)
    axes[1].legend(fontsize=6)
    return figure


def signal_to_noise(run: Results) -> Figure:
    """By lag, before training and at the end of it, median over seeds."""
    table = run.diagnostics[run.diagnostics["diagnostic"] == "signal_to_noise"]
    table = table[(table["length"] == table["length"].max()) & (table["quantity"] == "loss")]
    looks = style.looks(table["cell"].unique())
    last = table.groupby(["cell", "seed"])["step"].transform("max")
    figure, axes = panels(2)
    for ax, at, told in zip(axes, (0, last), ("before", "after"), strict=True):
        for cell, one in table[table["step"] == at].groupby("cell", sort=False):
            ax.plot(one.groupby("index")["value"].median(), label=cell, lw=1.1, **looks[cell])
        ax.axhline(-0.5 * np.log10(31), color=style.GREY, lw=0.8, ls=":")
        ax.set_title(f"loss flow, {told} training")
        ax.set_xlabel("lag k, steps")
    axes[0].set_ylabel("log10 signal / noise")
    axes[1].legend(fontsize=6)
    return figure


if __name__ == "__main__":
    main()
