"""What is drawn of each diagnostic: which quantities, against what, with which lines beside them.

Any diagnostic gets views from the form of its values alone. The bundled ones that need more are in
BUNDLED, by the name that a card uses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from seqbench.analysis.readings import binned
from seqbench.analysis.shapes import PROBE_SIZE, summaries
from seqbench.card.task import Diagnostic
from seqbench.results import Results

LENGTHS = 2  # the longest ones
PANELS = 12  # quantities in a figure
WIDE = 1000.0  # a positive quantity that spans more is drawn on a log axis
STEP, INDEX = "step", "index"


@dataclass(frozen=True)
class Panel:
    """One quantity.

    Attributes:
        quantity: its name in the results.
        title: its name in the figure.
        index: of a series, drawn against step; None: all of them, or the only one.
        lines: levels to draw beside it.
    """

    quantity: str
    title: str
    index: int | None = None
    lines: tuple[float, ...] = ()


@dataclass(frozen=True)
class View:
    """One figure.

    Attributes:
        name: of its files.
        title, caption: for the page; how it is drawn is added to the caption.
        rows: the readings it is made of.
        over: STEP, or INDEX: at the start and at the end.
        x, y: axis labels.
        log: y on a log axis.
        floor: lines go on below; None: all is shown.
        offset: index 0 is drawn at this.
        bin: steps in a bin; 0: every reading is drawn.
    """

    name: str
    title: str
    caption: str
    rows: pd.DataFrame
    panels: tuple[Panel, ...]
    over: str
    x: str
    y: str = ""
    log: bool = False
    floor: float | None = None
    offset: int = 0
    bin: int = 0

    @property
    def lengths(self) -> list[int]:
        """Those that are drawn."""
        return sorted(self.rows["length"].unique())[-LENGTHS:]


Make = Callable[[Diagnostic, pd.DataFrame, Results], list[View]]


def views(rows: pd.DataFrame, results: Results) -> list[View]:
    """The figures of a run's diagnostics, in the card's order.

    Args:
        rows: from `readings`.
    """
    found: list[View] = []
    for asked in results.task.recording.diagnostics:
        mine = rows[rows["diagnostic"] == asked.label]
        if mine.empty:
            continue
        for view in BUNDLED.get(asked.use, generic)(asked, mine, results):
            taken = {other.name for other in found}
            name = f"diagnostics-{view.name}"
            name = name if name not in taken else f"{name}-{len(found)}"
            found.append(replace(view, name=name))
    return found


def generic(asked: Diagnostic, rows: pd.DataFrame, results: Results) -> list[View]:
    """Numbers against step, series against their index."""
    sizes = rows.groupby("quantity", sort=False)["index"].nunique()
    words = asked.label.replace("_", " ")
    title = words[0].upper() + words[1:]
    found = []
    for over, names in ((STEP, sizes.index[sizes == 1]), (INDEX, sizes.index[sizes > 1])):
        if not len(names):
            continue
        shown, told = _some(names)
        some = rows[rows["quantity"].isin(shown)]
        some, width = binned(some) if over == STEP else (some, 0)
        found.append(View(
            name=_file(asked.label) + ("" if over == STEP else "-series"),
            title=title if over == STEP else f"{title}, series",
            caption=told.strip(),
            rows=some,
            panels=tuple(Panel(name, name) for name in shown),
            over=over,
            x="training step" if over == STEP else "index",
            log=_wide(some["value"]),
            bin=width,
        ))  # fmt: skip
    return found


def _file(label: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-") or "diagnostic"


def _some(names: Iterable[str]) -> tuple[list[str], str]:
    """As many quantities as a figure has room for, and what to say of the rest."""
    shown, left = list(names)[:PANELS], list(names)[PANELS:]
    return shown, f" Not drawn, in diagnostics.csv alone: {', '.join(left)}." if left else ""


def _wide(values: pd.Series) -> bool:
    known = values[np.isfinite(values)]
    return len(known) > 0 and known.min() > 0 and known.max() > WIDE * known.min()


def _credit(asked: Diagnostic, rows: pd.DataFrame, results: Results) -> list[View]:
    caption = (
        "How the answer depends on the input values of the probe batch. At marked steps: the slope "
        "of d answer / d value on what it should be; ideal: 1. At unmarked steps: the mean of "
        "|d answer / d value|; ideal: 0. Dotted: the ideal. No cell's state is in it, so cells can "
        "be compared."
    )
    panels = (
        Panel("at marked steps", "at marked steps", lines=(1.0,)),
        Panel("size at unmarked steps", "size at unmarked steps", lines=(0.0,)),
    )
    return [View(_file(asked.label), "Credit", caption, rows, panels, STEP, "training step",
                 "d answer / d value")]  # fmt: skip


def _lyapunov(asked: Diagnostic, rows: pd.DataFrame, results: Results) -> list[View]:
    mean = rows[rows["quantity"] == "exponent"].set_index([*_AXES, "index"])
    zeros = rows[rows["quantity"] == "zeros"].set_index([*_AXES, "index"])["value"]
    exact = zeros.reindex(mean.index).fillna(0) > 0
    # NaN where the exponent of every sequence was -inf.
    mean["value"] = mean["value"].mask(mean["value"].isna() & exact, -np.inf)
    drawn = mean.reset_index()
    steps, sequences = asked.options.get("window", 100), asked.options.get("sequences", 4)
    where = (
        f"natural log per step, mean over {sequences} probe sequences, over their last {steps} "
        "steps (of the blanks where the problem has them; fewer where there are fewer)"
    )
    some = f" In {int(exact.sum()):,} readings an exponent was −∞, an exact zero." * bool(
        exact.any()
    )
    spectrum = View(
        _file(asked.label),
        "Lyapunov exponents",
        f"How fast nearby states part (above 0) or meet (below) under the same inputs, {where}; "
        f"the largest first. Dotted: 0.{some}",
        drawn,
        (Panel("exponent", "exponents", lines=(0.0,)),),
        INDEX,
        "rank",
        "exponent, per step",
        offset=1,
    )
    largest = replace(
        spectrum,
        name=f"{spectrum.name}-largest",
        title="The largest Lyapunov exponent over training",
        caption=f"The first of the exponents, {where}. Dotted: 0.",
        panels=(Panel("exponent", "largest exponent", 0, (0.0,)),),
        over=STEP,
        x="training step",
    )
    return [spectrum, largest]


def _singular_values(asked: Diagnostic, rows: pd.DataFrame, results: Results) -> list[View]:
    caption = (
        "log10 of the singular values of d s_T / d s_(T−k), the largest first: in how many "
        "directions of the state a gradient survives k steps, and how much of it. Mean over "
        f"{asked.options.get('sequences', 4)} probe sequences. T: the last step (of the blanks "
        "where the problem has them). Dotted: 0, neither grown nor shrunk."
    )
    order = {name: int(name.split()[1]) for name in rows["quantity"].unique()}
    panels = tuple(
        Panel(name, f"k = {order[name]}", lines=(0.0,)) for name in sorted(order, key=order.get)
    )
    return [View(_file(asked.label), "Singular values", caption, rows, panels, INDEX, "rank",
                 "log10, decades", floor=-20.0, offset=1)]  # fmt: skip


def _spectral_radius(asked: Diagnostic, rows: pd.DataFrame, results: Results) -> list[View]:
    caption = (
        "The largest modulus of the eigenvalues of each recurrent matrix; of a gated cell, of each "
        "gate's. Dotted: 1. It is a property of the weights alone: neither the slopes of the units "
        "nor the gates are in it."
    )
    names, left = _some(rows["quantity"].unique())
    alone = all(name.startswith("layers.0.") for name in names)
    panels = tuple(
        Panel(name, name.removeprefix("layers.0.") if alone else name, lines=(1.0,))
        for name in names
    )
    return [View(_file(asked.label), "Spectral radius", caption + left, rows, panels, STEP,
                 "training step", "spectral radius")]  # fmt: skip


def _saturation(asked: Diagnostic, rows: pd.DataFrame, results: Results) -> list[View]:
    caption = (
        "Shares over all units, steps and probe sequences: gates below 0.1 (shut) and above 0.9 "
        "(open); tanh units beyond 0.9 in size; rectified units that are 0 at every step of every "
        "sequence (dead)."
    )
    names, left = _some(rows["quantity"].unique())
    panels = tuple(Panel(name, name, lines=(0.0, 1.0)) for name in names)
    return [View(_file(asked.label), "Saturation", caption + left, rows, panels, STEP,
                 "training step", "share")]  # fmt: skip


def _signal_to_noise(asked: Diagnostic, rows: pd.DataFrame, results: Results) -> list[View]:
    told = rows["quantity"].str.extract(r"anchor (\d+)", expand=False).astype(float)
    last = told == told.groupby(rows["length"]).transform("max")
    rows = rows.assign(quantity=rows["quantity"].mask(last, "output"))
    rows = rows[last | (rows["quantity"] == "loss")]
    sizes = {summary.get("probe_size") or PROBE_SIZE for summary in summaries(results).values()}
    level = {-0.5 * np.log10(size - 1) for size in sizes if size > 1}
    of = " or ".join(map(str, sorted(sizes)))
    caption = (
        "log10 of the size of the mean gradient over the probe's examples, by their scatter about "
        "that mean, at lag k: how far they agree. Output flow, from the last anchor, and loss "
        "flow. Dotted: 1/sqrt(B − 1), about what B examples with nothing in common give; here B is "
        f"{of}, and a value there is no signal."
    )
    panels = tuple(
        Panel(name, f"{name} flow", lines=tuple(level))
        for name in ("output", "loss")
        if name in set(rows["quantity"])
    )
    return [View(_file(asked.label), "Signal to noise", caption, rows, panels, INDEX,
                 "lag k: steps back from the anchor", "log10 of signal by noise")]  # fmt: skip


def _gradient_norm(asked: Diagnostic, rows: pd.DataFrame, results: Results) -> list[View]:
    clip = results.task.training.clip_norm
    clipped = f" Dotted: the norm {clip:g} to which longer ones were clipped." * bool(clip)
    caption = (
        "The norm of the training gradient, of all parameters together, before any clipping."
        f"{clipped} diagnostics.csv has each parameter's."
    )
    drawn, width = binned(rows[rows["quantity"] == "all"])
    panels = (Panel("all", "all parameters", lines=(clip,) if clip else ()),)
    return [View(_file(asked.label), "Gradient norm", caption, drawn, panels, STEP,
                 "training step", "norm", log=True, bin=width)]  # fmt: skip


_AXES = ["cell", "length", "seed", "step", "diagnostic", "at"]
BUNDLED: dict[str, Make] = {
    "credit": _credit,
    "lyapunov": _lyapunov,
    "singular_values": _singular_values,
    "spectral_radius": _spectral_radius,
    "saturation": _saturation,
    "signal_to_noise": _signal_to_noise,
    "gradient_norm": _gradient_norm,
}
