"""The finished trials of a run's folder: their records and tables, from packs where these fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from seqbench.card.status import Status
from seqbench.card.task import Trial
from seqbench.results import packs, schema, tables
from seqbench.results.files import Damaged, read_record

WORTH_PACKING = 200  # trials: below, reading them takes no second
MOST_KEPT = 128 << 20  # bytes of tables, as Arrow has them


@dataclass
class Opened:
    """Those of some trials that have ended, and are sound.

    Attributes:
        path: the run's folder.
        records: trial's folder -> what its trial.json says.
        files: "trial" or a table's name -> the file of each trial that has one -> the trial.
        packs: the same -> the pack.
        kept: what was read of files that are in no pack, as far as it is not too much.
    """

    path: Path
    records: dict[str, dict[str, Any]]
    files: dict[str, dict[Path, Trial]]
    packs: dict[str, packs.Pack]
    kept: dict[Path, pa.Table] = field(default_factory=dict)

    def add(self, trial: Trial) -> None:
        """Read a trial's record, if it has one."""
        record = read_record(self.path, trial, self.packs["trial"].text)
        if record is None:
            return
        self.records[trial.folder] = record
        folder = self.path / "trials" / trial.folder_under(record["schema"])
        self.files["trial"][folder / "trial.json"] = trial
        for name in schema.TABLES if record["summary"]["status"] != Status.ERROR else ():
            file = folder / f"{name}.parquet"
            if name in schema.NEEDED or file.is_file():
                self.files[name][file] = trial

    def read_loose(self, name: str, damaged: list[Damaged] | None) -> None:
        """Look at the files that are in no pack; see `open_trials`."""
        size = sum(table.nbytes for table in self.kept.values())
        loose = [file for file in self.files[name] if not self.packs[name].has(file)]
        for file, table in zip(loose, tables.read(name, loose), strict=True):
            if isinstance(table, pa.Table):
                size += table.nbytes
                if size < MOST_KEPT:
                    self.kept[file] = table
            elif damaged is None:
                raise table
            else:
                damaged.append(table)
                self.drop(file)

    def drop(self, file: Path) -> None:
        """Leave out the trial of a file."""
        for name, files in self.files.items():
            same = "trial.json" if name == "trial" else f"{name}.parquet"
            trial = files.pop(file.with_name(same), None)
            if trial:
                self.records.pop(trial.folder, None)

    def table(self, name: str, **where: str) -> pd.DataFrame:
        """All trials' tables of a name as one; empty where there is none.

        Args:
            where: column -> the value that its rows have.

        Raises:
            Damaged: a file is no longer what it was when this was opened.
        """
        first, trials = [*schema.AXES, *schema.TABLES[name]], self.files[name]
        if not trials:
            return pd.DataFrame(columns=first)
        kept = {file: self.kept[file] for file in trials if file in self.kept}
        found = {file: tables.chosen(table, where) for file, table in kept.items()}
        for file, table in self._copies(name):
            found.setdefault(file, tables.chosen(table, where))
        for file, table in self._read(name, [file for file in trials if file not in found]):
            found[file] = tables.chosen(table, where)
        axes = [
            {"cell": trial.cell.label, "length": trial.length, "seed": trial.seed}
            for trial in trials.values()
        ]
        frame = tables.joined([found[file] for file in trials], axes)
        return frame[first + [column for column in frame if column not in first]]

    def _copies(self, name: str) -> Iterator[tuple[Path, pa.Table]]:
        """What the pack has of the files, as far as it is sound."""
        pack, files = self.packs[name], [file for file in self.files[name] if file not in self.kept]
        wanted = {file.parent.name: file for file in files if pack.has(file)}
        with suppress(pa.ArrowException, OSError):
            for group in pack.read() if wanted else ():
                if tables.is_sound(name, [table for _, table in group]):
                    yield from ((wanted[one], table) for one, table in group if one in wanted)

    def _read(self, name: str, files: list[Path]) -> Iterator[tuple[Path, pa.Table]]:
        for file, table in zip(files, tables.read(name, files), strict=True):
            if isinstance(table, Damaged):
                raise table
            yield file, table

    def pack(self) -> None:
        """Pack what is worth it; a folder that can't be written is not packed."""
        with suppress(OSError):
            for name, pack in self.packs.items():
                files = list(self.files[name])
                if sum(not pack.has(file) for file in files) >= WORTH_PACKING:
                    before = [packs.state(file) for file in files]
                    read = _texts(files) if name == "trial" else self._read(name, files)
                    given = ((file, how, t) for how, (file, t) in zip(before, read, strict=True))
                    packs.write(self.path, name, given)
                    self.packs[name] = packs.Pack(self.path, name)


def _texts(files: list[Path]) -> Iterator[tuple[Path, pa.Table]]:
    for file in files:
        yield file, pa.table({packs.TEXT: [file.read_text("utf-8")]})


def open_trials(
    path: Path,
    trials: Iterable[Trial],
    damaged: list[Damaged] | None = None,
    *,
    pack: bool = False,
) -> Opened:
    """Look at what a folder holds of these trials.

    Args:
        damaged: takes up what is wrong with trials whose files are not sound.
        pack: whether to pack what is worth it.

    Raises:
        InputError: files of another schema.
        Damaged: a file is torn, or says what can't be; where nothing takes it up.
    """
    names = ("trial", *schema.TABLES)
    opened = Opened(path, {}, {n: {} for n in names}, {n: packs.Pack(path, n) for n in names})
    for trial in trials:
        try:
            opened.add(trial)
        except Damaged as fault:
            if damaged is None:
                raise
            damaged.append(fault)
    if pack:
        opened.pack()
    for name in schema.TABLES:
        opened.read_loose(name, damaged)
    return opened
