"""Whatever is killed, whenever: the same command finishes the rest, its numbers the same."""

import os
import random
import signal
import subprocess
import sys
import time

import pandas as pd

import seqbench
from seqbench.sweep import status

CARD = """
name = "tiny"
lengths = [6, 9]
seeds = 4
cells = ["rnn", "lstm"]
[problem]
name = "adding"
[training]
steps = 300
batch_size = 16
hidden_size = 8
eval_every = 20
eval_size = 20
[recording]
every = 100
boundaries = 2
"""
KILLS = 20


def family(pid):
    """A process and all that it has started, oldest first."""
    found = [pid]
    for member in found:
        try:
            with open(f"/proc/{member}/task/{member}/children") as file:
                found += map(int, file.read().split())
        except OSError:
            continue
    return found


def kill_something(pid, draws):
    """The command, its server, a worker, or all of them at once."""
    members = family(pid)
    chosen = members if draws.random() < 0.3 else [draws.choice(members)]
    for member in chosen:
        try:
            os.kill(member, signal.SIGKILL)
        except ProcessLookupError:
            continue


def test_kills_at_twenty_random_moments_change_no_number(tmp_path):
    (tmp_path / "tiny.toml").write_text(CARD)
    undisturbed = seqbench.run(str(tmp_path / "tiny.toml"), tmp_path / "whole", quiet=True)
    draws, kills, out = random.Random(0), 0, tmp_path / "killed"
    words = [sys.executable, "-m", "seqbench", "run", str(tmp_path / "tiny.toml"), "--out"]
    for _ in range(10 * KILLS):
        command = subprocess.Popen(
            [*words, str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while command.poll() is None and kills < KILLS:
            time.sleep(draws.uniform(0.05, 2.0))
            kill_something(command.pid, draws)
            kills += 1
        if command.wait() == 0:
            break
    results = seqbench.load(out)
    assert kills > 3
    for table in ("trials", "curves", "flow"):
        pd.testing.assert_frame_equal(
            getattr(undisturbed, table).drop(columns="seconds", errors="ignore"),
            getattr(results, table).drop(columns="seconds", errors="ignore"),
            check_exact=True,
        )
    assert not list(out.rglob("*.tmp"))
    assert status.lines(out)[0].startswith("tiny: 16 trials: ")
    assert "not finished" not in status.lines(out)[0]
