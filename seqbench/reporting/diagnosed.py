"""The figures of the diagnostics: a view's panels, drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.ticker import MaxNLocator

from seqbench.analysis.readings import shared_median
from seqbench.analysis.shapes import TRIAL
from seqbench.analysis.unit import STEPS, Unit
from seqbench.card.status import FINISHED, Status
from seqbench.measure.diagnostics.picture import Panel, Picture
from seqbench.reporting import style
from seqbench.reporting.style import GREY

POINTS = 48  # of a series; a spectrum of hundreds looks the same
ENDS = {"start": "before training", "end": "at the end"}
MARGIN = 0.06  # of the height
TITLE = 30  # characters in a line
LENGTHS = 2  # the longest ones are drawn


@dataclass(frozen=True)
class View:
    """A picture and the readings it is made of.

    Attributes:
        name: of its files.
        picture: its panels and axes settled.
        rows: the readings that it shows.
        bin: steps in a bin; 0: every reading is drawn.
    """

    name: str
    picture: Picture
    rows: pd.DataFrame
    bin: int = 0

    @property
    def lengths(self) -> list[int]:
        """Those that are drawn."""
        return sorted(self.rows["length"].unique())[-LENGTHS:]


def draw(
    view: View,
    trials: pd.DataFrame,
    labels: list[str],
    unit: Unit = STEPS,
    *,
    ax: Axes | None = None,
) -> Figure:
    """One view.

    Args:
        trials: of the results, for what became of each.
        labels: the cells, in the card's order.
        unit: what lengths count.
        ax: in whose place to draw; None: a new figure.
    """
    looks = style.looks(labels)
    rows = view.rows.merge(trials[[*TRIAL, "status"]], on=TRIAL)
    rows = rows[rows["length"].isin(view.lengths)]
    over = _over_steps if view.picture.over == "step" else _over_index
    figure = over(view, rows, looks, unit, ax)
    cells = [style.line(cell, **looks[cell]) for cell in labels if cell in set(rows["cell"])]
    seen = set(rows["status"]) if view.picture.over == "step" else set()
    ends = style.outcomes(seen, ms=3.5)
    style.legend(figure, cells + ends)
    return style.whole(figure)


def _over_steps(
    view: View, rows: pd.DataFrame, looks: dict, unit: Unit, ax: Axes | None
) -> FigureBase:
    """A column a quantity, a row a length; of one quantity, a column a length."""
    picture = view.picture
    figure, axes = (
        style.panels(len(picture.panels), len(view.lengths), height=1.8, ax=ax)
        if len(picture.panels) > 1
        else style.panels(len(view.lengths), 1, height=2.1, ax=ax)
    )
    for column, panel in zip(
        axes.T if len(picture.panels) > 1 else axes, picture.panels, strict=True
    ):
        here = _of(rows, panel)
        limits = _limits(view, panel, here["value"])
        for one, length in zip(column, view.lengths, strict=True):
            of_length = here[here["length"] == length]
            for cell, group in of_length.groupby("cell", sort=False):
                _draw_cell(one, group, looks[cell], limits)
            _finish(one, view, panel, limits)
            one.set_title(_title(f"{panel.title or panel.quantity}, {unit.at(length)}"))
            one.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            style.thousands(one)
    style.label_edges(figure, axes, picture.x, [picture.y] * len(axes))
    return figure


def _over_index(
    view: View, rows: pd.DataFrame, looks: dict, unit: Unit, ax: Axes | None
) -> FigureBase:
    """A column a length and quantity; the start above, the end below."""
    picture = view.picture
    columns = [(length, panel) for length in view.lengths for panel in picture.panels]
    figure, axes = style.panels(len(columns), len(ENDS), height=1.9, ax=ax)
    limits = {
        panel: _limits(view, panel, _ends(_of(rows, panel))["value"]) for panel in picture.panels
    }
    for column, (length, panel) in zip(axes.T, columns, strict=True):
        here = _of(rows, panel)
        here = _ends(here[here["length"] == length])
        for one, (at, told) in zip(column, ENDS.items(), strict=True):
            for cell, group in here[here["at"] == at].groupby("cell", sort=False):
                _draw_series(one, group, looks[cell], limits[panel], picture.offset)
            _finish(one, view, panel, limits[panel])
            one.set_title(_title(f"{panel.title or panel.quantity}, {unit.at(length)}, {told}"))
            if len(here):
                low, high = (
                    here["index"].min() + picture.offset,
                    here["index"].max() + picture.offset,
                )
                one.set_xlim(low - 0.02 * (high - low), high + 0.02 * (high - low))
            one.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    style.label_edges(figure, axes, picture.x, [picture.y] * len(axes))
    return figure


def _of(rows: pd.DataFrame, panel: Panel) -> pd.DataFrame:
    mine = rows[rows["quantity"] == panel.quantity]
    return mine if panel.index is None else mine[mine["index"] == panel.index]


def _ends(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["at"].isin(list(ENDS))]


def _title(text: str) -> str:
    """In two lines where it would run into its neighbour."""
    text = style.plain(text)
    if len(text) <= TITLE:
        return text
    middle = text.rfind(", ", 0, TITLE)
    return text if middle < 0 else f"{text[: middle + 1]}\n{text[middle + 2 :]}"


def _limits(view: View, panel: Panel, values: pd.Series) -> tuple[float, float]:
    """The range of what is finite and of the lines beside it, with a margin."""
    known = values[np.isfinite(values) & ((values > 0) | (not view.picture.log))]
    known = np.concatenate([known.to_numpy(float), panel.lines])
    if not len(known):
        return (0.5, 2.0) if view.picture.log else (-1.0, 1.0)
    low, high = known.min(), known.max()
    if view.picture.floor is not None:
        low = max(low, min(view.picture.floor, high - 1))
    if view.picture.log:
        room = max((high / low) ** MARGIN, 1.1)
        return low / room, high * room
    room = MARGIN * (high - low) or 0.5 * abs(high) or 0.5
    return low - room, high + room


def _draw_cell(ax: Axes, rows: pd.DataFrame, look: dict, limits: tuple[float, float]) -> None:
    """The median over seeds, each seed as a thin line, and a mark where it ended."""
    for _, seed in rows.groupby("seed"):
        seed = seed.sort_values("step")
        _line(ax, seed.set_index("step")["value"], look, limits, lw=0.6, alpha=0.4)
        last, ended = seed.iloc[-1], Status(seed["status"].iloc[0])
        if ended in FINISHED:
            ax.plot(
                last["step"],
                last["value"],
                ended.marker,
                ms=3,
                color=look["color"],
                mew=0,
                zorder=3,
            )
    _line(ax, shared_median(rows, "step"), look, limits)


def _draw_series(
    ax: Axes, rows: pd.DataFrame, look: dict, limits: tuple[float, float], offset: int
) -> None:
    """The median over seeds; the band from the lowest to the highest."""
    middle = shared_median(rows, "index")
    spread = rows.groupby("index")["value"].agg(["min", "max"]).loc[middle.index]
    spots = np.unique(np.linspace(0, len(middle) - 1, POINTS).round().astype(int))
    middle, spread = middle.iloc[spots], spread.iloc[spots].clip(*_beyond(limits))
    middle.index = spread.index = middle.index + offset
    ax.fill_between(
        spread.index, spread["min"], spread["max"], color=look["color"], alpha=0.14, lw=0
    )
    _line(ax, middle, look, limits)


def _line(
    ax: Axes, values: pd.Series, look: dict, limits: tuple[float, float], **more: float
) -> None:
    """What is finite as a line; a triangle at the edge for what is infinite, or 0 on a log axis."""
    low, high = _beyond(limits)
    under = np.isneginf(values) | ((values <= 0) & (limits[0] > 0))
    drawn = values.mask(under | np.isposinf(values))
    ax.plot(drawn.index, drawn.clip(low, high), **(look | more))
    if "lw" in more:
        return  # of the median alone, or they would hide each other
    for gone, edge, marker in ((under, 0.0, "v"), (np.isposinf(values), 1.0, "^")):
        spots = values.index[gone]
        if not len(spots):  # of nothing, the layout would take the extent for the figure's corner
            continue
        ax.plot(
            spots,
            np.full(len(spots), edge),
            marker,
            ms=4,
            color=look["color"],
            mfc="white",
            clip_on=False,
            transform=ax.get_xaxis_transform(),
            zorder=4,
        )


def _beyond(limits: tuple[float, float]) -> tuple[float, float]:
    """A little outside the panel: where a line that leaves it may end."""
    low, high = limits
    return (low / 10, high * 10) if low > 0 else (low - (high - low), high + (high - low))


def _finish(ax: Axes, view: View, panel: Panel, limits: tuple[float, float]) -> None:
    for level in panel.lines:
        ax.axhline(level, color=GREY, lw=0.8, ls=(0, (1, 2)), zorder=1)
    if view.picture.log:
        ax.set_yscale("log")
    ax.set_ylim(*limits)
