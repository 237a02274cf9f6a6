"""A trial has a process of its own: what somebody's cell does to its own harms no other's."""

import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from processes import alive, children_of, descendants, wait_for

import seqbench
from seqbench import InputError
from seqbench.sweep import plan, run

CARD = """
name = "tiny"
lengths = [6]
seeds = 1
cells = ["rnn"]
[problem]
name = "adding"
[training]
steps = 4
batch_size = 16
hidden_size = 6
eval_every = 2
eval_size = 20
[recording]
every = 4
boundaries = 2
"""
CELLS = """
import os, signal, sys, time, torch
from torch import nn

class Cell(nn.RNNCell):
    def forward(self, x, state=None):
        if len(x) == 16:
            self.misbehave()
        return super().forward(x, state)

    def misbehave(self):
        pass

class Changes(Cell):
    def misbehave(self):
        torch.set_default_dtype(torch.float64)
        nn.init.uniform_ = nn.init.zeros_

class Asks(Cell):
    def misbehave(self):
        input()

class Sleeps(Cell):
    def misbehave(self):
        time.sleep(1000)

class LeavesAChild(Cell):
    def misbehave(self):
        if not os.fork():
            time.sleep(1000)

class Exits(Cell):
    def misbehave(self):
        sys.exit(0)

class IsKilled(Cell):
    def misbehave(self):
        os.kill(os.getpid(), signal.SIGKILL)

class Crashes(Cell):
    def misbehave(self):
        import ctypes
        ctypes.string_at(0)

class ExitsWhenBuilt(nn.RNNCell):
    def __init__(self, *args):
        sys.exit(0)

class VanishesWhenBuilt(nn.RNNCell):
    def __init__(self, *args):
        os._exit(0)
"""


@pytest.fixture
def card(tmp_path):
    (tmp_path / "cells.py").write_text(CELLS)
    (tmp_path / "tiny.toml").write_text(CARD)
    return str(tmp_path / "tiny.toml")


def cell(card, name):
    return f"{os.path.dirname(card)}/cells.py:{name}"


def outcome(card, tmp_path, name, **more):
    """Status and error of a trial of this cell, and of one that comes after it."""
    cells = [cell(card, name), "rnn"]
    results = seqbench.run(card, tmp_path / name, cells=cells, workers=1, quiet=True, **more)
    trials = results.trials.set_index("cell")
    assert trials.status["rnn"] == "done", trials.error["rnn"]
    return trials.status[name], trials.error[name]


def test_what_a_cell_changes_in_torch_changes_no_other_trial(card, tmp_path):
    cells = [cell(card, "Changes"), "rnn", "lstm"]
    after = seqbench.run(card, tmp_path / "after", cells=cells, workers=1, quiet=True)
    alone = seqbench.run(card, tmp_path / "alone", cells=["rnn", "lstm"], workers=1, quiet=True)
    others = after.curves[after.curves.cell != "Changes"].reset_index(drop=True)
    pd.testing.assert_frame_equal(others, alone.curves, check_exact=True)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Asks", "EOFError"),
        ("Exits", "SystemExit: 0 (cells.py:"),
        ("IsKilled", "ended by SIGKILL (tried 2 times)"),
        ("Crashes", "ended by SIGSEGV"),
    ],
)
def test_a_trial_that_ends_badly_is_an_error_with_its_cause(card, tmp_path, name, words):
    status, error = outcome(card, tmp_path, name)
    assert status == "error"
    assert words in error


def test_a_trial_that_hangs_is_ended_in_time(card, tmp_path):
    started = time.monotonic()
    assert outcome(card, tmp_path, "Sleeps", timeout=10.0) == (
        "error",
        "no result after 10 s (--timeout)",
    )
    assert time.monotonic() - started < 60


def test_processes_that_a_cell_leaves_behind_keep_nobody_waiting(card, tmp_path):
    assert outcome(card, tmp_path, "LeavesAChild")[0] == "done"


def test_a_cell_that_ends_its_process_when_it_is_built_is_named(card, tmp_path):
    status, error = outcome(card, tmp_path, "ExitsWhenBuilt")
    assert status == "error"
    assert "SystemExit: 0" in error
    with pytest.raises(InputError, match=r"cells \(VanishesWhenBuilt\): its process ended"):
        plan.plan(card, tmp_path / "run", cells=[cell(card, "VanishesWhenBuilt")])


def test_no_worker_outlives_a_command_that_is_killed(card, tmp_path):
    words = ["run", card, "--cells", cell(card, "Sleeps"), "--out", str(tmp_path / "run")]
    command = subprocess.Popen(
        [sys.executable, "-m", "seqbench", *words], stderr=subprocess.DEVNULL, cwd=tmp_path
    )
    grandchildren = wait_for(lambda: descendants(command.pid) - children_of(command.pid))
    time.sleep(1)
    server = children_of(command.pid)
    command.send_signal(signal.SIGKILL)
    command.wait(10)
    wait_for(lambda: not any(map(alive, grandchildren | server)), seconds=10)


def test_a_result_that_can_not_be_written_stops_the_sweep(card, tmp_path, monkeypatch):
    written = []

    def full(path, trial, *_):
        written.append(trial)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run.results, "write_trial", full)
    with pytest.raises(InputError, match=r"No space left on device\nallowed: .* space left"):
        seqbench.run(card, tmp_path / "run", seeds=4, workers=1, quiet=True)
    assert len(written) == 1
