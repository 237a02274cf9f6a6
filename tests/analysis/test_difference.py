"""What changed between two runs, against numbers worked out by hand."""

import math

import pytest
import runs
from typer.testing import CliRunner

from seqbench import InputError
from seqbench.analysis.difference import difference, exceeded
from seqbench.cli import app

INF = float("inf")


def run(folder, name, losses, solved=(), card=runs.CARD):
    """Trials of rnn at T = 10, a seed a loss; those of `solved` solve it at step 200."""
    trials = {}
    for seed, loss in enumerate(losses):
        at = 200 if seed in solved else None
        summary = runs.record(10, "solved" if at else "done", at, loss=loss, seconds=seed + 1.0)
        trials["rnn", 10, seed] = summary, [1.0], runs.flow_rows({0: 0.3}, 10)
    return runs.write(folder, trials, (10,), len(losses), '["rnn"]', name, card)


def test_runs_are_compared_seed_by_seed(tmp_path):
    before = run(tmp_path, "a", [1.0] * 5, solved={0, 1, 2})
    after = run(tmp_path, "b", [0.1, 0.1, 0.1, 10.0, 1.0], solved={0})
    (row,) = difference(before, after).to_dict("records")
    assert (row["pairs"], row["solved_before"], row["solved_after"]) == (5, 3, 1)
    assert (row["steps_before"], row["steps_after"]) == (200, INF)
    assert row["loss_ratio"] == pytest.approx(-1)  # of -1, -1, -1, 1, 0
    assert (row["loss_ratio_low"], row["loss_ratio_high"]) == pytest.approx((-1, 1))
    assert row["seconds_ratio"] == 1


def test_a_run_does_not_differ_from_itself(tmp_path):
    one = run(tmp_path, "a", [0.5, 0.1, 0.2])
    table = difference(one, one)
    assert table["loss_ratio"].tolist() == [0]
    assert math.isnan(table["loss_ratio_low"].iloc[0])  # three pairs have no interval
    assert exceeded(table, 0.0).empty


def test_what_exceeds_is_told_with_exit_status_1(tmp_path):
    run(tmp_path, "a", [1.0, 1.0])
    run(tmp_path, "b", [10.0, 10.0])
    folders = [str(tmp_path / name) for name in "ab"]
    assert CliRunner().invoke(app, ["diff", *folders]).exit_code == 0
    assert CliRunner().invoke(app, ["diff", *folders, "--allow", "1.5"]).exit_code == 0
    told = CliRunner().invoke(app, ["diff", *folders, "--allow", "0.5"])
    assert told.exit_code == 1
    assert "rnn" in told.output
    assert "+1.00" in told.output


def test_runs_of_other_problems_are_refused(tmp_path):
    one = run(tmp_path, "a", [1.0])
    other = run(tmp_path, "b", [1.0], card=runs.CARD.replace('protocol = "seqbench"', ""))
    with pytest.raises(InputError, match="same problem"):
        difference(one, other)
