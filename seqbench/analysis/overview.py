"""Runs of several problems side by side: how far each cell gets, and whether the flow tells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import combinations

import pandas as pd

from seqbench.analysis.study import Study

MOST = 6  # cells that have a column each
POINTS = ["run", "cell", "length", "s_start", "share"]


def reached(studies: Mapping[str, Study]) -> pd.DataFrame:
    """How far each cell gets on each problem, a row a run and cell.

    Returns:
        run, problem, cell; shortest, length: the card's smallest and largest; needed_lag at the
        largest; longest, share, undecided: as in `comparison.longest_solved`; learned with its
        interval: as in `comparison.headline`; what that is ("learned" or "right"); s_start, s_end:
        S at the needed lag of the largest length; trials, finished.
    """
    frames = []
    for run, study in studies.items():
        counts = study.comparison.groupby("cell")[["seeds", "finished"]].sum()
        needs = study.comparison.groupby("length")["needed_lag"].first()
        table = study.overview.drop(columns="undecided").merge(study.headline, on="cell")
        table = table.merge(study.longest[["cell", "share", "undecided"]], on="cell", how="left")
        table = table.assign(
            run=run,
            problem=study.task.problem.name.rpartition(":")[2],
            shortest=min(study.task.lengths),
            needed_lag=table["length"].map(needs),
            what="learned" if "share_learned" in study.comparison else "right",
            trials=table["cell"].map(counts["seeds"]),
            finished=table["cell"].map(counts["finished"]),
        )
        frames.append(table)
    columns = ["run", "problem", "cell", "shortest", "length", "needed_lag", "longest", "share"]
    columns += ["undecided", "learned", "learned_low", "learned_high", "what", "s_start", "s_end"]
    return pd.concat(frames, ignore_index=True)[[*columns, "trials", "finished"]]


def common_cells(studies: Mapping[str, Study]) -> list[str]:
    """The cells that several runs have (all, where no two have one in common), at most as many as
    a page is wide, in their order."""
    count = Counter(label for study in studies.values() for label in study.labels)
    shared = Counter({label: n for label, n in count.items() if n > 1}) or count
    most = [label for label, _ in shared.most_common(MOST)]
    return [label for label in count if label in most]


def points(studies: Mapping[str, Study]) -> pd.DataFrame:
    """Of each run, cell and length: S at the needed lag before training, and who solved it.

    Returns:
        run, cell, length, s_start (median over seeds), share (of the seeds with a record).
    """
    frames = [_points(study).assign(run=run) for run, study in studies.items()]
    return pd.concat(frames, ignore_index=True)[POINTS]


def _points(study: Study) -> pd.DataFrame:
    table = study.falls.dropna(subset=["s_start"])
    return table.assign(share=table["solved"] / table["trials"])


def lengths_reached(studies: Mapping[str, Study]) -> pd.DataFrame:
    """Of each run and cell: S at the needed lag of the largest length before training, and how far
    the cell got. Cells whose missing trials could still raise that are left out.

    Returns:
        run, cell, length (the card's largest), s_start (median over seeds), longest (0: none),
        reached: that as a share of the largest.
    """
    frames = [study.overview.assign(run=run) for run, study in studies.items()]
    table = pd.concat(frames, ignore_index=True)
    table = table[table["s_start"].notna() & ~table["undecided"]]
    table = table.assign(reached=table["longest"] / table["length"])
    return table[["run", "cell", "length", "s_start", "longest", "reached"]].reset_index(drop=True)


def concordance(table: pd.DataFrame, of: str = "share") -> tuple[int, int]:
    """Of two cells at the same problem and length, does the one with the more open flow get
    further? Problems that are hard for all cells say nothing here.

    Args:
        table: from `points` or `lengths_reached`.
        of: what is compared with s_start, a column.

    Returns:
        In how many pairs it does; of how many in which both differ.
    """
    agree = differ = 0
    for _, group in table.groupby(["run", "length"], sort=False):
        for one, other in combinations(group[["s_start", of]].to_numpy(float), 2):
            if (one != other).all():
                differ += 1
                agree += (one[0] > other[0]) == (one[1] > other[1])
    return agree, differ
