"""The commands. Thin: each parses, calls, prints. Heavy imports wait until a command needs them."""

from __future__ import annotations

import os
import signal
import sys
from typing import Annotated

import typer

from seqbench.cli import looks, reports, runs
from seqbench.cli.help import Command, Commands
from seqbench.cli.process import Stopped, open_standard_streams, stopping_once
from seqbench.errors import InputError, say

app = typer.Typer(
    name="seqbench",
    help="A benchmark suite for the memory of recurrent networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain text
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line; what the user got wrong ends in two lines and status 2."""
    open_standard_streams()
    for stream in (sys.stdout, sys.stderr):  # a terminal that knows ASCII alone
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        with stopping_once():
            app()
    except InputError as error:
        say(f"seqbench: {error}")
        sys.exit(2)
    except BrokenPipeError:  # `seqbench list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    except OSError as error:
        say(f"seqbench: {error.filename or 'a file'}: {error.strerror or error}")
        sys.exit(2)
    except Stopped as how:
        word = "terminated" if how.number == signal.SIGTERM else "interrupted"
        say(f"seqbench: {word}{how.told}")
        sys.exit(128 + how.number)


def _show_version(wanted: bool) -> None:
    if wanted:
        from seqbench import __version__

        print(f"seqbench {__version__}")
        raise typer.Exit()


@app.callback()
def common(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """A benchmark suite for the memory of recurrent networks."""


for command in (
    looks.list_,
    looks.show,
    looks.flow,
    looks.check,
    looks.check_problem,
    runs.run,
    runs.status,
    runs.compare,
    reports.report,
    reports.table,
    reports.diff,
    reports.cite,
    reports.gallery,
):
    name = command.__name__.rstrip("_").replace("_", "-")
    app.command(name, cls=Command)(command)
