"""The comparison of cells: by cell and length, and a line a cell."""

from __future__ import annotations

import numpy as np
import pandas as pd

from seqbench.analysis.opening import OPEN
from seqbench.analysis.shapes import READ_OFF, TRIAL, longest_needs
from seqbench.analysis.statistics import bootstrap, median, wilson
from seqbench.card.status import FINISHED, Status
from seqbench.results import Results

LAST = 3  # evaluations that a final value is the mean of, as in a trial's summary


def comparison(results: Results, offs: pd.DataFrame) -> pd.DataFrame:
    """The table: a row a cell and length, in the card's order.

    Args:
        offs: from `read_offs`.

    Returns:
        seeds and how many ended how; solved_low, solved_high: Wilson interval over the finished
        ones; steps_to_solve: median over the finished ones, unsolved = inf; half_life_* and
        horizon_*: medians over the seeds that have a record, inf = not within largest_lag; *_low:
        the lower of the two middle values, where the other one is infinite; share_learned at the
        end, where the problem says what that is.
    """
    needs, rows = longest_needs(results), []
    for (cell, length), group in results.trials.groupby(["cell", "length"], sort=False):
        how = group["status"].value_counts()
        finished = int(how.reindex(FINISHED, fill_value=0).sum())
        solved = int(how.get(Status.SOLVED, 0))
        low, high = wilson(solved, finished)
        done = group[group["status"].isin(FINISHED)]
        steps = done["solved_at"].astype(float).fillna(np.inf)
        rows.append(
            {
                "cell": cell,
                "length": length,
                "seeds": len(group),
                "finished": finished,
                **{status.value: int(how.get(status, 0)) for status in Status},
                "solved_low": low,
                "solved_high": high,
                "steps_to_solve": median(steps),
                "score": median(done["score"]),
                "loss": median(done["loss"]),
                "baseline": median(done["baseline"]),
                "needed_lag": needs.get(length, np.nan),
            }
        )
    table = pd.DataFrame(rows).merge(_at_the_ends(results, offs), on=["cell", "length"], how="left")
    learned = _learned(results)
    return table if learned is None else table.merge(learned, on=["cell", "length"], how="left")


def _learned(results: Results) -> pd.DataFrame | None:
    """share_learned at the end of training, median over seeds; None where the problem has none."""
    each = learned(results)
    if each is None or each.name != "share_learned":
        return None
    return each.groupby(["cell", "length"]).median().reset_index()


def learned(results: Results) -> pd.Series | None:
    """What was learned, by trial: the problem's share_learned, or, where it has none, the score.

    Returns:
        The mean of the last evaluations by cell, length and seed; None where none was evaluated.
    """
    curves = results.curves.sort_values("step")
    for name in ("share_learned", "score"):
        if name in curves and curves[name].notna().any():
            last = curves.groupby(TRIAL)[name]
            return last.apply(lambda values: values.tail(LAST).mean(skipna=False))
    return None


def headline(
    results: Results, labels: list[str], longest: pd.DataFrame, table: pd.DataFrame
) -> pd.DataFrame:
    """The numbers that a cell is summed up by.

    Args:
        longest: from `longest_solved`.
        table: from `comparison`.

    Returns:
        cell; lengths_solved, the share of the lengths that at least half of the seeds solved;
        learned, the interquartile mean of what was learned over all lengths, with the ends of its
        interval, bootstrapped within each length; at the largest length: half_life_start and _end
        as in `comparison`, and the median of the seconds of a trial.
    """
    length = max(results.task.lengths)
    time = seconds(results).get(length, pd.Series(dtype=float))
    each = learned(results)
    rows = []
    for cell in labels:
        mine = each.loc[[cell]] if each is not None and cell in each.index else pd.Series()
        strata = [of for _, of in mine.groupby("length")] if len(mine) else []
        found = bootstrap([one.to_numpy(float) for one in strata])
        share = longest.loc[longest["cell"] == cell, "share"]
        rows.append(
            {
                "cell": cell,
                "lengths_solved": float(share.iloc[0]) if len(share) else np.nan,
                "learned": found.value,
                "learned_low": found.low,
                "learned_high": found.high,
                "seconds": time.get(cell, np.nan),
            }
        )
    lives = ["half_life_start", "half_life_end"]
    ends = table.loc[table["length"] == length, ["cell", *lives]]
    return pd.DataFrame(rows).merge(ends, on="cell", how="left")


def _at_the_ends(results: Results, offs: pd.DataFrame) -> pd.DataFrame:
    """Medians over seeds of what is read off at the start and at the end, main anchor."""
    axes = results.trials[["cell", "length"]].drop_duplicates()
    ends = axes.assign(anchor=np.nan, largest_lag=np.nan).set_index(["cell", "length"])
    for at in ("start", "end"):
        for name in READ_OFF:
            ends[f"{name}_{at}"] = ends[f"{name}_{at}_low"] = np.nan
    ends["flow_start"], ends["flow_end"] = 0, 0
    for (cell, length), group in offs[offs["main_anchor"]].groupby(["cell", "length"]):
        spot = (cell, length)
        ends.loc[spot, "anchor"] = group["anchor"].max()
        ends.loc[spot, "largest_lag"] = group["largest_lag"].max()
        for at in ("start", "end"):
            here = group[group["at"] == at]
            ends.loc[spot, f"flow_{at}"] = int(here["half_life"].notna().sum())
            for name in READ_OFF:
                ends.loc[spot, f"{name}_{at}"] = median(here[name])
                ends.loc[spot, f"{name}_{at}_low"] = here[name].quantile(0.5, "lower")
    return ends.reset_index()


