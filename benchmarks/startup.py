"""How long the command line takes to say something that needs no computing."""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.timing import Row, Table, interleaved

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "pandas")
LOADED = (
    "import sys; sys.argv = ['seqbench', *{words!r}]\n"
    "try:\n    from seqbench.cli import main; main()\n"
    "except SystemExit: pass\n"
    "print(*sys.modules, file=sys.stderr)"
)


def measure(quick: bool) -> Table:
    """Against `python -c pass`; and which heavy modules were imported."""
    table = Table("The command line")
    commands = {"pass": ["-c", "pass"], "--help": ["-m", "seqbench", "--help"],
                "list": ["-m", "seqbench", "list"]}  # fmt: skip
    each = {name: _process(words) for name, words in commands.items()}
    taken = interleaved(each, seconds=0.1 if quick else 15, fewest=2 if quick else 15)
    nothing = statistics.median(taken["pass"])
    for name, target in (("--help", 0.15), ("list", 0.3)):
        heavy = [module for module in HEAVY if module in _modules([name])]
        more = [t - p for t, p in zip(taken[name], taken["pass"], strict=True)]
        low, _, high = statistics.quantiles(more, n=4)
        loaded = f"imports {', '.join(heavy)}" if heavy else "imports neither torch nor pandas"
        table.rows.append(
            Row(f"seqbench {name}", loaded, "python -c pass",
                statistics.median(taken[name]) - nothing, target, "s more", spread=(low, high))
        )  # fmt: skip
        if heavy and name == "--help":
            table.notes.append(f"seqbench --help imports {heavy}: the target is missed.")
    return table


def _process(words: list[str]):
    return lambda: subprocess.run(
        [sys.executable, *words], cwd=ROOT, check=True, capture_output=True
    )


def _modules(words: list[str]) -> set[str]:
    ran = subprocess.run(
        [sys.executable, "-c", LOADED.format(words=words)],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return set(ran.stderr.split())
