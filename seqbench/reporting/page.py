"""The page and its Markdown twin: one context for both, rendered by jinja2."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from seqbench.analysis import opening
from seqbench.analysis.comparison import without_folder
from seqbench.analysis.study import Study
from seqbench.card.status import WITHOUT, Status
from seqbench.reporting import captions, overview, terminal, told, words
from seqbench.reporting.command import reproduce
from seqbench.reporting.views import View
from seqbench.reporting.words import DASH

MAIN = ("flow", "reach", "training", "loss")  # the others have places of their own


@dataclass(frozen=True)
class Section:
    """A run on the page.

    Attributes:
        name: of its files and its place on the page; "" where it is the only one.
        tables: what was counted.
        views: of its diagnostics.
        figures: name -> SVG.
    """

    name: str
    tables: Study
    views: Sequence[View]
    figures: dict[str, str]

    def file(self, what: str) -> str:
        """A file's name, without its suffix."""
        return f"{self.name}-{what}" if self.name else what


def render(template: str, sections: list[Section]) -> str:
    """The page ("page.html") or the Markdown ("report.md")."""
    environment = Environment(
        loader=PackageLoader("seqbench.reporting"),
        autoescape=template.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = lambda text: str(text).replace("|", r"\|")
    inline = template.endswith(".html")
    runs = [context(section, inline) for section in sections]
    names = words.join(dict.fromkeys(section.tables.results.task.name for section in sections))
    return environment.get_template(template).render(runs=runs, title=names)


def context(section: Section, inline: bool) -> dict[str, Any]:
    """All that the templates say of one run."""
    tables = section.tables
    results, task = tables.results, tables.results.task
    command, needs_card = reproduce(task)
    return {
        "id": section.name or task.name,
        "name": task.name,
        "description": task.description,
        "what_was_run": words.what_was_run(results),
        "changes": words.changes(task),
        "seen": words.what_was_seen(tables) + told.intervention_sentences(tables),
        "how_to_read": words.how_to_read(),
        "lengths": task.lengths,
        "overview_heads": overview.heads(tables.overview),
        "overview": overview.lines(tables.overview),
        "overview_note": overview.NOTE,
        "groups": comparison_groups(tables),
        "notes": comparison_notes(tables),
        "errors": terminal.errors(results),
        "figures": [_figure(section, n, inline) for n in MAIN if n in section.figures],
        "fall": [_figure(section, n, inline) for n in ("fall",) if n in section.figures],
        "falls": fall_rows(tables),
        "fall_notes": told.fall_notes(tables),
        "diagnosed": [_figure(section, view.name, inline) for view in section.views],
        "silent": told.silences(tables),
        "opening": opening_rows(tables),
        "rule": words.rule(),
        "categories": _categories(tables),
        "cells": tables.cells.to_dict("records"),
        "seconds": _seconds(tables),
        "rates": words.learning_rates(results),
        "paper": task.paper,
        "deviations": task.deviations,
        "versions": _distinct(results.records, "versions"),
        "machines": _distinct(results.records, "machine"),
        "command": command,
        "needs_card": needs_card,
        "card": _card(tables),
        "csv": [section.file(name) for name in files(tables)],
    }


def files(study: Study) -> dict[str, pd.DataFrame]:
    """What is written as CSV: name -> table."""
    told = {
        "overview": study.overview,
        "comparison": study.comparison,
        "longest_length_solved": study.longest,
        "trials": study.results.trials,
        "flow_read_off": study.offs,
        "needed_lags": study.needs,
        "opening": study.opening,
        "opening_counts": study.opening_counts,
        "falls": study.falls,
        "cells": study.cells,
    }
    further = {"tuning": study.rates, "diagnostics": study.diagnostics}
    return told | {name: table for name, table in further.items() if not table.empty}


def comparison_groups(tables: Study) -> list[dict[str, Any]]:
    """The table as it is read: a group of rows a cell, a column a length."""
    groups = []
    for cell, rows in tables.comparison.groupby("cell", sort=False):
        each = [row for _, row in rows.sort_values("length").iterrows()]
        lines = [
            ("solved by", [solved(row) for row in each]),
            ("95 % interval, %", [interval(row) for row in each]),
            ("median steps", [median_steps(row) for row in each]),
            ("right at the end, %", [right(row) for row in each]),
            ("half-life", [both_ends(row, "half_life") for row in each]),
            ("horizon(1e-3)", [both_ends(row, "horizon_1e-3") for row in each]),
        ]
        other = [otherwise(row) for row in each]
        if any(text != DASH for text in other):
            lines.insert(1, ("otherwise", other))
        groups.append({"cell": cell, "lines": lines})
    return groups


def solved(row: pd.Series) -> str:
    """ "● 2/2": of how many seeds, with a sign that needs no colour."""
    if not row["finished"]:
        return DASH
    share = row["solved"] / row["seeds"]
    sign = "●" if share == 1 else "◐" if share > 0 else "○"
    return f"{sign} {row['solved']}/{row['seeds']}"


def interval(row: pd.Series) -> str:
    """The Wilson interval."""
    if not row["finished"]:
        return DASH
    return f"{words.percent(row['solved_low'])}–{words.percent(row['solved_high'])}"


def median_steps(row: pd.Series) -> str:
    """The median number of steps to solve, infinite or not."""
    value = row["steps_to_solve"]
    if not row["finished"]:
        return DASH
    return "∞" if value == float("inf") else f"{value:,.0f}"


def right(row: pd.Series) -> str:
    """The share right at the end of training."""
    return DASH if pd.isna(row["score"]) else words.percent(row["score"])


def both_ends(row: pd.Series, name: str) -> str:
    """A reading at the start and at the end."""
    told = [words.reach_of(row, name, at) for at in ("start", "end")]
    start, end = (text.replace(" and ≥", " / ≥") for text in told)
    return DASH if start == end == DASH else f"{start} → {end}"


def otherwise(row: pd.Series) -> str:
    """What became of trials that neither solved nor spent their budget."""
    told = [f"{row[name]} {name}" for name in (Status.DIVERGED, *WITHOUT) if row[name]]
    return ", ".join(told) or DASH


def comparison_notes(tables: Study) -> list[str]:
    """How to read the table."""
    table, seeds = tables.comparison, tables.results.task.seeds
    notes = [
        "Half-life and horizon(1e-3): the lag, in steps, at which the output flow has fallen to a "
        "half and to a thousandth, at the start → at the end of training; median over seeds. "
        "≥ K: not within the largest lag K.",
        "Median steps: the evaluation from which a trial counts as solved; an unsolved trial is "
        "∞. The interval is Wilson's 95 %, over the trials that finished. Right at the end: "
        "share of answers, mean of the last three evaluations, median over seeds.",
    ]
    texts = [
        text for group in comparison_groups(tables) for _, row in group["lines"] for text in row
    ]
    if any(" / ≥" in text for text in texts):
        notes.append(
            "Two values, as in 15 / ≥ 100: the two middle seeds, one within K and one not."
        )
    if (table["finished"] < table["seeds"]).any():
        notes.append(
            f"Out of {seeds}: all seeds of the card; a trial that was interrupted or ended in an "
            "error has no result and is in no median."
        )
    if table["finished"].min() < 5:
        notes.append("Fewer than 5 seeds: n is too small to claim that cells differ.")
    where = words.measured_where(tables)
    return [*notes, where] if where else notes


def opening_rows(tables: Study) -> list[tuple[str, list[str]]]:
    """What came first, a row a cell and a column a length."""
    rows = []
    for cell, group in tables.opening_counts.groupby("cell", sort=False):
        each = [
            "; ".join(f"{row[name]} {name}" for name in opening.CATEGORIES if row[name]) or DASH
            for _, row in group.sort_values("length").iterrows()
        ]
        rows.append((cell, each))
    return rows


def fall_rows(tables: Study) -> list[tuple[str, list[str]]]:
    """The flow before training and the fall, a row a cell and a column a length."""
    each = {(row.cell, row.length): _fall(row) for row in tables.falls.itertuples()}
    lengths = tables.results.task.lengths
    return [(c, [each.get((c, length), DASH) for length in lengths]) for c in tables.labels]


def _fall(row) -> str:
    start = DASH if pd.isna(row.s_start) else told.decades(row.s_start)
    when = "" if math.isinf(row.fell_at) else f" at step {row.fell_at:,.0f}"
    return f"{start}; fell {row.fell}/{row.trials}{when}; solved {row.solved}/{row.trials}"


def _categories(tables: Study) -> list[tuple[str, str]]:
    always = (opening.BEFORE, opening.AFTER, opening.ONLY_FELL)
    seen = set(tables.opening["category"])
    return [(k, told) for k, told in opening.CATEGORIES.items() if k in seen or k in always]


def _seconds(tables: Study) -> list[tuple[str, list[str]]]:
    table = tables.seconds.reindex(columns=tables.results.task.lengths)
    return [
        (cell, [DASH if pd.isna(value) else f"{value:,.1f}" for value in row])
        for cell, row in zip(table.index, table.to_numpy(), strict=True)
    ]


def _distinct(records: dict[str, dict], key: str) -> list[str]:
    """The different versions or machines, in words, each once."""
    told = [
        ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in record[key].items())
        for record in records.values()
        if record.get(key)
    ]
    return list(dict.fromkeys(told))


