"""Commands that run trials, and look at how they stand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seqbench.cli import words
from seqbench.cli.process import Stopped
from seqbench.cli.words import busy, changes, numbers
from seqbench.errors import printable, say

if TYPE_CHECKING:
    from seqbench.results import Results
    from seqbench.sweep.plan import Plan
    from seqbench.sweep.run import Means


Out = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="The run's folder.", show_default="runs/TASK"),
]
Lengths = Annotated[
    list[str] | None, typer.Option(metavar="T,T", help="In place of the given ones: 50,100.")
]
Workers = Annotated[
    int | None,
    typer.Option(metavar="N", help="Trials at a time.", show_default="one a core"),
]


def run(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="A bundled task, or the path of a card.")
    ],
    out: Out = None,
    cells: Annotated[
        list[str] | None,
        typer.Option(
            metavar="A,B", help="Only these, or others: labels, names or specs. May be repeated."
        ),
    ] = None,
    lengths: Lengths = None,
    seeds: Annotated[
        int | None, typer.Option(metavar="N", help="How many, in place of the card's.")
    ] = None,
    steps: Annotated[int | None, typer.Option(metavar="N", help="Training steps at most.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="In place of what the card says: training.batch_size=64. May be repeated.",
        ),
    ] = None,
    workers: Workers = None,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="cpu, cuda, or auto: cuda where there is one.")
    ] = "cpu",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be run and how long it takes; stop.")
    ] = False,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="What a trial may take at most.")
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="The I-th of N equal parts of the trials alone."),
    ] = None,
    dask: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Of a Dask scheduler, for its workers.")
    ] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Event files for TensorBoard.")
    ] = None,
) -> None:
    """Run a task, or what is missing of it; then print the comparison table.

    \b
    seqbench run quickstart
    seqbench run adding --lengths 50,100 --seeds 2 --dry-run
    seqbench run adding --cells my.py:MyCell,lstm --out mine
    """
    from seqbench.reporting import terminal
    from seqbench.sweep import plan
    from seqbench.sweep import run as sweep

    planned = plan.plan(
        task,
        out,
        cells=None if cells is None else ",".join(cells),
        lengths=numbers("--lengths", lengths),
        seeds=seeds,
        steps=steps,
        overrides=changes(settings or []),
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


def compare(
    cells: Annotated[
        list[str], typer.Argument(metavar="CELL...", help="Names or specs, as in my.py:MyCell.")
    ],
    to: Annotated[
        str, typer.Option(metavar="REFERENCE", help="A bundled reference, or the folder of a run.")
    ] = "quickstart",
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The run's folder.", show_default="runs/to-REFERENCE"),
    ] = None,
    lengths: Lengths = None,
    seeds: Annotated[
        int | None, typer.Option(metavar="N", help="How many of the reference's.")
    ] = None,
    workers: Workers = None,
) -> None:
    """Train new cells as those of a reference were, and write a report with all of them.

    On the same seeds and batches, so that they are compared in pairs; the reference is not run
    again.

    \b
    seqbench compare my.py:MyCell --to quickstart
    seqbench compare my.py:MyCell --to runs/adding --seeds 3
    """
    from seqbench import report as write
    from seqbench.reporting import terminal
    from seqbench.results.reference import find
    from seqbench.results.together import together
    from seqbench.sweep import plan
    from seqbench.sweep import run as sweep

    reference = find(to)
    folder = out or Path("runs") / f"to-{Path(to).name}"
    wanted = numbers("--lengths", lengths)
    named = words.cells(cells, [cell.label for cell in reference.task.cells])
    planned = plan.plan(reference.task, folder, cells=named, lengths=wanted, seeds=seeds)
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
    except Stopped as how:
        kept = f"{_finished(planned)} trials are finished and kept"
        raise Stopped(how.number, f"; {kept}, the same command runs the rest") from None


def _check_results(planned: Plan, results: Results) -> None:
    """Status 1, and why, where a trial has no result."""
    from seqbench.card.status import FINISHED
    from seqbench.reporting import terminal

    if not results.trials["status"].isin(FINISHED).all() and _without_result(planned):
        errors = terminal.errors(results)
        for line in [*errors, *_where_to_look(planned, errors)]:
            say(f"seqbench: {line}")
        raise typer.Exit(1)


def status(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder.")],
) -> None:
    """How a run stands: from another terminal, while it runs or after it has ended.

    seqbench status runs/adding
    """
    from seqbench.sweep.status import lines

    for line in lines(run):
        print(printable(line))


def _show_plan(planned: Plan, means: Means) -> None:
    from seqbench.sweep import timing
    from seqbench.sweep.progress import duration, name

    phases = timing.phases(planned)
    missing = [trial for phase in phases for trial in phase.missing]
    at_once = means.at_a_time(missing)
    busy("timing a few steps, an evaluation and a record of each cell and length")
    costs = {} if means.dask else timing.costs(missing, at_once, means.device)
    for phase in phases:
        total, count = len(phase.task.trials()), len(phase.missing)
        counts = f"{total} trials, {total - count} finished, {count} to run"
        print(f"{phase.task.name}: {counts}, into {phase.path}")
        for trial in phase.missing:
            cost = costs.get(timing.kind(trial))
            time = f", {duration(cost.whole(trial))}" if cost else ""
            steps = f"at most {trial.training.steps:,} training steps"
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
            say(f"{table.where} is {table.source}")


def _say_what_is_finished(planned: Plan) -> None:
    total, missing = len(planned.task.trials()), len(planned.missing)
    if missing < total:
        say(f"{total - missing} of {total} trials were finished before, {missing} to run")
