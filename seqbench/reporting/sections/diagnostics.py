"""Further diagnostics: each drawn as its class says, or from the form of its values alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np
import pandas as pd

from seqbench.analysis.readings import AXES, binned, silent
from seqbench.analysis.study import Study
from seqbench.measure.diagnostics.picture import Panel, Picture, read
from seqbench.reporting import diagnosed
from seqbench.reporting.blocks import Block, Figure, Table, Text
from seqbench.reporting.diagnosed import View
from seqbench.reporting.words import count, join

PANELS = 12  # quantities in a figure
WIDE = 1000.0  # a positive quantity that spans more is drawn on a log axis


class Diagnostics:
    """What the card asked for besides the flow."""

    title = "Further diagnostics"

    def blocks(self, study: Study) -> Iterator[Block]:
        """Who had nothing to say, a figure a view, the medians as a file."""
        told = silences(study)
        if told:
            yield Text(told, "note")
        for view in data(study):
            plot = partial(diagnosed.draw, view, study.results.trials, study.labels, study.unit)
            yield Figure(view.name, view.picture.title, caption(view), plot)
        if not study.diagnostics.empty:
            yield Table("diagnostics", study.diagnostics)


def silences(study: Study) -> list[str]:
    """Which cells a diagnostic has no values of."""
    return [
        f"{diagnostic}: no values from {join(cells)}."
        for diagnostic, cells in silent(study.readings, study.results).items()
    ]


def data(study: Study) -> list[View]:
    """The views of a run's diagnostics, in the card's order."""
    found: dict[str, View] = {}
    said = study.results.diagnostics.attrs.get("pictures", {})
    for asked in study.task.recording.diagnostics:
        rows = study.readings[study.readings["diagnostic"] == asked.label]
        if rows.empty:
            continue
        for picture in read(said.get(asked.label)) or plain(asked.label):
            name = "-".join(filter(None, ["diagnostics", _file(asked.label), picture.name]))
            name = name if name not in found else f"{name}-{len(found)}"
            view = settled(name, picture, rows)
            if view is not None:
                found[name] = view
    return list(found.values())


def plain(label: str) -> list[Picture]:
    """What is drawn of a diagnostic that says nothing of it: numbers, and series."""
    words = label.replace("_", " ")
    title = words[0].upper() + words[1:]
    return [
        Picture(title=title, log=None),
        Picture(title=f"{title}, series", over="index", log=None, name="series"),
    ]


def settled(name: str, picture: Picture, rows: pd.DataFrame) -> View | None:
    """A picture of these readings; None where it has nothing to show.

    Args:
        rows: of one diagnostic.
    """
    panels, left = picture.panels, ""
    rows = _numbered(rows, [panel.quantity for panel in panels if "*" in panel.quantity])
    rows, gone = _infinite(rows, picture.infinite)
    if not panels:
        sizes = rows.groupby("quantity", sort=False)["index"].nunique()
        fits = sizes.index[(sizes == 1) if picture.over == "step" else (sizes > 1)]
        names, left = _some([name for name in fits if name != picture.infinite])
        prefix = picture.prefix if all(name.startswith(picture.prefix) for name in names) else ""
        panels = tuple(
            Panel(quantity=name, title=name.removeprefix(prefix), lines=picture.lines)
            for name in names
        )
    panels = tuple(panel for panel in panels if panel.quantity in set(rows["quantity"]))
    rows = rows[rows["quantity"].isin([panel.quantity for panel in panels])]
    if not panels:
        return None
    shown, width = binned(rows) if picture.over == "step" else (rows, 0)
    changes = {
        "panels": panels,
        "caption": picture.caption + gone + left,
        "log": _wide(rows["value"]) if picture.log is None else picture.log,
        "x": picture.x or ("training step" if picture.over == "step" else "index"),
    }
    return View(name, picture.model_copy(update=changes), shown, width)


def _numbered(rows: pd.DataFrame, patterns: list[str]) -> pd.DataFrame:
    """Of quantities that differ by a number, the one with the largest at each length."""
    for pattern in patterns:
        before, after = map(re.escape, pattern.split("*", 1))
        told = rows["quantity"].str.extract(rf"^{before}(\d+){after}$", expand=False).astype(float)
        last = told == told.groupby(rows["length"]).transform("max")
        rows = rows.assign(quantity=rows["quantity"].mask(last, pattern))
    return rows


def _infinite(rows: pd.DataFrame, counter: str | None) -> tuple[pd.DataFrame, str]:
    """NaN becomes −∞ where another quantity counted that; and a sentence that says how often."""
    counts = rows[rows["quantity"] == counter].set_index([*AXES, "index"])["value"]
    if counts.empty:
        return rows, ""
    at = pd.MultiIndex.from_frame(rows[[*AXES, "index"]])
    exact = (counts.reindex(at).to_numpy() > 0) & (rows["quantity"] != counter)
    n = int(exact.sum())
    told = f" In {count(n, 'reading')} a value was −∞, an exact zero." if n else ""
    return rows.assign(value=rows["value"].mask(exact & rows["value"].isna(), -np.inf)), told


def _file(label: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-") or "diagnostic"


def _some(names: Iterable[str]) -> tuple[list[str], str]:
    """As many quantities as a figure has room for, and what to say of the rest."""
    shown, left = list(names)[:PANELS], list(names)[PANELS:]
    return shown, f" Not drawn, in diagnostics.csv alone: {', '.join(left)}." if left else ""


def _wide(values: pd.Series) -> bool:
    known = values[np.isfinite(values)]
    return len(known) > 0 and known.min() > 0 and known.max() > WIDE * known.min()


def caption(view: View) -> str:
    """What a diagnostic says of its picture, and how every one is drawn."""
    picture, lengths = view.picture, view.lengths
    told = [picture.caption.strip()] if picture.caption else []
    if picture.over == "step":
        told.append(
            "Thick: median over seeds, as far as all of them trained; thin: each seed, with a "
            "mark where it ended."
        )
    else:
        told.append(
            "Above: the first reading, before training; below: the last. Line: median over seeds; "
            "band: from the lowest to the highest."
        )
    if view.bin:
        told.append(f"A point is the median over the readings of {view.bin:,} training steps.")
    if picture.floor is not None:
        told.append("Lines that leave a panel go on below.")
    if odd_values(view):
        told.append("Triangles at an edge: infinite" + (", or exactly 0." if picture.log else "."))
    every = view.rows["length"].nunique()
    if every > len(lengths):
        told.append(f"Shown: the longest {len(lengths)} of {every} lengths.")
    return " ".join(told)


def odd_values(view: View) -> bool:
    """Whether a reading is infinite, or 0 on a log axis."""
    values = view.rows["value"]
    return bool(np.isinf(values).any() or (view.picture.log and (values <= 0).any()))
