"""Copies of many trials' files in one: faster to open, the same to the last bit, never trusted."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from runs import whole, write

import seqbench
from seqbench import InputError, results
from seqbench.results import opened, packs

TABLES = ("trials", "curves", "flow", "diagnostics", "lengths")


def same(one, other):
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name), check_exact=True)
    assert one.records == other.records


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of eight trials, packed."""
    monkeypatch.setattr(opened, "WORTH_PACKING", 1)
    write(tmp_path, whole())
    results.load(tmp_path / "run", pack=True)
    return tmp_path / "run"


def unpacked(run, folder):
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("packed"))
    return seqbench.load(folder)


def damage_all_tables(run):
    """So that only a pack has them; the files' states stay what they were."""
    for file in run.glob("trials/*/*.parquet"):
        before = file.stat()
        file.write_bytes(bytes(before.st_size))
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_what_comes_from_packs_is_what_the_trials_files_say(run, tmp_path):
    plain = unpacked(run, tmp_path / "plain")
    assert sorted(file.name for file in (run / "packed").iterdir()) == [
        "curves.parquet",
        "flow.parquet",
        "trial.parquet",
    ]
    damage_all_tables(run)
    same(seqbench.load(run), plain)


def test_row_groups_of_more_than_one_trial_are_taken_apart_again(run, tmp_path, monkeypatch):
    monkeypatch.setattr(packs, "TOGETHER", 3)
    for file in (run / "packed").iterdir():
        file.unlink()
    results.load(run, pack=True)
    assert pq.read_metadata(run / "packed" / "flow.parquet").num_row_groups == 3
    same(seqbench.load(run), unpacked(run, tmp_path / "plain"))


def test_few_trials_are_not_packed(tmp_path):
    write(tmp_path, whole())
    results.load(tmp_path / "run", pack=True)
    assert not (tmp_path / "run" / "packed").exists()


def test_a_file_that_has_changed_is_read_itself(run):
    file = next(run.glob("trials/rnn*/flow.parquet"))
    other = pd.read_parquet(file).assign(log10_norm=-7.0)
    file.write_bytes(results.as_parquet(other))
    found = seqbench.load(run).flow
    assert (found["log10_norm"] == -7.0).sum() == len(other)
    file.write_bytes(b"PAR1")
    with pytest.raises(results.Damaged, match=r"flow\.parquet is damaged"):
        seqbench.load(run)


def test_a_trial_that_is_gone_is_gone(run):
    shutil.rmtree(next(run.glob("trials/rnn*")))
    assert seqbench.load(run).trials["status"].eq("interrupted").sum() == 1


def test_no_flipped_bit_of_a_pack_passes_for_another_number(run, tmp_path):
    plain, draws = unpacked(run, tmp_path / "plain"), np.random.default_rng(0)
    for name in ("flow", "curves", "trial"):
        file = run / "packed" / f"{name}.parquet"
        whole = file.read_bytes()
        for place in [*draws.integers(len(whole), size=40), *range(len(whole) - 40, len(whole))]:
            flipped = bytearray(whole)
            flipped[place] ^= 1 << draws.integers(8)
            file.write_bytes(flipped)
            same(seqbench.load(run), plain)
        file.write_bytes(whole)


def test_a_pack_whose_rows_can_not_be_is_passed_over(run, tmp_path):
    plain, file = unpacked(run, tmp_path / "plain"), run / "packed" / "flow.parquet"
    table = pq.read_table(file)
    lags = table.column("lag").to_numpy().copy()
    lags[:] = 0
    table = table.set_column(table.column_names.index("lag"), "lag", [lags])
    index = pq.read_metadata(file).metadata
    table = table.replace_schema_metadata(
        {name: index[name] for name in (packs.INDEX, packs.CHECKSUM)}
    )
    pq.write_table(table, file, row_group_size=len(table), write_page_checksum=True)
    assert packs.Pack(run, "flow").copied, "its index is as it was"
    same(seqbench.load(run), plain)


def test_a_run_whose_folder_can_not_be_written_is_opened_all_the_same(run, tmp_path):
    plain = unpacked(run, tmp_path / "plain")
    shutil.rmtree(run / "packed")
    (run / "packed").write_text("a file")
    same(results.load(run, pack=True), plain)


def test_trials_with_other_columns_stay_outside(run):
    file = next(run.glob("trials/lstm*/flow.parquet"))
    file.write_bytes(results.as_parquet(pd.read_parquet(file).assign(more=1.5)))
    shutil.rmtree(run / "packed")
    found = results.load(run, pack=True).flow
    assert found["more"].notna().sum() == len(pd.read_parquet(file))
    assert len(packs.Pack(run, "flow").copied) == 7
    pd.testing.assert_frame_equal(found, seqbench.load(run).flow)


def test_a_foreign_index_does_not_give_a_trial_another_s_rows(run, tmp_path):
    """Of a folder that others were copied into: only files that are as they were count."""
    write(tmp_path / "other", whole())
    other = tmp_path / "other" / "run"
    shutil.copytree(run / "packed", other / "packed")
    for file in other.glob("trials/*/flow.parquet"):
        file.write_bytes(b"")
    with pytest.raises(InputError, match="is damaged"):
        seqbench.load(other)


def test_the_output_flow_is_read_without_the_rest(run):
    whole = seqbench.load(run).flow
    wanted = whole[(whole["source"] == "output") & (whole["state"] == "all")]
    found = seqbench.load(run).output_flow
    pd.testing.assert_frame_equal(found, wanted.reset_index(drop=True))


KILLED = """
import os, signal, sys
from pathlib import Path
from seqbench import results
from seqbench.results import files, opened, packs

opened.WORTH_PACKING, packs.TOGETHER = 1, 3
run, passed = Path(sys.argv[1]), 0

def watched(function, last, around):
    def call(*given, **how):
        moment(last)
        found = function(*given, **how)
        if around:
            moment(last)
        return found
    return call

def moment(last):
    global passed
    passed += 1
    if passed == last:
        os.kill(os.getpid(), signal.SIGKILL)

for last in range(1, 1000):
    child = os.fork()
    if not child:
        packs._flush = watched(packs._flush, last, around=False)
        os.replace = watched(os.replace, last, around=True)
        results.load(run, pack=True)
        os._exit(0)
    ended = os.waitpid(child, 0)[1]
    print(os.WTERMSIG(ended) if os.WIFSIGNALED(ended) else "done", flush=True)
    if sys.stdin.readline() != "next\\n" or not os.WIFSIGNALED(ended):
        break
"""


def test_whoever_is_killed_at_any_moment_while_packing_loses_nothing(run, tmp_path, monkeypatch):
    monkeypatch.setattr(packs, "TOGETHER", 3)
    plain, kills = unpacked(run, tmp_path / "plain"), 0
    shutil.rmtree(run / "packed")
    words = [sys.executable, "-c", KILLED, str(run)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, **pipes) as packing:
        while packing.stdout.readline() == "9\n":
            kills += 1
            same(seqbench.load(run), plain)
            same(results.load(run, pack=True), plain)
            assert not list(run.rglob("*.tmp"))
            shutil.rmtree(run / "packed")
            packing.stdin.write("next\n")
            packing.stdin.flush()
        packing.stdin.close()
    assert kills > 10
    same(seqbench.run(run / "task.toml", run, quiet=True), plain)
    for name in ("trial", "curves", "flow"):
        assert len(packs.Pack(run, name).copied) == len(plain.trials)
