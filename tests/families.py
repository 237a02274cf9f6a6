"""Processes and what they have started, as Linux tells it."""

from pathlib import Path


def family(pid):
    """A process and all that it has started, whichever thread did, oldest first."""
    found = [pid]
    for member in found:
        for file in Path(f"/proc/{member}/task").glob("*/children"):
            try:
                found += map(int, file.read_text().split())
            except OSError:
                continue
    return found
