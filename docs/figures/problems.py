"""Writes docs/problems.md and its pictures from the problems themselves.

python docs/figures/problems.py
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from seqbench import plugins
from seqbench.problems import GROUPS
from seqbench.problems.draw_example import example
from seqbench.problems.example import Example
from seqbench.reporting import example as picture

DOCS = Path(__file__).parents[1]
PAGE = DOCS / "problems.md"
# What each is shown with; all others at T = 20.
SHOWN: dict[str, tuple[int, dict[str, Any]]] = {
    "copy": (10, {}),
    "memorisation": (10, {}),
    "denoising": (10, {}),
    "delay": (6, {}),
    "memory_capacity": (4, {}),
    "noise_free": (12, {}),
    "selective_copying": (16, {"tokens": 4}),
    "mqar": (20, {"pairs": 3, "vocabulary": 12}),
    "state_tracking": (12, {}),
    "images": (8, {}),
    "flat_images": (1, {}),
}
HEAD = """# Problems

*Written by `python docs/figures/problems.py` from the problems themselves; `seqbench show NAME`
draws any of them at any length, with its options by `--set`.*

A picture shows one sequence: what is shown at each step (dark is large), what is asked at the steps
that are scored, and arrows to an anchor from the steps that its answer needs. Baselines are in
closed form; the first one is the reference that reports draw.
"""


def made(name: str, spec: str) -> tuple[int, dict[str, Any], Any]:
    """A problem as it is shown: its length, options, and itself."""
    length, options = SHOWN.get(name, (20, {}))
    return length, options, plugins.load(spec)(length, **options)


def page() -> str:
    """The text of the page."""
    parts = [HEAD]
    for group, names in GROUPS.items():
        parts.append(f"## {group.capitalize()}\n")
        for name, (spec, _) in names.items():
            length, options, problem = made(name, spec)
            sequence = example(problem)
            given = "".join(f", {key} = {value}" for key, value in options.items())
            parts += [
                f"### {name}\n",
                described(type(problem)) + "\n",
                f"![one sequence of {name}](figures/problem-{name}.png)\n",
                f"At T = {length}{given}:\n",
                "| | loss | score |\n| --- | --- | --- |",
                *(
                    f"| {line} | {told.loss:.4g} | {told.score:.3g} |"
                    for line, told in problem.baselines.items()
                ),
                "",
                needed(sequence) + "\n",
            ]
    return "\n".join(parts)


def described(cls: type) -> str:
    """A docstring without its list of errors."""
    kept, keep = [], True
    for line in inspect.cleandoc(cls.__doc__ or "").splitlines():
        keep = line != "Raises:" if not line.startswith(" ") and line else keep
        if line == "Args:":
            kept.append("Options:\n")
        elif keep and line.startswith("    ") and not line.startswith("        "):
            kept.append(f"- {line.strip()}")
        elif keep:
            kept.append(line)
    return "\n".join(kept).replace("\n\n\n", "\n\n").strip()


def needed(sequence: Example) -> str:
    """How far back the answers of the sequence in the picture need to see."""
    told = []
    for anchor, steps in sequence.needs.items():
        lags = sorted(anchor - step for step in steps)
        few = ", ".join(map(str, lags)) if len(lags) <= 4 else f"{lags[0]} to {lags[-1]}"
        told.append(f"the answer at step {anchor} needs what was shown {few} steps before")
    return f"In the picture {'; '.join(told)}."


def main() -> None:
    """Write the page and the pictures."""
    PAGE.write_text(page(), encoding="utf-8")
    for names in GROUPS.values():
        for name, (spec, _) in names.items():
            length, _, problem = made(name, spec)
            file = DOCS / "figures" / f"problem-{name}.png"
            picture.save(example(problem), file, f"{name}, T = {length}")


if __name__ == "__main__":
    main()
