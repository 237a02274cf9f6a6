"""Whatever is killed, whenever: the same command finishes the rest, its numbers the same."""

import os
import random
import signal
import subprocess
import sys
import time

import pandas as pd
from families import family

import seqbench
from seqbench.sweep import status

CARD = """
name = "tiny"
lengths = [5]
seeds = 1
cells = ["rnn", "lstm"]
[problem]
name = "adding"
[training]
steps = 60
batch_size = 16
hidden_size = 4
eval_every = 10
eval_size = 20
checkpoint_every = 0.02
[recording]
every = 50
boundaries = 2
"""
VICTIMS = [*13 * ["a worker"], *3 * ["the server"], *4 * ["all"]]


def kill(pid, victim, draws):
    """Whether there was one."""
    command, *others = family(pid)
    match victim:
        case "a worker":
            chosen = others[1:] and [draws.choice(others[1:])]
        case "the server":
            chosen = others[:1]
        case _:
            chosen = [command, *others]
    for member in chosen:
        try:
            os.kill(member, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return bool(chosen)


def test_kills_at_twenty_random_moments_change_no_number(tmp_path):
    (tmp_path / "tiny.toml").write_text(CARD)
    draws, seeds, out = random.Random(0), 1, tmp_path / "killed"
    draws.shuffle(VICTIMS)

    def start():
        words = ["run", str(tmp_path / "tiny.toml"), "--out", str(out), "--seeds", str(seeds)]
        return subprocess.Popen(
            [sys.executable, "-m", "seqbench", *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    command = start()
    for victim in VICTIMS:
        time.sleep(draws.uniform(0.0, 0.4))
        while command.poll() is not None or not kill(command.pid, victim, draws):
            if command.poll() is not None:
                seeds += command.returncode == 0  # it has nothing left to do
                command = start()
            time.sleep(draws.uniform(0.0, 0.02))
    while command.wait() != 0:
        command = start()
    card, killed = str(tmp_path / "tiny.toml"), seqbench.load(out)
    undisturbed = seqbench.run(card, tmp_path / "whole", seeds=seeds, quiet=True)
    for table in ("trials", "curves", "flow"):
        pd.testing.assert_frame_equal(
            getattr(undisturbed, table).drop(columns="seconds", errors="ignore"),
            getattr(killed, table).drop(columns="seconds", errors="ignore"),
            check_exact=True,
        )
    assert not list(out.rglob("*.tmp"))
    assert not list(out.rglob("checkpoint*"))
    assert "not finished" not in status.lines(out)[0]
