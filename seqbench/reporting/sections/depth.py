"""Networks in depth: the factor per layer beside theory, the speed of learning beside print."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import pandas as pd
from matplotlib import figure as mpl
from matplotlib.axes import Axes

from seqbench.analysis import depth
from seqbench.analysis.study import Study
from seqbench.reporting import style
from seqbench.reporting.blocks import Block, Figure, Table, Text

FACTORS = (
    "What each layer multiplies the gradient by on its way back, before training: read off the "
    "output flow between a quarter and three quarters of the layers. Theory: mean field, at the "
    "fixed point of the variance."
)
SUMMED = (
    "With batch norm examples mix: the flow is measured in training mode, on the probe batch's own "
    "statistics, and is a gradient of the loss summed over the batch."
)
SPEEDS = (
    "The norm of the gradient of the mean loss over the training set with respect to a layer's "
    "biases, before training: median and 5th to 95th percentile over initialisations; layer 1 is "
    "next to the input; the output layer stands last."
)
PUBLISHED = " Published: Nielsen 2015, chapter 5, on MNIST."
CAPTION = (
    "The speed of learning of each layer over training; the number at a line's end is the layer, 1 "
    "being next to the input and the last one the output layer; medians over seeds. A gradient of "
    "the mean loss: not to be compared with the gradient flow."
)


TIED = (
    "A network whose layers share their weights is a recurrent network that is shown its input "
    "once. Tying changes whose gradient it is: one matrix gets the sum over all layers. Near: how "
    "much of the speeds of learning of all layers, summed, the quarter next to the output has, "
    "before training."
)
TIED_CAPTION = (
    "The output flow before training, medians over seeds, at the largest depth: the same network "
    "with layers of their own (solid) and with tied ones (dashed)."
)
LEARNED = (
    "Share right of all training images when training had ended, and of the validation images "
    "(mean of the last three evaluations): medians over seeds."
)

SMALL = 0.001  # of a speed of learning; below it four places say too little
NAMED = 6  # lines that have a number each; of more the first and the last


class Depth:
    """Tables of factors, speeds and scores; speeds over training."""

    title = "Depth"

    def blocks(self, study: Study) -> Iterable[Block]:
        """What there is of a network in depth."""
        factors = depth.factors(study.results)
        if len(factors):
            notes = [FACTORS, SUMMED] if factors["summed"].any() else [FACTORS]
            yield Text(notes)
            yield factor_table(factors)
        speeds = depth.speeds(study.results)
        if len(speeds):
            first = speeds[speeds["step"] == 0]
            yield Text([SPEEDS + (PUBLISHED if first["published"].notna().any() else "")])
            yield speed_table(first)
            if speeds["step"].nunique() > 1:
                title = "Speed of learning of each layer"
                yield Figure("learning_speed", title, CAPTION, partial(draw, speeds))
        scores = depth.scores(study.results)
        if len(scores):
            yield score_table(scores)
        ties = depth.ties(study.results)
        if len(ties):
            yield Text([TIED])
            yield tied_table(ties)
            plot = partial(draw_tied, study.results.flow, ties)
            yield Figure("tied", "Time and depth: tied and untied", TIED_CAPTION, plot)
        learned = depth.learned(study.results)
        if len(learned):
            yield Text([LEARNED])
            yield learned_table(learned)


def factor_table(table: pd.DataFrame) -> Table:
    """A row a cell and length."""
    rows = [
        [
            row.cell + (" (summed loss)" if row.summed else ""),
            str(row.length),
            f"{row.factor:.4f}",
            f"{row.low:.4f} – {row.high:.4f}" if row.seeds > 1 else "–",
            "–" if pd.isna(row.predicted) else f"{row.predicted:.4f}",
        ]
        for row in table.itertuples()
    ]
    heads = ["cell", "layers", "factor per layer", "over seeds", "theory"]
    return Table("depth_factors", table, heads, rows, align="lrrrr", title="Factor per layer")


def speed_table(table: pd.DataFrame) -> Table:
    """A row a layer."""
    rows = [
        [
            row.cell,
            str(row.length),
            "output" if row.layer > row.length else str(row.layer),
            "–" if pd.isna(row.published) else f"{row.published:g}",
            _size(row.median),
            f"{_size(row.p5)} – {_size(row.p95)}",
            str(row.seeds),
        ]
        for row in table.itertuples()
    ]
    heads = ["cell", "layers", "layer", "published", "median", "5 – 95 %", "seeds"]
    return Table("learning_speed", table, heads, rows, align="lrrrrrr", title="Speed of learning")


def _size(norm: float) -> str:
    """0.0123; what is smaller than its places by its power of ten."""
    return f"{norm:.4f}" if norm >= SMALL or norm == 0 else f"{norm:.1e}".replace("-", "−")


def score_table(table: pd.DataFrame) -> Table:
    """A row a depth."""
    rows = [
        [
            row.cell,
            str(row.length),
            str(row.seeds),
            f"{100 * row.score:.2f} %",
            f"{100 * row.published:.2f} %",
        ]
        for row in table.itertuples()
    ]
    heads = ["cell", "layers", "seeds", "right here", "published, all of MNIST"]
    return Table("depth_score", table, heads, rows, align="lrrrr", title="Accuracy by depth")


def tied_table(table: pd.DataFrame) -> Table:
    """A row a pair and depth."""
    rows = [
        [row.untied, str(row.length)]
        + [f"{x:.4f}" for x in (row.factor_untied, row.factor_tied)]
        + ["–" if pd.isna(x) else f"{100 * x:.0f} %" for x in (row.near_untied, row.near_tied)]
        for row in table.itertuples()
    ]
    heads = ["cell", "layers", "factor, untied", "tied", "near, untied", "tied"]
    return Table("depth_tied", table, heads, rows, align="lrrrrr", title="Tied and untied")


def draw_tied(flow: pd.DataFrame, ties: pd.DataFrame, *, ax: Axes | None = None) -> mpl.Figure:
    """A panel a pair at its largest depth.

    Args:
        flow: of the run.
        ties: from `depth.ties`.
        ax: in whose place to draw; None: a new figure.
    """
    deepest = ties[ties["length"] == ties.groupby("tied")["length"].transform("max")]
    figure, axes = style.panels(len(deepest), 1, height=2.2, ax=ax)
    rows = flow[(flow["step"] == 0) & (flow["source"] == "output") & (flow["state"] == "h")]
    for one, pair in zip(axes[0], deepest.itertuples(), strict=True):
        here = rows[rows["length"] == pair.length]
        for cell, dashes in ((pair.untied, "-"), (pair.tied, "--")):
            line = here[here["cell"] == cell].groupby("lag")["log10_norm"].median()
            one.plot(line.index, line, color="black", ls=dashes, lw=1.2, label=style.plain(cell))
        one.set_title(style.plain(f"{pair.length} layers"))
        one.legend()
    style.label_edges(figure, axes, "lag k: layers below the output", ["log10 of the gradient"])
    return style.whole(figure)


def learned_table(table: pd.DataFrame) -> Table:
    """A row a cell and depth."""
    rows = [
        [
            row.cell,
            str(row.length),
            f"{row.learning_rate:g}",
            f"{100 * row.training:.1f} %",
            f"{100 * row.score:.1f} %",
            f"{row.steps:,.0f}",
            str(row.seeds),
        ]
        for row in table.itertuples()
    ]
    heads = ["cell", "layers", "learning rate", "training", "validation", "training steps", "seeds"]
    title = "Training and validation accuracy"
    return Table("depth_learned", table, heads, rows, align="lrrrrrr", title=title)


def draw(table: pd.DataFrame, *, ax: Axes | None = None) -> mpl.Figure:
    """A panel a cell and length, a line a layer.

    Args:
        table: from `depth.speeds`.
        ax: in whose place to draw; None: a new figure.
    """
    panels = list(table.groupby(["cell", "length"], sort=False))
    figure, axes = style.panels(len(panels), 1, height=2.2, ax=ax)
    for one, ((cell, length), rows) in zip(axes[0], panels, strict=True):
        ends: dict[str, tuple[float, str]] = {}
        for layer, line in rows.groupby("layer"):
            shade = 0.75 * (1 - layer / rows["layer"].max())
            line = line.sort_values("step")
            one.plot(line["step"], line["median"], color=str(shade), lw=1.2)
            if layer in _named(rows["layer"].max()):
                ends[f"{layer:.0f}"] = (float(line["median"].iloc[-1]), str(shade))
        one.set_yscale("log")
        for name, (level, shade) in ends.items():
            place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
            look = {"va": "center", "fontsize": 7, "color": shade, "annotation_clip": False}
            one.annotate(name, (1.0, level), (3, 0), **place, **look)
        one.set_title(style.plain(f"{cell}, {length} layer{'s' * (length > 1)}"))
    style.label_edges(figure, axes, "training step", ["|dC/db|"])
    return style.whole(figure)


def _named(layers: int) -> set[int]:
    """Which lines have room for a number."""
    return set(range(1, layers + 1)) if layers <= NAMED else {1, layers}
