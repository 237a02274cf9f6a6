"""How figures look: colours that colour-blind readers tell apart, lines that greyscale does."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from textwrap import fill
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase, SubFigure
from matplotlib.lines import Line2D

from seqbench.card.status import FINISHED
from seqbench.errors import InputError

# Okabe & Ito's, darkest first, without the yellow that paper swallows; then some of Tol's.
COLOURS = [
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#882255",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#999933",
    "#CC79A7",
    "#6b4c2a",
    "#332288",
    "#888888",
]
SHADES = ["YlGnBu", "YlOrRd", "RdPu", "Greys"]  # light to dark, for cells that differ by a number
LIGHTEST, DARKEST = 0.42, 0.97
NUMBERED = 3  # cells that make a row of shades
DASHES = ["-", (0, (5, 1.6)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (2.5, 1.2))]
MARKERS = "osD^vP*X<>"
CELL = "cell:"  # begins the name of what belongs to a cell in a figure, so that a page finds it
INK, GREY = "#222222", "#6b6b6b"
PER_ROW = 4  # panels side by side
LINES = 40  # seeds of a cell that have a line each
LEGEND_ROW = 0.17  # inches

SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "text.color": INK,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#ececec",
    "grid.linewidth": 0.6,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.5,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "legend.handlelength": 2.8,
    "svg.fonttype": "none",
    "figure.dpi": 100,
}


@contextmanager
def drawing() -> Iterator[None]:
    """The settings, for as long as a figure is drawn or saved; a letter that the font has not is
    drawn as a box, and no warning for each."""
    with mpl.rc_context(SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from", UserWarning)
        yield


def looks(cells: Iterable[str]) -> dict[str, dict]:
    """Cell -> colour and line style, in the card's order.

    Where labels differ by a number at their end alone ("lstm, forget bias -4", "... -2"), these
    cells have shades of one colour, the smallest number lightest.
    """
    cells = list(cells)
    colours = _shades(cells) or {c: COLOURS[i % len(COLOURS)] for i, c in enumerate(cells)}
    return {
        cell: {
            "color": colours[cell],
            "linestyle": DASHES[i % len(DASHES)],
            "gid": name(cell),
        }
        for i, cell in enumerate(cells)
    }


def markers(cells: Iterable[str]) -> dict[str, str]:
    """Cell -> the shape of its points."""
    return {cell: MARKERS[i % len(MARKERS)] for i, cell in enumerate(cells)}


def _shades(cells: list[str]) -> dict[str, str]:
    """Colours where every cell belongs to a row of numbered ones; {} where not."""
    families: dict[str, dict[str, float]] = {}
    for cell in cells:
        numbered = re.fullmatch(r"(.*?)((?:(?<!\S)-)?\d+(?:\.\d+)?)", cell)
        if numbered:
            families.setdefault(numbered[1], {})[cell] = float(numbered[2])
    few = len(families) > len(SHADES) or any(len(row) < NUMBERED for row in families.values())
    if few or sum(map(len, families.values())) < len(cells):
        return {}
    colours = {}
    for name, row in zip(SHADES, families.values(), strict=False):
        for cell, shade in zip(
            sorted(row, key=row.__getitem__), np.linspace(LIGHTEST, DARKEST, len(row)), strict=True
        ):
            colours[cell] = mpl.colors.to_hex(mpl.colormaps[name](shade))
    return colours


def first_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the seeds that have a line of their own: a figure holds no more."""
    return rows[rows["seed"].isin(np.sort(rows["seed"].unique())[:LINES])]


def panels(
    count: int, rows_each: int, *, height: float = 2.0, ax: Axes | None = None
) -> tuple[FigureBase, np.ndarray]:
    """Panels for `count` things of `rows_each` panels, one above the other, wrapped.

    Args:
        ax: in whose place; None: in a new figure.

    Returns:
        The figure, and its axes as [rows_each, count].
    """
    blocks = math.ceil(count / PER_ROW)
    columns = math.ceil(count / blocks)
    width = max(5.2, 2.55 * columns)
    figure = canvas(ax, (width, 0.75 + height * rows_each * blocks))
    grid = figure.subplots(rows_each * blocks, columns, squeeze=False)
    axes = grid.reshape(blocks, rows_each, columns).swapaxes(0, 1).reshape(rows_each, -1)
    for unused in axes[:, count:].flat:
        unused.remove()
    return figure, axes[:, :count]


def label_edges(figure: FigureBase, axes: np.ndarray, x: str, y: list[str]) -> None:
    """Axis labels at the outer panels alone: y of each row at the left, x where a column ends."""
    for row, label in zip(axes, y, strict=True):
        for ax in row:
            if ax.get_subplotspec().is_first_col():
                ax.set_ylabel(label)
    figure.supxlabel(x, fontsize=8.5)


