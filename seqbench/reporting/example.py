"""The picture of one sequence of a problem: what is shown, what is asked, what that needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seqbench.errors import InputError
from seqbench.reporting import style

if TYPE_CHECKING:  # it needs torch, which a picture doesn't
    from seqbench.problems.example import Example

WIDTH, HIGHEST = 7.5, 3.2  # inches
PNG_DPI = 110
NAMED = 16  # channels that have room for their names
ASKED, NEEDED = "black", style.COLOURS[0]


def draw(example: Example, title: str = "", *, ax: Axes | None = None) -> Figure:
    """Inputs as an image, channels upwards; under it the answers asked for, at the steps where they
    are scored; lines from each anchor back to the steps that it needs."""
    steps, channels = example.inputs.shape
    height = min(0.6 + 0.22 * channels, HIGHEST)
    figure = style.canvas(ax, (WIDTH, height + 1.2))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[height, 1.0])
    above.imshow(
        example.inputs.T,
        aspect="auto",
        cmap="Greys",
        interpolation="nearest",
        extent=(0.5, steps + 0.5, channels - 0.5, -0.5),
    )
    if channels <= NAMED:
        above.set_yticks(range(channels), example.channels)
    above.set_ylabel("shown")
    above.grid(False)
    above.set_title(title, fontsize="medium")
    _answers(below, example)
    below.set_xlabel("step")
    below.set_xlim(0.5, steps + 0.5)
    return style.whole(figure)


def _answers(ax: Axes, example: Example) -> None:
    """Answers in words as long as there is room, and arcs to what they need."""
    asked = [(step, word) for step, word in enumerate(example.targets, 1) if word]
    for step, word in asked:
        short = word if len(word) <= 5 else f"{word[:4]}…"
        if len(asked) <= 40:
            ax.text(step, 0.15, short, ha="center", va="bottom", fontsize="x-small")
    ax.plot([step for step, _ in asked], [0] * len(asked), "s", markersize=3, color=ASKED)
    for k, (anchor, steps) in enumerate(example.needs.items()):
        level = -0.35 - 0.3 * (k % 2) if len(example.needs) > 1 else -0.5
        ax.plot([min(steps), anchor], [level, level], color=NEEDED, linewidth=0.8)
        ax.plot(steps, [level] * len(steps), "|", color=NEEDED)
        ax.plot([anchor], [level], ">", color=NEEDED, markersize=4)
    ax.set_ylim(-1.0, 1.0)
    ax.set_yticks([0, -0.5], ["asked", "needed"])
    ax.tick_params(length=0)


def save(example: Example, file: Path, title: str) -> None:
    """Draw, and write the figure.

    Raises:
        InputError: the file can't be written.
    """
    with style.drawing():
        figure = draw(example, title)
        try:
            figure.savefig(file, dpi=PNG_DPI)
        except OSError as error:
            told = f"--out {file}: can't be written: {error.strerror}"
            raise InputError(f"{told}\nallowed: a file in a folder that can be written") from None
