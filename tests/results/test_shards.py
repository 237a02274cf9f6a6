"""Folders that hold parts of one task are one run."""

import pandas as pd
from runs import whole, write

from seqbench.results.shards import merged


def same(one, other):
    for table in ("trials", "curves", "flow", "output_flow", "diagnostics", "lengths"):
        pd.testing.assert_frame_equal(getattr(one, table), getattr(other, table), check_exact=True)


def test_parts_are_the_whole(tmp_path):
    trials = whole()
    run = write(tmp_path, trials)
    parts = [write(tmp_path, dict(list(trials.items())[i::3]), name=f"part{i}") for i in range(3)]
    (found,) = merged(parts)
    same(found, run)
    assert list(found.records) == list(run.records)


def test_runs_that_share_a_trial_or_are_of_other_tasks_stay_apart(tmp_path):
    one, two = (write(tmp_path, whole(), name=name) for name in ("one", "two"))
    other = write(tmp_path, {}, name="other", lengths=(10,))
    assert len(merged([one, two, other])) == 3