def longest_solved(table: pd.DataFrame) -> pd.DataFrame:
    """The largest length such that it and all shorter ones are solved by at least half the seeds.

    Args:
        table: from `comparison`.

    Returns:
        A row a cell: longest (0: none), share (of the lengths that are solved), unfinished (trials
        without a result), undecided: whether those could still raise `longest`.
    """
    rows = []
    for cell, group in table.groupby("cell", sort=False):
        group = group.sort_values("length")
        missing = group["seeds"] - group["finished"]
        enough = (2 * group["solved"] >= group["seeds"]).to_numpy()
        could = (2 * (group["solved"] + missing) >= group["seeds"]).to_numpy()
        run = _run(enough)
        rows.append(
            {
                "cell": cell,
                "longest": int(group["length"].iloc[run - 1]) if run else 0,
                "share": float(enough.mean()),
                "unfinished": int(missing.sum()),
                "undecided": _run(could) > run,
            }
        )
    return pd.DataFrame(rows)


def _run(hit: np.ndarray) -> int:
    """How many from the first on, without a gap."""
    return len(hit) if hit.all() else int(np.argmin(hit))


def cells(results: Results) -> pd.DataFrame:
    """What each cell was: width, layers, learning rate, number of parameters."""
    trials, training = results.trials, results.task.training
    rows = []
    for cell in results.task.cells:
        counts = trials.loc[trials["cell"] == cell.label, "parameters"].dropna().unique()
        clip = {} if cell.clip_norm is None else {"clip_norm": cell.clip_norm}
        set_by_card = cell.options | clip
        rows.append(
            {
                "cell": cell.label,
                "use": without_folder(cell.use),
                "hidden_size": cell.hidden_size or training.hidden_size,
                "layers": cell.layers,
                "learning_rate": cell.learning_rate or training.learning_rate,
                "parameters": ", ".join(f"{int(count):,}" for count in sorted(counts)),
                "options": ", ".join(f"{key} = {value}" for key, value in set_by_card.items()),
            }
        )
    return pd.DataFrame(rows)


def overview(
    results: Results, offs: pd.DataFrame, longest: pd.DataFrame, cells: pd.DataFrame
) -> pd.DataFrame:
    """A line a cell, in the card's order.

    Args:
        offs, longest, cells: from the functions of those names.

    Returns:
        parameters, learning_rate; length, the card's largest; s_start and s_end, S at the median
        longest needed lag of that length, median over seeds; longest, the largest length solved by
        at least half the seeds, all shorter ones too (0: none); undecided, whether trials that have
        not finished could still raise it.
    """
    length = max(results.task.lengths)
    here = offs[offs["main_anchor"] & (offs["length"] == length)]
    levels = here.pivot_table(index="cell", columns="at", values="at_needed", aggfunc="median")
    table = cells[["cell", "parameters", "learning_rate"]].assign(length=length)
    for at in ("start", "end"):
        column = levels[at] if at in levels else pd.Series(dtype=float)
        table[f"s_{at}"] = table["cell"].map(column).astype(float)
    return table.merge(longest[["cell", "longest", "undecided"]], on="cell", how="left")


def started(table: pd.DataFrame, overview: pd.DataFrame) -> pd.DataFrame:
    """Who starts with an open flow, and who solves it, at the card's largest length.

    Args:
        table: from `comparison`.
        overview: from `overview`.

    Returns:
        cell, length, open, solves, for the cells that have a record before training.
    """
    known = overview.dropna(subset=["s_start"])[["cell", "length", "s_start"]]
    both = known.merge(table[["cell", "length", "solved", "seeds"]], on=["cell", "length"])
    both = both.assign(open=both["s_start"] >= OPEN, solves=2 * both["solved"] >= both["seeds"])
    return both[["cell", "length", "open", "solves"]]


def without_folder(spec: str) -> str:
    """ "/home/me/mycell.py:MyCell" -> "./mycell.py:MyCell": where it lay is nobody's business."""
    where, colon, attribute = spec.rpartition(":")
    if not colon or not where.endswith(".py"):
        return spec
    return f"./{where.replace(chr(92), '/').rpartition('/')[2]}:{attribute}"


def seconds(results: Results) -> pd.DataFrame:
    """Median seconds of a trial, a row a cell and a column a length."""
    known = results.trials.dropna(subset=["seconds"])
    table = known.pivot_table(index="cell", columns="length", values="seconds", aggfunc="median")
    return table.reindex(results.trials["cell"].unique())
