"""S(k) against lag in a terminal, or as plain text in a pipe."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from string import ascii_letters

import numpy as np
from rich.console import Console
from rich.text import Text

from seqbench.analysis.curve import Curve

ROWS = 16  # about; a label falls on a row
WIDEST = 100  # columns; longer lines are harder to follow
LEAST_SPAN = 2.0  # decades, so that a flat line looks flat
EVERY = 14  # columns from one letter on a line to the next
COLOURS = ["bright_blue", "bright_red", "bright_green", "bright_magenta", "bright_yellow"]
FRAME = {True: ("┤", "│", "└", "┬", "─"), False: ("+", "|", "+", "+", "-")}
BRAILLE = range(0x2800, 0x2900)


def print_curves(
    curves: Mapping[str, Curve], limit: float, console: Console, unit: str = "steps"
) -> None:
    """One line a cell, with its letter on it: lag to the right, decades upwards.

    A line ends where too many examples are exact zeros (`Curve`), which have no place on this axis.
    Without a terminal there are
    no colours; where the encoding has no braille, dots are full stops.

    Args:
        curves: by cell.
        limit: a level drawn across where it is in range: float32's.
        unit: what lags count.
    """
    largest = max((one.largest_lag for one in curves.values()), default=0.0)
    if not largest:
        return
    pretty = console.encoding.startswith("utf")
    low, high, step, rows = _range(curves)
    labels = {
        round((high - level) / (high - low) * (rows - 1)): f"{level:g}"
        for level in np.arange(low, high + step / 2, step)
    }
    margin = max(map(len, labels.values()))
    width = max(10, min(console.width, WIDEST) - margin - 1)
    letters = _letters(list(curves))
    lines = _canvas(curves, letters, limit, (low, high), largest, (width, rows), console)
    tick, bar, corner, down, across = FRAME[pretty]
    console.print("S(k), decades", style="dim", markup=False, highlight=False)
    for row, line in enumerate(lines):
        axis = f"{labels.get(row, ''):>{margin}}{tick if row in labels else bar}"
        if not pretty:
            line = "".join("." if ord(c) in BRAILLE[1:] else c for c in line)
        _say(console, axis + line.replace(chr(BRAILLE[0]), " "))
    for line in _lag_axis(largest, width, f"lag k, {unit}", corner, down, across):
        _say(console, " " * margin + line)
    _say_legend(console, letters)


def _range(curves: Mapping[str, Curve]) -> tuple[float, float, float, int]:
    """The lowest and highest level with a label, the step between labels, and the rows."""
    levels = np.concatenate([one.s[np.isfinite(one.s)] for one in curves.values()] + [[0.0]])
    high, low = levels.max(), min(levels.min(), levels.max() - LEAST_SPAN)
    step = _nice((high - low) / 6)
    high, low = math.ceil(high / step - 1e-9) * step, math.floor(low / step + 1e-9) * step
    steps = round((high - low) / step)
    return low, high, step, steps * max(1, ROWS // steps) + 1


def _nice(least: float) -> float:
    """The smallest of 1, 2, 5, 10, 20, ... that is not below `least`, from 0.5 on."""
    power = 10.0 ** math.floor(math.log10(max(least, 0.5)))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least - 1e-9)


def _letters(cells: list[str]) -> dict[str, str]:
    """A letter for each: of its own name, if none before it has that."""
    found: dict[str, str] = {}
    for cell in cells:
        free = [c for c in cell + ascii_letters if c in ascii_letters and c not in found.values()]
        found[cell] = free[0] if free else "*"
    return found


def _canvas(
    curves: Mapping[str, Curve],
    letters: Mapping[str, str],
    limit: float,
    levels: tuple[float, float],
    largest: float,
    size: tuple[int, int],
    console: Console,
) -> list[str]:
    """The lines, row by row."""
    from plotille import Canvas

    (low, high), (width, rows) = levels, size
    half = (high - low) / (rows - 1) / 2  # a label lies in the middle of its row
    column = largest / (width - 1) / 2
    canvas = Canvas(width, rows, -column, low - half, largest + column, high + half)
    colours = COLOURS if console.is_terminal and console.color_system else [None]
    if low < limit < high:
        for x in np.arange(0, width, 2):
            canvas.point(2 * column * x, limit)
        canvas.text(2 * column * 2, limit, " below: no float32 number ")
    spots = np.linspace(0, largest, 2 * width)
    for i, one in enumerate(curves.values()):
        colour = colours[i % len(colours)]
        known = [(x, one.at(x)) for x in spots]
        for (x0, y0), (x1, y1) in pairwise(known):
            if math.isfinite(y0) and math.isfinite(y1):
                canvas.line(x0, y0, x1, y1, color=colour)
    for i, (cell, one) in enumerate(curves.items()):
        colour, first = colours[i % len(colours)], 3 + i * EVERY // len(curves)
        for x in np.arange(first, width, EVERY) * 2 * column:
            if math.isfinite(y := one.at(x)):
                canvas.text(x, y, letters[cell], color=colour)
    return canvas.plot(linesep="\n").split("\n")


def _lag_axis(
    largest: float, width: int, name: str, corner: str, down: str, across: str
) -> list[str]:
    """The axis, and its labels under it."""
    step = _nice(max(1.0, largest / max(2, min(8, width // 9))))
    line, labels = [across] * width, [" "] * (width + 1)
    for lag in np.arange(0, largest + step / 2, step):
        if lag > largest:
            break
        at, text = round(lag / largest * (width - 1)), f"{lag:,.0f}"
        start = min(max(at - len(text) // 2, 0), width - len(text))
        line[at] = down
        labels[start + 1 : start + 1 + len(text)] = text
    return [corner + "".join(line), "".join(labels).rstrip(), f"{name:>{width + 1}}"]


def _say_legend(console: Console, letters: Mapping[str, str]) -> None:
    told = [f"{letter} {cell}" for cell, letter in letters.items()]
    console.print("   ".join(told), markup=False, highlight=False)


def _say(console: Console, line: str) -> None:
    """A line as it is; escape codes in it are the canvas's colours."""
    console.print(Text.from_ansi(line.rstrip()), no_wrap=True, crop=True, overflow="ignore")
