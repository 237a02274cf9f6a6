"""Copies of many trials' files, each in one file: opening 10,000 trials takes as many milliseconds.

    runs/adding/packed/flow.parquet      the rows of every trial's flow.parquet, one trial after the
                                         other, page checksums; trial.parquet: the texts of
                                         trial.json, a row each

The files of the trials are what counts. A copy says of which file it is, by size and time of its
last change; where these are others, or the pack is not sound, the trial's own file is read. So a
pack may be thrown away, be left behind by whoever was killed, or come with a folder that others
were copied into.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from seqbench.results.files import remove_strays, write_atomically

FOLDER = "packed"
TOGETHER = 256  # trials in a row group
TEXT = "text"  # the column of a pack of records
INDEX, CHECKSUM = b"seqbench.trials", b"seqbench.checksum"


State = tuple[int, int]


class Copied(NamedTuple):
    """A file that a pack has a copy of.

    Attributes:
        trial: the name of its folder.
        size, changed: its state.
        rows: how many it has.
    """

    trial: str
    size: int
    changed: int
    rows: int


class Pack:
    """The copies of the files of one name in a run's folder; none where there is no sound pack.

    Args:
        run: the run's folder.
        name: "trial" or the name of a table.
    """

    def __init__(self, run: Path, name: str) -> None:
        self.file = run / FOLDER / f"{name}.parquet"

    @cached_property
    def copied(self) -> list[Copied]:
        """In the order of the rows."""
        try:
            metadata = pq.read_metadata(self.file)
            index = metadata.metadata[INDEX]
            if zlib.crc32(index) != int(metadata.metadata[CHECKSUM]):
                return []
            found = [Copied(*entry) for entry in json.loads(index)]
            whole = sum(entry.rows for entry in found) == metadata.num_rows
            return found if whole else []
        except Exception:  # no pack, or whatever a reader says of bytes that are none
            return []

    @cached_property
    def known(self) -> dict[str, Copied]:
        """The same by trial."""
        return {entry.trial: entry for entry in self.copied}

    def has(self, file: Path) -> bool:
        """Whether it has a copy of a trial's file as that is now."""
        entry = self.known.get(file.parent.name)
        try:
            return entry is not None and (entry.size, entry.changed) == state(file)
        except OSError:
            return False

    @cached_property
    def texts(self) -> dict[str, str]:
        """Of a pack of records: trial -> text; empty where it is not sound."""
        try:
            found = [(one, table[TEXT][0].as_py()) for group in self.read() for one, table in group]
        except (pa.ArrowException, OSError, LookupError):
            return {}
        return {one: text for one, text in found if isinstance(text, str)}

    def text(self, file: Path) -> str | None:
        """What a trial's record says, if there is a copy of it as that is now."""
        return self.texts.get(file.parent.name) if self.has(file) else None

    def read(self) -> Iterator[list[tuple[str, pa.Table]]]:
        """A row group at a time: the trials and their tables.

        Raises:
            pyarrow.ArrowException, OSError: it is not sound.
        """
        with pq.ParquetFile(self.file, page_checksum_verification=True) as opened:
            for number in range(opened.num_row_groups):
                group, at, found = opened.read_row_group(number), 0, []
                for entry in self.copied[number * TOGETHER : (number + 1) * TOGETHER]:
                    found.append((entry.trial, group.slice(at, entry.rows)))
                    at += entry.rows
                if at != len(group):
                    raise pa.ArrowInvalid("rows of other trials")
                yield found


def write(run: Path, name: str, files: Iterable[tuple[Path, State, pa.Table]]) -> None:
    """Write a pack, in place of what is there.

    Args:
        files: trials' files, how they were before they were read, and what is in them; those that
            have other columns than the first are left out.

    Raises:
        OSError: it can't be written, or a file is gone meanwhile.
    """
    target = run / FOLDER / f"{name}.parquet"
    target.parent.mkdir(exist_ok=True)
    remove_strays(target.parent)  # who is writing the same there gives up
    write_atomically(target, partial(_write, files=files))


def _write(target: Path, files: Iterable[tuple[Path, State, pa.Table]]) -> None:
    given = iter(files)
    first = next(given)
    columns: pa.Schema = first[2].schema
    copied: list[Copied] = []
    group: list[pa.Table] = []
    with pq.ParquetWriter(target, columns, compression="zstd", write_page_checksum=True) as writer:
        for file, before, table in chain([first], given):
            if table.schema.equals(columns):
                copied.append(Copied(file.parent.name, *before, len(table)))
                group.append(table.replace_schema_metadata(columns.metadata))
            if len(group) == TOGETHER:
                _flush(writer, group)
        _flush(writer, group)
        index = json.dumps(copied).encode()
        writer.add_key_value_metadata({INDEX: index, CHECKSUM: str(zlib.crc32(index)).encode()})


def _flush(writer: pq.ParquetWriter, group: list[pa.Table]) -> None:
    if group:
        whole = pa.concat_tables(group)
        writer.write_table(whole, row_group_size=len(whole))
        group.clear()


def state(file: Path) -> State:
    """Its size in bytes, and when it was changed, in nanoseconds."""
    found = file.stat()
    return found.st_size, found.st_mtime_ns
