"""A trial that is killed goes on from its checkpoint, and no number shows it."""

import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import torch
from processes import descendants, wait_for

import seqbench
from seqbench import results
from seqbench.card import task as cards
from seqbench.results.checkpoints import FILE, seal, write_checkpoint
from seqbench.sweep import run as sweep
from seqbench.sweep import status

NEVER = {"training.checkpoint_every": 0}

CARD = """
name = "tiny"
lengths = [8]
seeds = 1
cells = ["rnn"]
[problem]
name = "adding"
[training]
steps = 24
batch_size = 16
hidden_size = 6
eval_every = 6
eval_size = 20
checkpoint_every = 1e-9
[recording]
every = 10
boundaries = 2
diagnostics = [{ use = "./own.py:Stops", marker = "MARKER" }]
"""
OWN = """
import os, signal, time, torch
from pathlib import Path
from torch import nn

class Stops:
    when = "step"

    def __init__(self, marker, how="once"):
        self.marker, self.how = marker, how

    def __call__(self, moment):
        if moment.step == 13 and not os.path.exists(self.marker):
            if self.how != "always":
                Path(self.marker).touch()
            if self.how == "hangs":
                time.sleep(1000)
            os.kill(os.getpid(), signal.SIGKILL)
        return {}

class Remembers:
    when = "step"

    def __init__(self):
        self.sum, self.norms, self.draws = 0.0, [], torch.Generator().manual_seed(1)

    def __call__(self, moment):
        self.norms.append(next(iter(moment.model.parameters())).grad.norm())
        self.sum += float(self.norms[-1]) + float(torch.rand((), generator=self.draws))
        return {"sum": self.sum, "mean": torch.stack(self.norms).mean()}

class Dropout(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.cell, self.calls = nn.GRUCell(input_size, hidden_size), 0
        self.register_buffer("level", torch.zeros(hidden_size), persistent=False)

    def forward(self, x, state=None):
        h = self.cell(nn.functional.dropout(x, 0.3, self.training), state)
        if self.training and torch.is_grad_enabled():
            self.calls += 1
            self.level.lerp_(h.detach().mean(0), 0.1)
        return h + 1e-3 * self.level + 1e-5 * self.calls

class OpensAFile:
    def __init__(self):
        self.file = open(os.devnull)

    def __call__(self, moment):
        return {}
"""


@pytest.fixture
def card(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "tiny.toml").write_text(CARD.replace("MARKER", str(tmp_path / "marker")))
    return tmp_path / "tiny.toml"


def same(one, other):
    """Bit for bit, times aside."""
    for table in ("trials", "curves", "flow", "diagnostics", "lengths"):
        pd.testing.assert_frame_equal(
            getattr(one, table).drop(columns="seconds", errors="ignore"),
            getattr(other, table).drop(columns="seconds", errors="ignore"),
            check_exact=True,
        )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"problem": {"name": "copy", "protocol": "arjovsky2016", "train_set": 100}},
        {"cells": ["OWN:Dropout"]},
        {"training.schedule": "cosine", "training.optimizer": "sgd", "training.momentum": 0.9},
        {"training.optimizer": "rmsprop", "training.accumulator_start": 1e-3},
        {"training.clip_norm": 0.1, "more": [{"use": "clipped_steps", "window": 7}]},
        {"more": ["gradient_norm", "OWN:Remembers", {"use": "spectral_radius", "every": 7}]},
        {"evaluate_lengths": [5, 12], "cells": [{"use": "lstm", "learned_start": True}]},
        {"training.right_in_a_row": 1000, "training.eval_every": 100},
    ],
    ids=str,
)
def test_a_resumed_trial_gives_the_numbers_of_an_undisturbed_one(card, tmp_path, changes):
    changes = json.loads(json.dumps(changes).replace("OWN", str(tmp_path / "own.py")))
    stops = {"use": f"{tmp_path}/own.py:Stops", "marker": str(tmp_path / "marker")}
    changes["recording.diagnostics"] = [stops, *changes.pop("more", [])]
    disturbed = seqbench.run(str(card), tmp_path / "disturbed", overrides=changes, quiet=True)
    (record,) = disturbed.records.values()
    assert record["resumed"] == [12]
    changes |= NEVER
    undisturbed = seqbench.run(str(card), tmp_path / "undisturbed", overrides=changes, quiet=True)
    (record,) = undisturbed.records.values()
    assert "resumed" not in record
    same(disturbed, undisturbed)
    assert not list(tmp_path.rglob(FILE))


def test_a_command_that_is_killed_with_all_its_processes_is_resumed_by_the_next(
    card, tmp_path, capfd
):
    stopping(card, "hangs")
    words = [sys.executable, "-m", "seqbench", "run", str(card), "--out", str(tmp_path / "run")]
    command = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    wait_for((tmp_path / "marker").exists, seconds=300)
    out, saved = tmp_path / "run", "rnn T=8 seed 0, checkpoint at step 12"
    wait_for(lambda: f"running: {saved}" in status.lines(out))
    for pid in [command.pid, *descendants(command.pid)]:
        os.kill(pid, signal.SIGKILL)
    command.wait()
    assert f"not finished: {saved}" in status.lines(out)
    disturbed = seqbench.run(str(card), out)
    assert "rnn T=8 seed 0: resumed at step 12\n" in capfd.readouterr().err
    same(disturbed, seqbench.run(str(card), tmp_path / "undisturbed", overrides=NEVER, quiet=True))
    assert sorted(file.name for file in out.glob("trials/*/*")) == [
        "curves.parquet",
        "flow.parquet",
        "trial.json",
    ]


