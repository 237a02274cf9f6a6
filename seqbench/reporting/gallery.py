"""A page that leads to every report in a folder, with a picture of each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from seqbench.errors import InputError
from seqbench.results import write_atomically

PICTURES = ("overview", "story", "flow", "loss")  # the first of them that a report has
WIDTH = 380  # pixels
HEAD = """# {title}

Made by `seqbench gallery {title}`, which reads the reports themselves. Each folder has `report.md`,
`index.html` (the same as a page of its own, to sort, filter and point at), `tables/` (CSV) and
`figures/` (PNG).
"""


def gallery(folder: Path) -> Path:
    """Write README.md into a folder of reports; what is written by hand, notes.md, stands above.

    Returns:
        It.

    Raises:
        InputError: no report lies there, or it can't be written.
    """
    found = sorted(folder.glob("*/report.md"), key=lambda file: (not _leads_on(file), file))
    if not found:
        raise InputError(
            f"{folder}: no report lies there\nallowed: the folder of those that `seqbench report` "
            "wrote"
        )
    title = folder.resolve().name
    notes = folder / "notes.md"
    said = [notes.read_text(encoding="utf-8")] if notes.is_file() else []
    entries = [line for one in found for line in _entry(one)]
    text = "\n".join([HEAD.format(title=title), *said, *entries])
    target = folder / "README.md"
    write_atomically(target, lambda file: file.write_text(text, encoding="utf-8"))
    return target


def _leads_on(file: Path) -> bool:
    """Whether a report is one over others, in folders of its own."""
    return any(file.parent.glob("*/report.md"))


def _entry(file: Path) -> Iterator[str]:
    name = file.parent.name
    text = file.read_text(encoding="utf-8").split("\n\n", 2)
    title, lead = text[0].removeprefix("# ").strip(), text[1] if len(text) > 1 else ""
    head = name if title in ("", name) else f"{name}: {title}"
    yield from (f"## [{head}]({quote(name)}/report.md)", "", " ".join(lead.split()), "")
    for picture in PICTURES:
        if (file.parent / "figures" / f"{picture}.png").is_file():
            path = f"{quote(name)}/figures/{picture}.png"
            yield f'<a href="{quote(name)}/report.md"><img src="{path}" width="{WIDTH}" alt=""></a>'
            yield ""
            return
