"""The parts of a task, run apart: together they are the whole, to the last bit."""

import shutil
import subprocess
import sys

import pandas as pd

import seqbench

CARD = """
name = "tiny"
lengths = [6, 9]
seeds = 2
cells = ["rnn", "gru"]
[problem]
name = "adding"
[training]
steps = 40
batch_size = 4
hidden_size = 4
eval_every = 20
eval_size = 20
[recording]
every = 20
boundaries = 2
diagnostics = ["spectral_radius"]
"""
TABLES = ("trials", "curves", "flow", "diagnostics")


def same(one, other):
    for table in TABLES:
        pd.testing.assert_frame_equal(
            getattr(one, table).drop(columns="seconds", errors="ignore"),
            getattr(other, table).drop(columns="seconds", errors="ignore"),
            check_exact=True,
        )


def seqbench_(*words):
    ran = subprocess.run(
        [sys.executable, "-m", "seqbench", *map(str, words)], capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    return ran


def without_seconds(folder):
    tables = sorted((folder / "tables").glob("*.csv"))
    assert tables
    return {file.name: file.read_text() for file in tables if not {"seconds", "made"} & {file.stem}}


def test_shards_are_one_run_and_one_report(tmp_path):
    card = tmp_path / "tiny.toml"
    card.write_text(CARD)
    whole = seqbench.run(str(card), tmp_path / "whole", quiet=True)
    for i in (1, 2):
        seqbench_("run", card, "--out", tmp_path / f"part{i}", "--shard", f"{i}/2")
    parts = [seqbench.load(tmp_path / f"part{i}") for i in (1, 2)]
    assert [part.trials["status"].eq("interrupted").sum() for part in parts] == [4, 4]

    from seqbench.results.shards import merged

    (both,) = merged(parts)
    same(both, whole)
    pd.testing.assert_frame_equal(both.output_flow, whole.output_flow)

    seqbench_("report", tmp_path / "whole", "--out", tmp_path / "one")
    seqbench_("report", tmp_path / "part1", tmp_path / "part2", "--out", tmp_path / "two")
    assert "rnn (part1)" not in (tmp_path / "two" / "report.md").read_text()
    names = [sorted(without_seconds(tmp_path / name)) for name in ("one", "two")]
    assert names[0] == names[1]

    shutil.copytree(
        tmp_path / "part2" / "trials", tmp_path / "part1" / "trials", dirs_exist_ok=True
    )
    ran = seqbench_("run", card, "--out", tmp_path / "part1")
    assert "8 of 8 trials were finished before" in ran.stderr
    same(seqbench.load(tmp_path / "part1"), whole)


def test_runs_that_share_a_trial_are_not_merged(tmp_path):
    from seqbench.results.shards import merged

    (tmp_path / "tiny.toml").write_text(CARD)
    one = seqbench.run(
        str(tmp_path / "tiny.toml"), tmp_path / "a", lengths=[6], seeds=1, quiet=True
    )
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert len(merged([one, seqbench.load(tmp_path / "b")])) == 2
