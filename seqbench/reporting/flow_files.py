"""What `seqbench flow` writes: checked before anything is computed, written at the end."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from seqbench.errors import InputError

FORMATS = (".png", ".svg", ".pdf")


def save(table: pd.DataFrame, *, figure: Path | None, csv: Path | None) -> list[Path]:
    """Write the figure and the data of `compare`, where asked.

    Returns:
        The files written.

    Raises:
        InputError: a file can't be written.
    """
    from seqbench.reporting.untrained import untrained_flow  # matplotlib takes a second

    written = []
    try:
        if csv is not None:
            table.to_csv(csv, index=False)
            written.append(csv)
        if figure is not None:
            untrained_flow(table).savefig(figure, dpi=150)
            written.append(figure)
    except OSError as error:
        path = csv if csv is not None and csv not in written else figure
        raise InputError(
            f"{path}: can't be written: {error.strerror or error}\n"
            "allowed: a file in a folder that you may write to"
        ) from None
    return written


def check_files(figure: Path | None, csv: Path | None) -> None:
    """Before anything is computed.

    Raises:
        InputError: a figure of a format that can't be drawn, or a folder that is not there.
    """
    if figure is not None and figure.suffix not in FORMATS:
        raise InputError(f"--out {figure}\nallowed: a figure that ends in {', '.join(FORMATS)}")
    for option, path in (("--out", figure), ("--csv", csv)):
        if path is not None and not path.parent.is_dir():
            raise InputError(
                f"{option} {path}: there is no folder {path.parent}\n"
                "allowed: a file in a folder that you may write to"
            )