def _card(tables: Study) -> str:
    task = tables.results.task
    cells = [cell.model_copy(update={"use": without_folder(cell.use)}) for cell in task.cells]
    problem = task.problem.model_copy(update={"name": without_folder(task.problem.name)})
    return task.model_copy(update={"cells": cells, "problem": problem}).to_toml()


def _figure(section: Section, name: str, inline: bool) -> dict[str, Any]:
    title, caption = captions.captions(section.tables, section.views)[name]
    file = section.file(name)
    svg = Markup(inlined(section.figures[name], file)) if inline else ""
    return {"name": name, "title": title, "caption": caption, "file": file, "svg": svg}


def inlined(svg: str, prefix: str) -> str:
    """An SVG to stand among others in one page: ids of its own, only those used, no prologue."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.S)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"| version="1.1"', "", svg).replace("xlink:href", "href")
    used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg))
    used = {name for pair in used for name in pair if name}

    def rename(match: re.Match) -> str:
        name = match.group(1)
        return f' id="{prefix}-{name}"' if name in used else ""

    svg = re.sub(r' id="([^"]+)"', rename, svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", svg)
    svg = re.sub(r' transform="rotate\(-0 [^"]*\)"', "", svg)
    svg = re.sub(r"font-family: [^;\"]*", "font-family: inherit", svg).strip()
    return _styled_by_class(svg, prefix)


def _styled_by_class(svg: str, prefix: str) -> str:
    """The same look, each style written once: it makes half of a figure's bytes otherwise."""
    styles = dict.fromkeys(re.findall(r' style="([^"]*)"', svg))
    names = {style: f"{prefix}-look{i}" for i, style in enumerate(styles)}
    rules = "".join(f".{name}{{{style}}}" for style, name in names.items())
    svg = re.sub(r' style="([^"]*)"', lambda match: f' class="{names[match[1]]}"', svg)
    start = svg.index(">") + 1
    return f"{svg[:start]}<style>{rules}</style>{svg[start:]}"