def legend(figure: FigureBase, handles: list[Line2D], columns: int = 5) -> None:
    """A legend above all panels, where it can't cover a line."""
    wide = sum(len(str(handle.get_label())) + 9 for handle in handles)
    room = 15 * size(figure)[0]  # characters
    lines = math.ceil(wide / room)
    widest = max((len(str(handle.get_label())) for handle in handles), default=0) + 8
    each = max(1, min(columns, math.ceil(len(handles) / lines), int(room // widest)))
    rows = math.ceil(len(handles) / each)
    # matplotlib fills columns; people read rows.
    handles = [handle for i in range(each) for handle in handles[i : rows * each : each]]
    if rows > 2 and isinstance(figure, Figure):  # or it would take its room from the panels
        figure.set_figheight(figure.get_figheight() + LEGEND_ROW * (rows - 2))
    drawn = figure.legend(handles=handles, loc="outside upper left", ncols=each, columnspacing=1.4)
    for asked, *both in zip(handles, drawn.legend_handles, drawn.get_texts(), strict=True):
        for artist in filter(None, both):
            artist.set_gid(asked.get_gid())


def plain(text: str, *, math: bool = True) -> str:
    """Somebody's label as it stands: no formula, nothing that a file of XML can't hold.

    Args:
        math: whether matplotlib will look for formulas in it.
    """
    text = "".join(c if _in_xml(ord(c)) else "\ufffd" for c in text)
    text = f" {text}" if text.startswith("_") else text  # matplotlib hides those
    return text.replace("$", r"\$") if math else text


def wrapped(text: str, width: int = 30) -> str:
    """A panel's title, in lines that do not run into the next panel's."""
    return "\n".join(fill(plain(line), width) for line in text.split("\n"))


def name(cell: str) -> str:
    """What belongs to a cell in a figure is called."""
    return f"{CELL}{plain(cell, math=False)}"


def _in_xml(code: int) -> bool:
    return code in (9, 10, 13) or 32 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or code > 0xFFFF


def end_labels(ax: Axes, ends: dict[str, float], looks: dict[str, dict]) -> None:
    """Each cell's name at the end of its line, moved apart where they would meet.

    Args:
        ends: cell -> where its line ends.
    """
    low, high = ax.get_ylim()
    gap, last = 0.075 * (high - low), -math.inf
    for cell, y in sorted(ends.items(), key=lambda end: end[1]):
        last = max(y, last + gap)
        ax.annotate(
            plain(cell),
            (1.0, last),
            (4, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            fontsize=7.5,
            color=looks[cell]["color"],
            annotation_clip=False,
            gid=name(cell),
        )


def line(label: str, **look: Any) -> Line2D:
    """An entry of a legend."""
    return Line2D([], [], label=plain(label), **look)


def mark(label: str, marker: str, **look: Any) -> Line2D:
    """An entry of a legend that is a marker."""
    look = {"color": INK, "linestyle": "none"} | look
    return Line2D([], [], label=plain(label), marker=marker, **look)


def outcomes(seen: Iterable[str], **look: Any) -> list[Line2D]:
    """Entries of a legend: what became of trials, those that are seen."""
    seen = set(seen)
    return [mark(one.word, one.marker, **look) for one in FINISHED if one in seen]


def thousands(ax: Axes) -> None:
    """Steps as 1,500."""
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def on(ax: Axes | None, size: tuple[float, float]) -> tuple[Figure, Axes]:
    """Where to draw: somebody's axes and their figure, or a new figure with one.

    Args:
        size: of the new one, in inches.
    """
    if ax is None:
        figure = Figure(figsize=size, layout="constrained")
        return figure, figure.subplots()
    owner = ax.get_figure(root=True)
    assert owner is not None  # axes that are drawn on have one
    return owner, ax


def canvas(ax: Axes | None, size: tuple[float, float]) -> FigureBase:
    """Where several panels are drawn: in the place of somebody's axes, or in a new figure.

    Args:
        ax: taken away, its place in the grid divided; None: a new figure.
        size: of the new one, in inches.

    Raises:
        InputError: axes that stand in no grid.
    """
    if ax is None:
        return Figure(figsize=size, layout="constrained")
    owner, place = ax.get_figure(root=False), ax.get_subplotspec()
    if owner is None or place is None:
        raise InputError(
            "ax: a figure of several panels divides its place in a grid, and it stands in none\n"
            "allowed: axes made by plt.subplots, figure.subplots or add_subplot"
        )
    ax.remove()
    return owner.add_subfigure(place)


def whole(figure: FigureBase) -> Figure:
    """The figure that panels are in."""
    while isinstance(figure, SubFigure):
        figure = figure.get_figure(root=True)
    assert isinstance(figure, Figure)
    return figure


def size(figure: FigureBase) -> tuple[float, float]:
    """Width and height in inches."""
    if isinstance(figure, SubFigure):
        return figure.bbox.width / figure.dpi, figure.bbox.height / figure.dpi
    width, height = whole(figure).get_size_inches()
    return float(width), float(height)
