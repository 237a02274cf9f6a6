"""How a diagnostic is to be drawn: said by its class, kept beside its readings. Needs no torch."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Panel(_Said):
    """One quantity of a picture.

    Attributes:
        quantity: its name; with a * for a number, the one with the largest number at each length.
        title: what the picture calls it; "": its name.
        lines: levels to draw beside it, such as what is ideal.
        index: of a series drawn against step, which entry; None: all, or the only one.
    """

    quantity: str
    title: str = ""
    lines: tuple[float, ...] = ()
    index: int | None = None


class Picture(_Said):
    """One figure of a diagnostic. The defaults suit numbers against the training step.

    Attributes:
        title, caption: for the page; how it is drawn is added to the caption.
        panels: which quantities; none: all that fit `over`.
        lines: levels beside each quantity where `panels` is empty.
        prefix: dropped from the quantities' names where all begin with it.
        over: "step": against the training step; "index": a series against its index (a lag, a
            rank), before training and at the end.
        x, y: axis labels.
        log: y on a log axis; None: where the values are positive and span a lot.
        floor: lines go on below this level; None: all is shown.
        offset: index 0 is drawn at this.
        infinite: a quantity that counts; where it is above 0, a value that is NaN was −∞.
        name: of its files, after the diagnostic's own.
    """

    title: str
    caption: str = ""
    panels: tuple[Panel, ...] = ()
    lines: tuple[float, ...] = ()
    prefix: str = ""
    over: Literal["step", "index"] = "step"
    x: str = ""
    y: str = ""
    log: bool | None = False
    floor: float | None = None
    offset: int = 0
    infinite: str | None = None
    name: str = ""


def read(said: Any) -> list[Picture]:
    """Pictures as a file has them; none where they are not what they should be."""
    try:
        return [Picture.model_validate_json(one) for one in said]
    except (TypeError, ValidationError):
        return []