def stopping(card, how):
    card.write_text(card.read_text().replace("marker = ", f'how = "{how}", marker = '))


def test_a_trial_that_ran_out_of_time_goes_on_the_next_time(card, tmp_path, capfd):
    stopping(card, "hangs")
    (tmp_path / "marker").touch()
    started = time.monotonic()
    undisturbed = seqbench.run(str(card), tmp_path / "undisturbed", overrides=NEVER, quiet=True)
    enough = 4.0 + 2 * (time.monotonic() - started)
    (tmp_path / "marker").unlink()
    stopped = seqbench.run(str(card), tmp_path / "run", timeout=enough, quiet=True)
    assert list(stopped.trials.error) == [f"no result after {enough:g} s (--timeout)"]
    again = seqbench.run(str(card), tmp_path / "run", timeout=100.0)
    assert re.search(r"rnn T=8 seed 0: resumed at step \d+\n", capfd.readouterr().err)
    same(again, undisturbed)


@pytest.fixture
def kept(card, tmp_path):
    """The checkpoint of a trial that was killed whenever it came to its 13th step."""
    stopping(card, "always")
    stopped = seqbench.run(str(card), tmp_path / "run", quiet=True)
    assert list(stopped.trials.error) == ["its worker was ended by SIGKILL (tried 2 times)"]
    (tmp_path / "marker").touch()
    (file,) = tmp_path.rglob(FILE)
    return file


def other_code(content, card):
    (card.parent / "own.py").write_text(OWN + "# edited")
    return content


def other_trial(content, card):
    overrides = {"training.steps": 25}
    (trial,) = cards.load(str(card), overrides).trials()
    head, payload = content.split(b"\n", 1)
    told = json.loads(head)
    return seal(trial, told["step"], payload, told["about"], [])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda content, card: content[:1000], "it is damaged"),
        (lambda content, card: b"", None),
        (lambda content, card: b"\x00" * 1000, "it is damaged"),
        (lambda content, card: b"[" * 10**6 + b"\n", "it is damaged"),
        (lambda content, card: flipped(content, -500), "it is damaged"),
        (other_code, "it was made with another code"),
        (other_trial, "it is another trial's"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_kept_beside_and_the_trial_starts_anew(
    card, tmp_path, kept, change, why, capfd
):
    kept.write_bytes(change(kept.read_bytes(), card))
    done = seqbench.run(str(card), tmp_path / "run")
    said = capfd.readouterr().err
    assert "resumed at" not in said
    assert ("resumed" in next(iter(done.records.values()))) is False
    if why:
        assert f"rnn T=8 seed 0: not resumed from its checkpoint: {why}; kept as" in said
        (aside,) = tmp_path.rglob(f"{FILE}.unfit-*")
        assert f"{aside.name}\n" in said
    same(done, seqbench.run(str(card), tmp_path / "undisturbed", overrides=NEVER, quiet=True))


def test_status_says_where_a_trial_was_resumed_and_where_it_would_go_on(card, tmp_path):
    task = cards.load(str(card))
    results.write_task(tmp_path / "run", task)
    (trial,) = task.trials()
    write_checkpoint(tmp_path / "run", trial, seal(trial, 1040, b"", {}, [5, 12]))
    said = "not finished: rnn T=8 seed 0, resumed at step 12, checkpoint at step 1,040"
    assert said in status.lines(tmp_path / "run")


def flipped(content, place):
    changed = bytearray(content)
    changed[place] ^= 1
    return bytes(changed)


def test_a_checkpoint_runs_no_code(card, tmp_path, kept):
    class Runs:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "it ran"),)

    file = io.BytesIO()
    torch.save(Runs(), file)
    head = json.loads(kept.read_bytes().split(b"\n")[0])
    (trial,) = cards.load(str(card)).trials()
    kept.write_bytes(seal(trial, 12, file.getvalue(), head["about"], []))
    done = seqbench.run(str(card), tmp_path / "run", quiet=True)
    assert list(done.trials.status) == ["done"]
    assert not (tmp_path / "it ran").exists()
    assert list(tmp_path.rglob(f"{FILE}.unfit-*"))


def test_a_state_that_no_file_can_hold_is_said_once(card, tmp_path, capfd):
    overrides = {"recording.diagnostics": [f"{tmp_path}/own.py:OpensAFile"]}
    seqbench.run(str(card), tmp_path / "run", overrides=overrides)
    said = "rnn T=8 seed 0: no checkpoint: OpensAFile keeps a TextIOWrapper in file\n"
    assert capfd.readouterr().err.count(said) == 1


def test_how_often_a_trial_is_saved_is_no_part_of_its_key(card, tmp_path, capfd):
    (tmp_path / "marker").touch()
    task = cards.load(str(card))
    keys = {one.trials()[0].key for one in (task, cards.load(str(card), NEVER))}
    assert len(keys) == 1
    seqbench.run(str(card), tmp_path / "run", quiet=True)
    again = seqbench.run(str(card), tmp_path / "run", overrides=NEVER, seeds=2, quiet=True)
    assert list(again.trials.status) == ["done", "done"]


def test_a_checkpoint_that_can_not_be_written_stops_nothing(card, tmp_path, capfd, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "marker").touch()
    monkeypatch.setattr(sweep, "write_checkpoint", full)
    done = seqbench.run(str(card), tmp_path / "run")
    assert list(done.trials.status) == ["done"]
    assert "rnn T=8 seed 0: no checkpoint: No space left on device\n" in capfd.readouterr().err
