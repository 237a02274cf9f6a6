"""A run on disk: what is written is read back, and what is damaged is said."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

import seqbench
from seqbench import InputError, results
from seqbench.card import task as cards
from seqbench.results import schema
from seqbench.sweep import plan

CARD = """
name = "small"
lengths = [5]
seeds = 2
cells = ["rnn"]
[problem]
name = "adding"
"""
SUMMARY = {
    "status": "done",
    "steps": 10,
    "solved_at": None,
    "parameters": 7,
    "seconds": 1.5,
    "loss": float("nan"),
    "score": 0.5,
    "baseline": 1 / 6,
    "baseline_score": 0.15,
    "error": None,
}


@pytest.fixture
def run(tmp_path):
    """A run of two trials, the first of which has finished."""
    task = cards.parse(CARD, "small.toml")
    results.write_task(tmp_path, task)
    curves = pd.DataFrame({"step": [0], "loss": [0.1], "score": [0.5], "gradient_norm": [np.nan]})
    blank = {"i": 0, "f": 0.0, "s": "output"}
    flow = pd.DataFrame({name: [blank[kind]] for name, kind in schema.FLOW.items()})
    trial = task.trials()[0]
    tables = {"curves": results.as_parquet(curves), "flow": results.as_parquet(flow)}
    results.write_trial(tmp_path, trial, {"summary": SUMMARY}, tables)
    return tmp_path


def first(run):
    return run / "trials" / cards.parse(CARD, "x").trials()[0].folder


def test_what_is_written_is_read_back(run):
    opened = seqbench.load(run)
    assert opened.trials.status.tolist() == ["done", "interrupted"]
    assert opened.trials.score[0] == 0.5
    assert np.isnan(opened.trials.loss[0])
    assert opened.curves.loss.tolist() == [0.1]
    assert opened.flow[["cell", "length", "seed"]].values.tolist() == [["rnn", 5, 0]]
    assert "1 done, 1 interrupted" in repr(opened)


def test_there_is_no_nan_in_json_and_no_temporary_file(run):
    def refuse(word):
        raise AssertionError(word)

    json.loads((first(run) / "trial.json").read_text(), parse_constant=refuse)
    assert not list(run.rglob("*.tmp"))


def test_a_run_of_schema_1_is_read_but_not_gone_on_with(run):
    """Its numbers were made by torch's own layers: another folder for this version's."""
    task = cards.parse(CARD, "small.toml")
    trial, now = task.trials()[0], seqbench.load(run)
    folder = first(run).rename(run / "trials" / trial.folder_under(1))
    record = json.loads((folder / "trial.json").read_text())
    record |= {"schema": 1, "key": trial.key_under(1)}
    (folder / "trial.json").write_text(json.dumps(record))
    before = seqbench.load(run)
    pd.testing.assert_frame_equal(before.trials, now.trials)
    pd.testing.assert_frame_equal(before.curves, now.curves)
    with pytest.raises(InputError, match=r"of schema 1.*\nallowed: another folder \(--out\)"):
        plan.plan(task, run)


def test_a_write_that_fails_leaves_what_was_there(run):
    target = first(run) / "trial.json"
    before = target.read_text()

    def fail(file):
        file.write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        results.write_atomically(target, fail)
    assert target.read_text() == before
    assert not list(run.rglob("*.tmp"))


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("trial.json", b"{", "is damaged: not JSON\nallowed: to run the task again"),
        ("trial.json", b"\xff", "is damaged: not JSON"),
        ("trial.json", b"[]", "is damaged: not a trial's record"),
        ("trial.json", b'{"schema": 99}', "schema = 99\nallowed: 2 and 1"),
        ("trial.json", b'{"schema": 2, "key": "x", "summary": {}}', "not this trial's record"),
        ("flow.parquet", b"PAR1", "flow.parquet is damaged"),
        ("curves.parquet", None, "curves.parquet is damaged"),
    ],
)
def test_damage_is_said_with_the_file(run, file, content, words):
    if content is None:
        (first(run) / file).unlink()
    else:
        (first(run) / file).write_bytes(content)
    with pytest.raises(InputError, match=words):
        seqbench.load(run)


def test_no_run_there(tmp_path):
    with pytest.raises(InputError, match="is not a run: it has no task"):
        seqbench.load(tmp_path)
    (tmp_path / "task.toml").write_bytes(b"\xff")
    with pytest.raises(InputError, match="not TOML"):
        seqbench.load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps": -1}, "summary.steps: Input should be greater than or equal to 0"),
        ({"steps": 10.5}, "summary.steps"),
        ({"status": "solved"}, "solved without solved_at"),
        ({"status": "solved", "solved_at": 11}, "solved after its last step"),
        ({"status": "finished"}, "status = 'finished'"),
        ({"status": "error"}, "error without error"),
        ({"loss": "low"}, "summary.loss"),
        ({"parameters": None}, "done without parameters"),
        ({"needed_lags": [{"anchor": 5, "lags": [[1, 2]]}]}, "needed_lags.0.lags.0"),
        ({"needed_lags": 3}, "summary.needed_lags"),
        ({"baselines": [1]}, "summary.baselines"),
        ({"error": ["x"]}, "summary.error"),
    ],
)
def test_a_summary_that_can_not_be_is_no_result(run, changes, words):
    file = first(run) / "trial.json"
    record = json.loads(file.read_text())
    record["summary"] |= changes
    file.write_text(json.dumps(record))
    with pytest.raises(results.Damaged, match=words):
        seqbench.load(run)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda flow: flow.drop(columns="lag"), "no column lag"),
        (lambda flow: flow.assign(lag="far"), "its column lag has other values than whole numbers"),
        (lambda flow: flow.assign(lag=-1), "its column lag has other values"),
        (lambda flow: flow.assign(source=1), "its column source has other values than text"),
        (lambda flow: flow.assign(state=None), "its column state has other values than text"),
        (lambda flow: flow.assign(colour=[[1]]), "a column colour, which does not belong there"),
        (lambda flow: flow[:0], "no rows"),
        (lambda flow: pd.concat([flow, flow]), "a row is there twice"),
    ],
)
def test_a_table_that_can_not_be_is_no_result(run, change, words):
    file = first(run) / "flow.parquet"
    file.write_bytes(results.as_parquet(change(pd.read_parquet(file))))
    with pytest.raises(results.Damaged, match=words):
        seqbench.load(run)


def test_no_flipped_bit_of_a_table_passes_for_another_number(run):
    file = first(run) / "flow.parquet"
    lags = np.arange(50)
    flow = pd.concat([pd.read_parquet(file).assign(lag=lag) for lag in lags])
    whole = results.as_parquet(flow.assign(log10_norm=np.sin(lags)))
    file.write_bytes(whole)
    before = seqbench.load(run).flow
    draws = np.random.default_rng(0)
    for _ in range(300):
        flipped = bytearray(whole)
        flipped[draws.integers(len(whole))] ^= 1 << draws.integers(8)
        file.write_bytes(flipped)
        try:
            after = seqbench.load(run).flow
        except InputError:
            continue
        pd.testing.assert_frame_equal(before, after, check_exact=True)


def test_deep_or_large_json_is_damage(run):
    (first(run) / "trial.json").write_text("[" * 100_000)
    with pytest.raises(results.Damaged, match="not JSON"):
        seqbench.load(run)


def test_a_link_out_of_the_run_is_not_written_through(run, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    task = cards.parse(CARD, "small.toml")
    (run / "trials" / task.trials()[1].folder).symlink_to(outside)
    with pytest.raises(InputError, match="leads out of"):
        results.write_trial(run, task.trials()[1], {"summary": SUMMARY}, {})
    assert not list(outside.iterdir())


def test_every_table_that_has_rows_is_written_as_csv(run, tmp_path):
    run = results.load(run)
    run.to_csv(tmp_path / "few")
    assert {file.stem for file in (tmp_path / "few").iterdir()} == {"trials", "curves", "flow"}
    rows = pd.DataFrame({column: [0] for column in schema.LENGTH_COLUMNS})
    dataclasses.replace(run, lengths=rows).to_csv(tmp_path / "more")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "more" / "lengths.csv"), rows)
