"""Help texts that read well at any width: words for values, and no names of Python's types."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

from seqbench.errors import InputError


class Command(TyperCommand):
    """One of the commands."""

    def collect_usage_pieces(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """CELL... as it is, [KIND] for what may be left out."""
        return [self.options_metavar or "", *(name for name, _ in self.arguments())]

    def arguments(self) -> Iterator[tuple[str, str]]:
        """Each with its explanation."""
        for one in self.params:
            if isinstance(one, TyperArgument):
                yield str(one.metavar), one.help or ""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments, then options."""
        with formatter.section("Arguments"):
            formatter.write_dl(list(self.arguments()))
        records = [
            one.get_help_record(ctx)
            for one in self.get_params(ctx)
            if not isinstance(one, TyperArgument)
        ]
        with formatter.section("Options"):
            formatter.write_dl([record for record in records if record])


class Commands(TyperGroup):
    """All of them; each with the whole first sentence of its help."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """In the order in which they are listed in `seqbench.cli`."""
        rows = []
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            whole = " ".join((command.help or "").split("\n\n")[0].split()) if command else ""
            rows.append((name, whole.split(": ")[0].rstrip(".") + "."))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def at_least(least: int) -> Callable[[typer.CallbackParam, int], int]:
    """A check of an option's whole number; raises InputError for one that is too small."""

    def check(option: typer.CallbackParam, value: int) -> int:
        if not least <= value < 2**63:
            raise InputError(f"{option.opts[0]} {value}\nallowed: whole numbers from {least} on")
        return value

    return check
