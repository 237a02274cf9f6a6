"""A report of a run, or of several: `seqbench.report` is the function here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from seqbench import plugins
from seqbench.analysis.study import Study
from seqbench.errors import InputError
from seqbench.reporting.blocks import Document, Part, Section
from seqbench.reporting.words import count, join
from seqbench.results import Results
from seqbench.results.reference import FOLDER, find
from seqbench.results.together import by_problem

__all__ = ["report"]


def report(
    runs: Results | str | Path | Sequence[Results | str | Path],
    out: str | Path | None = None,
    *,
    sections: Sequence[str | type] = (),
    latex: bool = False,
    svg: bool = False,
) -> Path:
    """Write a page, its Markdown twin, tables and figures.

    Runs of one problem share a page, their cells side by side. Runs of several problems get one
    each, in a folder each, and a page over all of them that leads there.

    Args:
        runs: a run, opened, its folder, or the name of a reference, or several.
        out: the folder; None: "report" in the run's folder, or, of several, beside the first's.
        sections: further ones, after the bundled: classes, "module:Class" or "file.py:Class".
        latex: whether to write report.tex, tables/*.tex and figures/*.pdf too.
        svg: whether to write figures/*.svg too.

    Returns:
        The page, index.html; beside it report.md, tables/*.csv, figures/*.png.

    Raises:
        InputError: no run there, no such section, or the folder can't be written.
    """
    given = [runs] if isinstance(runs, Results | str | Path) else list(runs)
    if not given:
        raise InputError(
            "no run to report on\nallowed: at least one folder that `seqbench run` wrote"
        )
    shown = [*_bundled(), *map(_section, sections)]
    opened = [run if isinstance(run, Results) else find(run) for run in given]
    folder = Path(out) if out is not None else _beside(opened)
    if out is None and folder.is_symlink():
        from seqbench.reporting.write import no_link

        raise no_link(folder)
    studies = {name: Study(run) for name, run in by_problem(opened).items()}
    try:
        return _write(studies, folder, shown, {"latex": latex, "svg": svg})
    except OSError as error:
        raise InputError(
            f"--out {folder}: can't be written: {error.strerror or error}\n"
            "allowed: a folder that you may write to"
        ) from None


def _beside(runs: Sequence[Results]) -> Path:
    """Where a report goes that nobody said a folder for: never into the installed package."""
    own = [run.path for run in runs if run.path.parent != FOLDER]
    if not own:
        return Path("runs") / runs[0].task.name / "report"
    return (own[0] if len(runs) == 1 else own[0].parent) / "report"


def _write(
    studies: Mapping[str, Study], folder: Path, sections: Sequence[Section], also: dict[str, bool]
) -> Path:
    from seqbench.reporting import overview, write  # matplotlib takes a second

    if len(studies) == 1:
        (study,) = studies.values()
        return write.write(document(study, sections), folder, **also)
    for name, study in studies.items():
        one = document(study, sections, up=overview.title(studies))
        write.write(one, folder / name, **also)
    return write.write(overview.document(studies), folder, **also)


def document(study: Study, sections: Sequence[Section], up: str = "") -> Document:
    """A run's report, to be rendered.

    Args:
        up: the title of the page that it belongs to.
    """
    parts = [
        Part(
            section.title,
            list(section.blocks(study)),
            folded=getattr(section, "folded", False),
            beside=getattr(section, "beside", False),
        )
        for section in sections
    ]
    task, seeds = study.task, study.comparison["seeds"]
    low, high = int(seeds.min()), int(seeds.max())
    n = count(high, "seed") if low == high else f"{low} to {high} seeds"
    facts = (
        f"{study.unit.at(*task.lengths)}; n = {n} a cell and length; at most "
        f"{task.training.steps:,} training steps."
    )
    shown = [part for part in parts if part.blocks]
    title = join(study.results.parts) or task.name
    return Document(title, task.description, facts, shown, up)


def _bundled() -> list[Section]:
    return [plugins.load(spec)() for spec, _ in plugins.bundled("sections").values()]


def _section(given: str | type) -> Section:
    cls = plugins.load(plugins.resolve(given, "sections")) if isinstance(given, str) else given
    for name in ("title", "blocks"):
        if not hasattr(cls, name):
            raise InputError(
                f"--section {given}: {cls.__name__} has no {name}\n"
                "allowed: a class with a title and blocks(study), see docs/adding-a-figure.md"
            )
    return cls()
