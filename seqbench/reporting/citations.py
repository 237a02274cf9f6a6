"""What a run's problems, cells and measures come from, as BibTeX.

A class says it in the paragraph "Source:" of its docstring, as in "Cho et al. 2014"; the entry of
that name and year, cho2014, is in references.bib. The docstrings are read, nothing is imported.
"""

from __future__ import annotations

import ast
import re
import unicodedata
from collections.abc import Iterable, Iterator
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from seqbench import plugins
from seqbench.card.tables import Named
from seqbench.card.task import Task
from seqbench.errors import InputError

NAME = r"[A-Z][\w'-]+"
WORK = re.compile(rf"({NAME})(?:(?:, {NAME})*(?: & {NAME})?| et al\.) ((?:19|20)\d\d[a-z]?)\b")
MEASURES = {  # what every report uses -> the function that says its source
    "the output flow": "seqbench.measure.flow:gradient_flow",
    "intervals of solve rates": "seqbench.analysis.statistics:wilson",
    "interquartile means": "seqbench.analysis.statistics:interquartile_mean",
    "bootstrap intervals": "seqbench.analysis.statistics:bootstrap",
}
SOFTWARE = """@software{{seqbench,
  title   = {{{title}}},
  author  = {{{{{name}}}}},
  version = {{{version}}}
}}"""


def bibtex(tasks: Iterable[Task]) -> str:
    """The entries, each once, under what is to be cited for them; comments where there is none."""
    used: dict[str, list[str]] = {}  # key -> what it is cited for
    unknown: list[str] = []
    for what, text in sources(tasks):
        keys = works(text)
        for key in keys:
            used.setdefault(key, []).append(what)
        if not keys:
            unknown.append(f"% {what}: names no source")
    entries = store()
    told = [software()]
    for key, each in used.items():
        comment = f"% {', '.join(dict.fromkeys(each))}"
        told.append(f"{comment}\n{entries.get(key, f'% no entry for {key}')}")
    return "\n\n".join([*told, *dict.fromkeys(unknown)]) + "\n"


def sources(tasks: Iterable[Task]) -> Iterator[tuple[str, str]]:
    """(what was used, where it comes from in words)."""
    for task in tasks:
        if task.paper:
            yield f"card {task.name}", task.paper
        for table in task.named():
            yield f"{table.registry[:-1]} {_name(table)}", source(_spec(table))
    for what, spec in MEASURES.items():
        yield what, source(spec)


def _name(table: Named) -> str:
    return table.spec.replace("\\", "/").rpartition("/")[2]


def _spec(table: Named) -> str:
    try:
        return plugins.resolve(table.spec, table.registry)
    except InputError:  # a file that is gone
        return ""


def works(text: str) -> list[str]:
    """The keys of the works that are named: "Bengio, Simard & Frasconi 1994" is bengio1994,
    "Delétang et al. 2023" deletang2023."""
    found = (f"{name.lower()}{year}" for name, year in WORK.findall(" ".join(text.split())))
    plain = (unicodedata.normalize("NFKD", key).encode("ascii", "ignore").decode() for key in found)
    return list(dict.fromkeys(plain))


def source(spec: str) -> str:
    """The paragraph "Source:" of the docstring of a class or function, else of its file.

    Args:
        spec: "module:Name" or "/absolute/file.py:Name".
    """
    where, _, name = spec.rpartition(":")
    file = Path(where) if where.endswith(".py") else _file(where)
    if file is None:
        return ""
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return ""
    named = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name
    ]
    for node in (*named, tree):
        _, found, text = (ast.get_docstring(node) or "").partition("Source:")
        if found:
            return text.partition("\n\n")[0]
    return ""


def _file(module: str) -> Path | None:
    """Of seqbench's own modules alone: to look for others would run their code."""
    if module.partition(".")[0] != "seqbench":
        return None
    spec = find_spec(module)
    return Path(spec.origin) if spec and spec.origin else None


def store() -> dict[str, str]:
    """key -> its entry in references.bib."""
    text = files("seqbench.reporting").joinpath("references.bib").read_text(encoding="utf-8")
    entries = (entry.strip() for entry in re.split(r"\n(?=@)", text) if entry.startswith("@"))
    return {entry[entry.index("{") + 1 : entry.index(",")]: entry for entry in entries}


def software() -> str:
    """seqbench itself, as CITATION.cff says: in the wheel, or beside the package in a checkout."""
    package = Path(__file__).parents[1]
    file = next(
        path / "CITATION.cff"
        for path in (package, package.parent)
        if (path / "CITATION.cff").is_file()
    )
    text = file.read_text(encoding="utf-8")
    facts = dict(re.findall(r'^(?:  - )?(title|name|version): "?(.*?)"?$', text, re.M))
    return f"% the suite\n{SOFTWARE.format(**facts)}"
