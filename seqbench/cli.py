"""The commands. Thin: each parses, calls, prints. Heavy imports wait until a command needs them."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from seqbench.errors import InputError, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seqbench.results import Results
    from seqbench.sweep.plan import Plan
    from seqbench.sweep.run import Means

MOST_NARROW = 20  # columns of a terminal that lines are fitted to
UNDER = 16  # what a check says stands in this column

app = typer.Typer(
    name="seqbench",
    help="A benchmark suite for the memory of recurrent networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line; what the user got wrong ends in two lines and status 2."""
    _open_standard_streams()
    for stream in (sys.stdout, sys.stderr):  # a terminal that knows ASCII alone
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        with _stopping_once():
            app()
    except InputError as error:
        _say(f"seqbench: {error}")
        sys.exit(2)
    except BrokenPipeError:  # `seqbench list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    except OSError as error:
        _say(f"seqbench: {error.filename or 'a file'}: {error.strerror or error}")
        sys.exit(2)
    except _Stopped as how:
        word = "terminated" if how.number == signal.SIGTERM else "interrupted"
        _say(f"seqbench: {word}{how.told}")
        sys.exit(128 + how.number)


class _Stopped(BaseException):
    """Somebody asked the process to end, by a signal; no KeyboardInterrupt, which typer takes for
    a mistake."""

    def __init__(self, number: int, told: str = "") -> None:
        self.number, self.told = number, told


