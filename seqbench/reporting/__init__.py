"""Results in, what a person reads out: a page, tables, figures. `seqbench.report` is here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seqbench.analysis.study import Study
from seqbench.errors import InputError
from seqbench.results import Results, load, write_atomically

__all__ = ["report"]


def report(
    runs: Results | str | Path | Sequence[Results | str | Path], out: str | Path | None = None
) -> Path:
    """Write a page, its Markdown twin, tables and figures.

    Args:
        runs: a run, opened or its folder, or several: one page with a section each.
        out: the folder; None: "report" in the first run's folder.

    Returns:
        The page, index.html; beside it report.md, tables/*.csv, figures/*.png and *.svg.

    Raises:
        InputError: no run there, or the folder can't be written.
    """
    given = [runs] if isinstance(runs, Results | str | Path) else list(runs)
    if not given:
        raise InputError(
            "no run to report on\nallowed: at least one folder that `seqbench run` wrote"
        )
    opened = [run if isinstance(run, Results) else load(run) for run in given]
    folder = Path(out) if out is not None else opened[0].path / "report"
    try:
        for part in (folder, folder / "tables", folder / "figures"):
            part.mkdir(parents=True, exist_ok=True)
        _write(opened, folder)
    except OSError as error:
        raise InputError(
            f"--out {folder}: can't be written: {error.strerror or error}\n"
            "allowed: a folder that you may write to"
        ) from None
    return folder / "index.html"


def _write(runs: list[Results], folder: Path) -> None:
    """Everything, the page last."""
    from seqbench.reporting import figures, page, style, views  # matplotlib takes a second

    sections = []
    for name, results in zip(_names(runs), runs, strict=True):
        counted, svgs = Study(results), {}
        shown = views.views(counted.readings, results)
        section = page.Section(name, counted, shown, svgs)
        for what, table in page.files(counted).items():
            target = folder / "tables" / f"{section.file(what)}.csv"
            write_atomically(target, lambda file, table=table: table.to_csv(file, index=False))
        for what, figure in figures.draw(counted, shown).items():
            file = section.file(what)
            svgs[what], png = style.pictures(figure, file)
            _write_text(folder / "figures" / f"{file}.svg", svgs[what])
            target = folder / "figures" / f"{file}.png"
            write_atomically(target, lambda to, png=png: to.write_bytes(png))
        sections.append(section)
    _write_text(folder / "report.md", page.render("report.md", sections))
    _write_text(folder / "index.html", page.render("page.html", sections))


def _write_text(target: Path, text: str) -> None:
    write_atomically(target, lambda file: file.write_text(text, encoding="utf-8"))


def _names(runs: list[Results]) -> list[str]:
    """A name for each run's files: none for one alone; the task's, numbered where two share it."""
    if len(runs) == 1:
        return [""]
    names: list[str] = []
    for run in runs:
        taken = sum(
            name.rpartition("-run")[0] == run.task.name or name == run.task.name for name in names
        )
        names.append(run.task.name if not taken else f"{run.task.name}-run{taken + 1}")
    return names
