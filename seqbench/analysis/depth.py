"""Runs in depth: the factor per layer beside theory, the speed of learning beside print."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd

from seqbench.analysis.mean_field import ACTIVATIONS, gradient_factor
from seqbench.analysis.unit import LAYERS, STEPS, Unit
from seqbench.results import Results

DENSE = "seqbench.cells.dense:Dense"
SPEED = "speed of learning"
SHORTEST = 8  # layers, for a factor that is read off the half in the middle

# How the cell `dense` draws: weight variance times n_in, of layers as wide as what they are shown;
# bias variance. tests/analysis/test_depth.py holds it against what is drawn.
DRAWN = {
    "normal": (1.0, 1.0),
    "glorot": (1.0, 0.0),
    "he": (2.0, 0.0),
    "orthogonal": (1.0, 0.0),
}

# |dC/db^l| of the hidden layers before training, [784, 30, ..., 30, 10], MNIST.
# Source: Nielsen 2015, Neural Networks and Deep Learning, chapter 5.
PUBLISHED_SPEED = {
    2: [0.07, 0.31],
    3: [0.012, 0.060, 0.283],
    4: [0.003, 0.017, 0.070, 0.285],
}
# Share right on the test set with 1 to 4 hidden layers; all 50,000 training images, 30 epochs.
PUBLISHED_SCORE = {1: 0.9648, 2: 0.9690, 3: 0.9657, 4: 0.9653}


def predicted_factor(options: dict[str, Any], width: int) -> float:
    """Mean field theory's factor per layer; NaN where it has none.

    Args:
        options: of the cell `dense`.
        width: of the layers.
    """
    activation, init = options.get("activation", "sigmoid"), options.get("init", "normal")
    outside = any(options.get(name) for name in ("norm", "residual", "widths"))
    if activation not in ACTIVATIONS or init not in (*DRAWN, "unscaled") or outside:
        return float("nan")
    weight, bias = DRAWN.get(init, (float(width), 1.0))
    weight *= options.get("weight_scale", 1.0) ** 2
    if (scale := options.get("bias_scale")) is not None:
        bias = scale**2
    return gradient_factor(activation, weight, bias)


def factors(results: Results) -> pd.DataFrame:
    """The factor that each layer multiplies the gradient by, before training.

    Read off the output flow between a quarter and three quarters of the layers: at both ends it is
    something else.

    Returns:
        cell, length, seeds; factor (median over seeds), low, high (over seeds), predicted,
        summed: whether examples mix (batch norm), so that it is a gradient of the summed loss.
    """
    rows, flow = [], results.flow
    columns = ["cell", "length", "seeds", "factor", "low", "high", "predicted", "summed"]
    flow = flow[(flow["step"] == 0) & (flow["source"] == "output") & (flow["state"] == "h")]
    chains = _chains(results)
    for cell in results.task.cells:
        if cell.label not in chains:
            continue
        of_cell = flow[flow["cell"] == cell.label]
        for length, at_length in of_cell.groupby("length"):
            found = [_factor(one) for _, one in at_length.groupby("seed")]
            found = [one for one in found if np.isfinite(one)]
            if not found:
                continue
            width = cell.hidden_size or results.task.training.hidden_size
            summed = chains[cell.label] and cell.options.get("norm") == "batch"
            rows.append(
                (
                    cell.label,
                    length,
                    len(found),
                    float(np.median(found)),
                    min(found),
                    max(found),
                    predicted_factor(cell.options, width) if chains[cell.label] else np.nan,
                    summed,
                )
            )
    return pd.DataFrame(rows, columns=columns)


def unit(results: Results) -> Unit:
    """What lengths and lags count: layers where all cells are chains of layers, else steps."""
    deep = _chains(results)
    return LAYERS if all(cell.label in deep for cell in results.task.cells) else STEPS


def sigmoid_chains(results: Results) -> list[str]:
    """The labels of those networks of the bundled cell whose layers are sigmoid."""
    known = _chains(results)
    return [
        cell.label
        for cell in results.task.cells
        if known.get(cell.label) and cell.options.get("activation", "sigmoid") == "sigmoid"
    ]


def _chains(results: Results) -> dict[str, bool]:
    """Cells that are chains of layers, by what their trials say -> whether it is the bundled one,
    whose options are known."""
    return {
        record["configuration"]["cell"]["label"]: record.get("cell") == DENSE
        for record in results.records.values()
        if record.get("cell") == DENSE or record["summary"].get("chain") == "layers"
    }


def _factor(curve: pd.DataFrame) -> float:
    depth = int(curve["lag"].max())
    logs = curve.set_index("lag")["log10_norm"]
    near, far = round(depth / 4), round(3 * depth / 4)
    near = min(logs.index, key=lambda lag: abs(lag - near))
    far = min(logs.index, key=lambda lag: abs(lag - far))
    if depth < SHORTEST or near == far:
        return float("nan")
    return float(10 ** ((logs[far] - logs[near]) / (far - near)))


def speeds(results: Results) -> pd.DataFrame:
    """The speed of learning of each layer at each step it was recorded at, over seeds.

    Returns:
        cell, length, layer (1 is next to the input; the output layer is length + 1), step, seeds,
        median, p5, p95; published: the number in print where the card is like the one it belongs
        to, before training; NaN: none.
    """
    readings = results.diagnostics
    readings = readings[readings["quantity"] == SPEED].rename(columns={"index": "layer"})
    axes = ["cell", "length", "layer", "step"]
    if readings.empty:
        return pd.DataFrame(columns=[*axes, "seeds", "median", "p5", "p95", "published"])
    grouped = readings.groupby(axes, sort=False)["value"]
    table = grouped.agg(
        seeds="count",
        median="median",
        p5=lambda values: values.quantile(0.05),
        p95=lambda values: values.quantile(0.95),
    ).reset_index()
    alike = _as_published(results)
    table["published"] = [
        _published(row.length, row.layer) if row.cell in alike and row.step == 0 else np.nan
        for row in table.itertuples()
    ]
    return table


def speed_ratios(results: Results) -> pd.DataFrame:
    """How many times faster the hidden layer next to the output learns than the one next to the
    input, at the largest depth, before training and at the last record.

    Returns:
        cell, length, start, end, step (of the last record); of networks of more than one layer.
    """
    table = speeds(results)
    table = table[(table["layer"] <= table["length"]) & (table["length"] > 1)]
    table = table[table["length"] == table.groupby("cell")["length"].transform("max")]
    rows = []
    for (cell, length), group in table.groupby(["cell", "length"], sort=False):
        by = group.pivot(index="step", columns="layer", values="median").sort_index()
        ratio = by[length] / by[1]
        rows.append((cell, length, ratio.iloc[0], ratio.iloc[-1], by.index[-1]))
    columns = ["cell", "length", "start", "end", "step"]
    return pd.DataFrame(rows, columns=columns).astype({"start": float, "end": float})


def _as_published(results: Results) -> set[str]:
    """Cells of untied sigmoid layers of 30, variance 1/n_in, cross-entropy of sigmoid outputs."""
    usual = {"activation": "sigmoid", "init": "normal"}
    sigmoids = results.task.problem.options.get("loss") == "sigmoid"
    chains = _chains(results)
    return {
        cell.label
        for cell in results.task.cells
        if sigmoids and chains.get(cell.label) and usual | cell.options == usual
        if (cell.hidden_size or results.task.training.hidden_size) == 30
    }


def _published(length: int, layer: int) -> float:
    found = PUBLISHED_SPEED.get(length, [])
    return found[layer - 1] if layer <= len(found) else float("nan")


def ties(results: Results) -> pd.DataFrame:
    """Networks that are the same but for weights that are tied, before training.

    Returns:
        tied, untied (labels), length; factor_tied, factor_untied: the factor per layer; near_tied,
        near_untied: how much of the speeds of learning of all layers, summed, the quarter next to
        the output has; NaN where they were not recorded. Tied layers have one bias, whose gradient
        is the sum over the layers' places: what the near ones contribute is most of it.
    """
    found, near = factors(results), _near(results)
    rows = []
    for tied, untied in _pairs(results):
        mine = found[found["cell"] == tied].merge(
            found[found["cell"] == untied], on="length", suffixes=("_tied", "_untied")
        )
        for row in mine.itertuples():
            shares = {
                f"near_{name}": near.get((cell, row.length), np.nan)
                for name, cell in (("tied", tied), ("untied", untied))
            }
            both = {"factor_tied": row.factor_tied, "factor_untied": row.factor_untied}
            rows.append({"tied": tied, "untied": untied, "length": row.length, **both, **shares})
    columns = ["tied", "untied", "length", "factor_tied", "factor_untied"]
    return pd.DataFrame(rows, columns=[*columns, "near_tied", "near_untied"])


def _pairs(results: Results) -> list[tuple[str, str]]:
    """Labels of bundled cells that differ in `tied` alone, the tied one first."""
    own = {label for label, bundled in _chains(results).items() if bundled}
    cells = [cell for cell in results.task.cells if cell.label in own]
    plain = [{k: v for k, v in cell.options.items() if k != "tied"} for cell in cells]
    return [
        (cells[i].label, cells[j].label)
        for i, j in permutations(range(len(cells)), 2)
        if cells[i].options.get("tied")
        and not cells[j].options.get("tied")
        and _drawn(plain[i]) == _drawn(plain[j])
        and cells[i].hidden_size == cells[j].hidden_size
    ]


def _drawn(options: dict[str, Any]) -> dict[str, Any]:
    return {"activation": "sigmoid", "init": "normal"} | options


def _near(results: Results) -> dict[tuple[str, int], float]:
    """(cell, length) -> the share that the layers of the quarter next to the output have."""
    table = speeds(results)
    table = table[(table["step"] == 0) & (table["layer"] <= table["length"])]
    return {
        (cell, length): float(
            rows.loc[rows["layer"] > 0.75 * length, "median"].sum() / rows["median"].sum()
        )
        for (cell, length), rows in table.groupby(["cell", "length"])
    }


def learned(results: Results) -> pd.DataFrame:
    """What networks in depth make of the images that they were trained on, and of others.

    Returns:
        cell, length, seeds, learning_rate; training, score: the share right of all training images
        when training had ended, and of the validation images, medians over seeds; steps.
    """
    columns = ["cell", "length", "seeds", "learning_rate", "training", "score", "steps"]
    rows, trials = results.lengths, results.trials
    rows = rows[(rows["data"] == "training") & rows["cell"].isin(list(_chains(results)))]
    if rows.empty:
        return pd.DataFrame(columns=columns)
    axes = ["cell", "length"]
    whole = trials.merge(rows[[*axes, "seed", "score"]], on=[*axes, "seed"], suffixes=("", "_in"))
    table = whole.groupby(axes, sort=False).agg(
        seeds=("seed", "count"),
        training=("score_in", "median"),
        score=("score", "median"),
        steps=("steps", "median"),
    )
    table = table.reset_index()
    common = results.task.training.learning_rate
    rates = {cell.label: cell.learning_rate or common for cell in results.task.cells}
    table["learning_rate"] = table["cell"].map(rates)
    return table[columns]


def scores(results: Results) -> pd.DataFrame:
    """The share right at the end beside the one in print, where the card is like that one.

    Returns:
        cell, length, seeds, score (median over seeds), published.
    """
    alike = _as_published(results)
    minibatch = results.task.training.batch_size == 10
    rows = results.trials[results.trials["cell"].isin(alike if minibatch else ())]
    columns = ["cell", "length", "seeds", "score", "published"]
    if rows["score"].notna().sum() == 0:
        return pd.DataFrame(columns=columns)
    table = rows.groupby(["cell", "length"], sort=False)["score"].agg(["count", "median"])
    table = table.reset_index().set_axis(columns[:4], axis=1)
    table["published"] = table["length"].map(PUBLISHED_SCORE)
    return table