@contextmanager
def _stopping_once() -> Iterator[None]:
    """The first Ctrl-C or SIGTERM ends what is going on; while that is tidied up, a second does not
    get in its way."""
    asked = False

    def stop(number: int, _: object) -> None:
        nonlocal asked
        if not asked:
            asked = True
            raise _Stopped(number)

    before = {}
    with suppress(ValueError):  # not in the main thread
        before = {one: signal.signal(one, stop) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items() if not asked else ():
            signal.signal(one, handler)


def _open_standard_streams() -> None:
    """Where one was closed, what is written goes nowhere, and not into a file of ours."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))


def _show_version(wanted: bool) -> None:
    if wanted:
        from seqbench import __version__

        print(f"seqbench {__version__}")
        raise typer.Exit()


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    """A benchmark suite for the memory of recurrent networks."""


@app.command()
def run(
    task: Annotated[str, typer.Argument(help="A bundled task, or the path of a card.")],
    out: Annotated[
        Path | None, typer.Option(help="The run's folder.", show_default="runs/NAME")
    ] = None,
    cells: Annotated[
        str | None, typer.Option(help="Only these, or others: A,B (names, labels, specs).")
    ] = None,
    lengths: Annotated[str | None, typer.Option(help="Instead of the card's: 50,100.")] = None,
    seeds: Annotated[int | None, typer.Option(help="How many, numbered from 0.")] = None,
    steps: Annotated[int | None, typer.Option(help="Training steps at most.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="table.key=value, in TOML or plain text.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Trials at a time.", show_default="one a core")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "cpu",
    dry_run: Annotated[bool, typer.Option(help="Show what would be run, and stop.")] = False,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds that a trial may take.", min=0.001)
    ] = None,
    shard: Annotated[
        str | None, typer.Option(help="i/n: the i-th of n equal parts of the trials.")
    ] = None,
    dask: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Of a Dask scheduler, for its workers.")
    ] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Event files for TensorBoard.")
    ] = None,
) -> None:
    """Run a task, or what is missing of it; then print the comparison table."""
    from seqbench.reporting import terminal
    from seqbench.sweep import plan
    from seqbench.sweep import run as sweep

    planned = plan.plan(
        task,
        out,
        cells=cells,
        lengths=_numbers("--lengths", lengths),
        seeds=seeds,
        steps=steps,
        overrides=_settings(settings or []),
        shard=plan.shard(shard) if shard else None,
    )
    means = sweep.Means(workers, device, timeout, dask, tensorboard).checked()
    if dry_run:
        _show_plan(planned, means)
        return
    results = _carry_out(planned, means)
    terminal.print_comparison(results)
    print(f"\nnext: seqbench report {planned.path}")
    _check_results(planned, results)


@app.command()
def compare(
    cells: Annotated[
        list[str], typer.Argument(metavar="CELL...", help="Names or specs, as in my.py:MyCell.")
    ],
    to: Annotated[
        str, typer.Option(metavar="REFERENCE", help="A bundled reference, or the folder of a run.")
    ] = "quickstart",
    out: Annotated[
        Path | None, typer.Option(help="The run's folder.", show_default="runs/to-REFERENCE")
    ] = None,
    lengths: Annotated[str | None, typer.Option(help="Instead of the reference's: 50,100.")] = None,
    seeds: Annotated[int | None, typer.Option(help="How many of the reference's.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Trials at a time.", show_default="one a core")
    ] = None,
) -> None:
    """Train new cells as those of a reference were, and write a report with all of them.

    On the same seeds and batches, so that they are compared in pairs; the reference is not run
    again.
    """
    from seqbench import report as write
    from seqbench.reporting import terminal
    from seqbench.results.reference import find
    from seqbench.results.together import together
    from seqbench.sweep import plan
    from seqbench.sweep import run as sweep

    reference = find(to)
    folder = out or Path("runs") / f"to-{Path(to).name}"
    wanted = _numbers("--lengths", lengths)
    planned = plan.plan(reference.task, folder, cells=[*cells], lengths=wanted, seeds=seeds)
    results = _carry_out(planned, sweep.Means(workers))
    both = together({folder.name: results, reference.name: reference})
    terminal.print_comparison(both)
    print(write(both, folder / "report"))
    _check_results(planned, results)


def _carry_out(planned: Plan, means: Means) -> Results:
    """Run what is missing; whoever interrupts it is told how to go on."""
    from seqbench.sweep import run as sweep

    _say_what_is_imported(planned)
    _say_what_is_finished(planned)
    try:
        return sweep.carry_out(planned, means)
    except _Stopped as how:
        kept = f"{_finished(planned)} trials are finished and kept"
        raise _Stopped(how.number, f"; {kept}, the same command runs the rest") from None


def _check_results(planned: Plan, results: Results) -> None:
    """Status 1, and why, where a trial has no result."""
    from seqbench.card.status import FINISHED
    from seqbench.reporting import terminal

    if not results.trials["status"].isin(FINISHED).all() and _without_result(planned):
        for line in terminal.errors(results):
            _say(f"seqbench: {line}")
        for hint in _where_to_look(planned, terminal.errors(results)):
            _say(f"seqbench: {hint}")
        raise typer.Exit(1)


@app.command()
def report(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Folders of runs, or names of references."),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Where to write it.", show_default="report, in the run")
    ] = None,
    sections: Annotated[
        list[str] | None,
        typer.Option("--section", help="One more: module:Class or file.py:Class."),
    ] = None,
    latex: Annotated[
        bool, typer.Option("--latex", help="Tables in LaTeX and figures as PDF too.")
    ] = False,
    svg: Annotated[bool, typer.Option("--svg", help="Figures as SVG too.")] = False,
) -> None:
    """Write a page, tables and figures that compare the cells of one run or several.

    Runs of one problem share a page; runs of several problems get a page each, and one over all.
    """
    from seqbench import report as write
    from seqbench.results.reference import find

    opened = [find(path) for path in runs]
    _busy(f"drawing tables and figures of {sum(len(one.trials) for one in opened)} trials")
    print(write(opened, out, sections=sections or [], latex=latex, svg=svg))


@app.command()
def gallery(
    reports: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder of reports.")],
) -> None:
    """Write a README.md that leads to every report in a folder, with a picture of each."""
    from seqbench.reporting.gallery import gallery as write

    print(write(reports))


@app.command()
def cite(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Folders of runs, or names of references."),
    ],
) -> None:
    """What to cite for the problems, cells and measures of a run, as BibTeX."""
    from seqbench.reporting.citations import bibtex
    from seqbench.results.reference import find

    print(bibtex([find(path).task for path in runs]), end="")


@app.command()
def diff(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="The folder of a run.")],
    after: Annotated[
        Path, typer.Argument(metavar="AFTER", help="Of another, of the same problem.")
    ],
    allow: Annotated[
        float | None,
        typer.Option(help="Exit with 1 where a loss grew by more decades, or less was solved."),
    ] = None,
) -> None:
    """What changed between two runs of the same problem, seed by seed."""
    from seqbench import load
    from seqbench.analysis.difference import difference, exceeded
    from seqbench.reporting.terminal import print_difference

    table = difference(load(before), load(after))
    print_difference(table)
    worse = table[:0] if allow is None else exceeded(table, allow)
    for row in worse.itertuples():
        _say(f"seqbench: {row.cell} T={row.length}: more than was allowed")
    if len(worse):
        raise typer.Exit(1)


@app.command()
def table(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs.")],
    length: Annotated[
        int | None, typer.Option(metavar="T", help="This length alone.", show_default="all")
    ] = None,
    sort: Annotated[
        str, typer.Option(metavar="COLUMN", help="Best first, by this column of the table.")
    ] = "solved",
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the data.")] = None,
) -> None:
    """Which cell to take, of one run or several: what was solved, how sure, at what cost.

    seqbench table runs/adding runs/mine --length 200 --sort seconds
    """
    from seqbench import choices, load
    from seqbench.reporting.flow_files import check_files
    from seqbench.reporting.terminal import print_choices

    check_files(None, csv)
    found = choices(load(runs), length=length, sort=sort)
    print_choices(found)
    if csv is not None:
        found.to_csv(csv, index=False)
        print(csv)


@app.command()
def flow(
    cells: Annotated[
        list[str],
        typer.Argument(
            metavar="CELL...",
            help="""Names or specs, or tables: '{ use = "lstm", forget_bias = 3 }'""",
        ),
    ],
    length: Annotated[
        int,
        typer.Option(metavar="T", help="Time steps of the sequence; layers of a network.", min=1),
    ] = 400,
    hidden: Annotated[int, typer.Option(metavar="H", help="Hidden size.", min=1)] = 128,
    seed: Annotated[
        int,
        typer.Option(
            metavar="N", help="Of initialisation, inputs, cotangent.", min=0, max=2**63 - 1
        ),
    ] = 0,
    kind: Annotated[
        str | None,
        typer.Option(metavar="KIND", help="cell, or layer: those that take whole sequences."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="OPTION=VALUE", help="For the constructor of each cell: forget_bias=3"
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a figure: .png, .svg or .pdf.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the data.")] = None,
) -> None:
    """How far back the gradient reaches in freshly initialised cells; nothing is trained.

    seqbench flow rnn lstm '{ use = "lstm", forget_bias = 3 }' --length 100

    seqbench flow dense --length 50 --set activation=sigmoid
    """
    from seqbench.reporting import terminal
    from seqbench.reporting.flow_files import check_files, save
    from seqbench.sweep import apart

    check_files(out, csv)
    _busy(f"measuring {', '.join(cells)}, length {length:,}")
    seen = apart.untrained(
        cells,
        length=length,
        hidden_size=hidden,
        seed=seed,
        kind=kind,
        options=_settings(settings or [], "option=value, as in forget_bias=3"),
    )
    terminal.print_flow(seen.table, seen.float32_zeros, seen.gates, seen.unreached)
    for path in save(seen.table, figure=out, csv=csv):
        print(path)


@app.command()
def check(
    cell: Annotated[str, typer.Argument(metavar="CELL", help="A name or a spec.")],
    kind: Annotated[
        str | None, typer.Option(help="cell, or layer: one that takes whole sequences.")
    ] = None,
    input_size: Annotated[int, typer.Option("--input", help="Input size to try.", min=1)] = 3,
    hidden_size: Annotated[int, typer.Option("--hidden", help="Hidden size to try.", min=1)] = 8,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="option=value, for the constructor.")
    ] = None,
) -> None:
    """Whether a cell keeps the contract; for each check that fails, what to do."""
    from seqbench.sweep.apart import examined

    sizes = {"input_size": input_size, "hidden_size": hidden_size}
    options = _settings(settings or [], "option=value, as in forget_bias=3")
    _print_checks(cell, examined("examine", cell, kind=kind, **sizes, options=options))


def _print_checks(subject: str, results: Iterable[tuple[str, str]]) -> None:
    counts: Counter[str] = Counter()
    for status, text in results:
        for line in printable(text).splitlines():
            print(_fitted(line, UNDER), flush=True)
        counts[status] += 1
    print(f"\n{subject}: " + ", ".join(f"{n} {status}" for status, n in counts.items()))
    if counts["failed"]:
        raise typer.Exit(1)


@app.command("check-problem")
def check_problem(
    problem: Annotated[str, typer.Argument(metavar="PROBLEM", help="A name or a spec.")],
    length: Annotated[
        int, typer.Option(metavar="T", help="The length that it is tried with.", min=1)
    ] = 20,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OPTION=VALUE", help="For the constructor."),
    ] = None,
) -> None:
    """Whether a problem keeps the contract; for each check that fails, what to do."""
    from seqbench.sweep.apart import examined

    options = _settings(settings or [], "option=value, as in protocol=early")
    results = examined("examine_problem", problem, length=length, options=options)
    _print_checks(problem, results)


@app.command()
def show(
    problem: Annotated[str, typer.Argument(metavar="PROBLEM", help="A name or a spec.")],
    length: Annotated[int, typer.Option(metavar="T", help="Its length.", min=1)] = 20,
    seed: Annotated[int, typer.Option(metavar="N", help="Which sequence.", min=0)] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OPTION=VALUE", help="For the constructor."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a figure: .png, .svg or .pdf.")
    ] = None,
) -> None:
    """An example sequence of a problem: what is shown, what is asked, which steps that needs."""
    from seqbench.reporting import example as picture
    from seqbench.reporting.flow_files import check_files
    from seqbench.sweep.apart import shown

    check_files(out, None)
    options = _settings(settings or [], "option=value, as in protocol=early")
    sequence, baselines = shown(problem, length=length, seed=seed, options=options)
    print(printable(sequence.table().to_string(index=False)))
    print()
    for name, (loss, score) in baselines.items():
        print(printable(f"baseline, {name}: loss {loss:.4g}, score {score:.3g}"))
    if out is not None:
        picture.save(sequence, out, f"{problem}, T = {length}")
        print(out)


@app.command()
def status(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder.")],
) -> None:
    """How a run stands: from another terminal, while it runs or after it has ended."""
    from seqbench.sweep.status import lines

    for line in lines(run):
        print(printable(line))


@app.command("list")
def list_(
    what: Annotated[str, typer.Argument(help="tasks, problems, cells, ...: one kind.")] = "",
) -> None:
    """What there is by name."""
    from seqbench import plugins
    from seqbench.card import task as cards
    from seqbench.problems import group

    kinds = ("tasks", "problems", "cells", "diagnostics", "sections")
    if what and what not in kinds:
        raise InputError(f"list {what}\nallowed: {', '.join(kinds)}")
    for kind in [what] if what else kinds:
        if not what:
            print(f"{kind}:")
        groups: dict[str, str] = {}  # name -> the heading that it stands under
        if kind == "tasks":
            loaded = {name: cards.load(name) for name in cards.bundled()}
            rows = {name: card.description for name, card in loaded.items()}
            groups = {name: group(card.problem.name) for name, card in loaded.items()}
        else:
            available = plugins.available(cast("plugins.Kind", kind))
            rows = {name: told for name, (_, told) in available.items()}
        if kind == "problems":
            groups = {name: group(name) for name in rows}
        width = max(map(len, rows), default=0)
        for heading in dict.fromkeys(groups.get(name, "") for name in rows):
            if heading:
                print(f" {heading}")
            for name, told in rows.items():
                if groups.get(name, "") == heading:
                    print(_fitted(f"  {name:<{width}} {told}", width + 3))


def _fitted(line: str, indent: int) -> str:
    """A line, in as many as a terminal needs for it, all but the first of them indented; where
    there is no terminal, as it is."""
    if not sys.stdout.isatty():
        return line
    width = max(MOST_NARROW, shutil.get_terminal_size().columns)
    if len(line) <= width:
        return line
    under = " " * min(max(indent, len(line) - len(line.lstrip())), width // 2)
    return textwrap.fill(
        line, width, subsequent_indent=under, break_on_hyphens=False, drop_whitespace=True
    )


def _say(line: str) -> None:
    """What is going on, apart from what was asked for."""
    with suppress(OSError, ValueError):  # nobody listens
        print(printable(line), file=sys.stderr, flush=True)


def _busy(line: str) -> None:
    """For somebody who sits and waits."""
    if sys.stderr.isatty():
        _say(line)


def _numbers(option: str, text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise InputError(f"{option} {text}\nallowed: whole numbers, as in 50,100") from None


def _settings(
    given: list[str], allowed: str = "table.key=value, as in training.steps=500"
) -> dict[str, Any]:
    import tomllib

    changes = {}
    for one in given:
        key, equals, value = one.partition("=")
        if not equals or not key.strip():
            raise InputError(f"--set {one}\nallowed: {allowed}")
        try:
            changes[key.strip()] = tomllib.loads(f"value = {value}")["value"]
        except (ValueError, RecursionError):
            text = value.strip()
            changes[key.strip()] = {"True": True, "False": False}.get(text, text)
    return changes


def _show_plan(planned: Plan, means: Means) -> None:
    from seqbench.sweep import timing
    from seqbench.sweep.progress import duration, name

    phases = timing.phases(planned)
    missing = [trial for phase in phases for trial in phase.missing]
    at_once = means.at_a_time(missing)
    _busy("timing a few steps, an evaluation and a record of each cell and length")
    costs = {} if means.dask else timing.costs(missing, at_once, means.device)
    for phase in phases:
        total, count = len(phase.task.trials()), len(phase.missing)
        counts = f"{total} trials, {total - count} finished, {count} to run"
        print(f"{phase.task.name}: {counts}, into {phase.path}")
        for trial in phase.missing:
            cost = costs.get(timing.kind(trial))
            time = f", {duration(cost.whole(trial))}" if cost else ""
            steps = f"at most {trial.training.steps:,} steps"
            print(printable(f"  {name(trial)}: {steps}{time}"))
    for line in timing.lines(planned, costs, at_once):
        print(line)


def _where_to_look(planned: Plan, errors: list[str]) -> Iterator[str]:
    """The checks of whose code it may be: the problem's where an error comes from its file."""
    problem = str(planned.task.problem.source).rpartition(":")[0]
    of_problem = [line for line in errors if f"({Path(problem).name}:" in line]
    if of_problem and problem.endswith(".py"):
        name = planned.task.problem.name
        yield f"whether the problem keeps the contract: seqbench check-problem {name}"
    if len(of_problem) < len(errors) or not problem.endswith(".py"):
        yield "whether a cell keeps the contract: seqbench check CELL"


def _without_result(planned: Plan) -> int:
    """How many trials of what was asked for have none by now."""
    from seqbench.sweep.plan import lay_out

    # Once more from the folder: the rates of a tuned task are known by now.
    return len(lay_out(planned.path, planned.task, planned.shard).missing)


def _finished(planned: Plan) -> str:
    total = len(planned.task.trials())
    return f"{total - _without_result(planned)} of {total}"


def _say_what_is_imported(planned: Plan) -> None:
    """Somebody's code runs because its user asked for it: by its file."""
    for table in planned.task.named():
        if ".py:" in str(table.source):
            _say(f"{table.where} is {table.source}")


def _say_what_is_finished(planned: Plan) -> None:
    total, missing = len(planned.task.trials()), len(planned.missing)
    if missing < total:
        _say(f"{total - missing} of {total} trials were finished before, {missing} to run")
