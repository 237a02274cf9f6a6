"""Trials on the workers of a real Dask scheduler, on the loopback address."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from families import family

import seqbench
from seqbench import InputError
from seqbench.sweep.executors import on_cluster

pytest.importorskip("distributed", reason="the extra `cluster` is not installed")

CARD = """
name = "tiny"
lengths = [6]
seeds = 2
cells = ["rnn", {use = "./mine.py:Mine", label = "mine"}]
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
MINE = """
import torch

class Mine(torch.nn.RNNCell):
    pass
"""
SLOW = """
import time
import torch

class Mine(torch.nn.RNNCell):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        time.sleep(3)
"""
BROKEN = """
    def forward(self, x, h):
        raise OSError(7)
"""
RUN = [sys.executable, "-m", "seqbench", "run"]
TABLES = ("trials", "curves", "flow")


class Processes:
    """A scheduler and two workers, each a process of its own."""

    def __init__(self, folder):
        self.folder, self.started = folder, []
        words = ["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        self.address = self.listen(self.start(*words), r"Scheduler at:\s+(tcp://\S+)")

    def start(self, *words):
        process = subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_" + words[0], *words[1:]],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(Path(seqbench.__file__).parents[1])},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def worker(self, *more):
        words = ["worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard", *more]
        process = self.start(*words)
        self.listen(process, "Registered to:")
        return process

    def listen(self, process, pattern):
        for line in process.stderr:
            if found := re.search(pattern, line):
                return found.group(1) if found.groups() else line
        raise AssertionError(f"{process.args} ended")

    def end(self):
        for process in self.started:
            process.kill()
            process.wait()
            process.stderr.close()


@pytest.fixture
def cluster(tmp_path):
    processes = Processes(tmp_path)
    yield processes
    processes.end()


def card(folder, source=MINE):
    folder.mkdir(exist_ok=True)
    (folder / "mine.py").write_text(source)
    (folder / "tiny.toml").write_text(CARD)
    return str(folder / "tiny.toml")


def same(one, other):
    for table in TABLES:
        pd.testing.assert_frame_equal(
            getattr(one, table).drop(columns="seconds", errors="ignore"),
            getattr(other, table).drop(columns="seconds", errors="ignore"),
            check_exact=True,
        )


def test_a_worker_is_killed_and_the_numbers_are_those_of_one_machine(cluster, tmp_path):
    task = card(tmp_path / "card", SLOW)
    alone = seqbench.run(task, tmp_path / "alone", quiet=True, workers=2)
    first, _ = cluster.worker(), cluster.worker()
    command = subprocess.Popen(
        [*RUN, task, "--out", tmp_path / "dask", "--dask", cluster.address],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while len(family(first.pid)) < 3:  # its server, and a trial
        time.sleep(0.05)
        assert command.poll() is None
    members = family(first.pid)
    first.send_signal(signal.SIGKILL)
    _, said = command.communicate(timeout=240)
    assert command.returncode == 0, said
    same(alone, seqbench.load(tmp_path / "dask"))
    assert not [member for member in members[1:] if Path(f"/proc/{member}").exists()]


def test_a_file_reaches_workers_that_have_none_and_errors_are_the_trial_s(cluster, tmp_path):
    task = card(tmp_path / "card", MINE.replace("    pass\n", BROKEN))
    cluster.worker()
    results = seqbench.run(task, tmp_path / "run", lengths=[6], quiet=True, dask=cluster.address)
    broken = results.trials[results.trials["cell"] == "mine"]
    assert broken["status"].eq("error").all()
    assert broken["error"].str.contains("OSError: 7").all()
    assert results.trials["status"].ne("error").sum() == 2
    assert {record["cell"] for record in results.records.values()} == {
        "seqbench.cells.rnn:RNN",
        f"{tmp_path}/card/mine.py:Mine",
    }


def test_workers_of_another_version_are_refused(cluster, tmp_path, monkeypatch):
    cluster.worker()
    others = on_cluster.versions() | {"torch": "1.0"}
    monkeypatch.setattr(on_cluster, "versions", lambda: others)
    with pytest.raises(InputError, match=r"the worker tcp://\S+ has torch 2.*\nallowed: .*torch 1"):
        seqbench.run(card(tmp_path), tmp_path / "run", quiet=True, dask=cluster.address)


def test_no_scheduler_no_device(tmp_path, monkeypatch):
    from seqbench.sweep.executors import cluster

    monkeypatch.setattr(cluster, "PATIENCE", 0.5)
    where = {"out": tmp_path / "run", "quiet": True, "dask": "tcp://127.0.0.1:9"}
    with pytest.raises(InputError, match="no scheduler answers there"):
        seqbench.run(card(tmp_path), **where)
    with pytest.raises(InputError, match="--device auto with --dask\nallowed: cpu, cuda"):
        seqbench.run(card(tmp_path), device="auto", **where)


def test_a_gpu_is_a_resource(cluster, tmp_path):
    from seqbench.sweep.executors.cluster import room

    cluster.worker()
    cluster.worker("--resources", "GPU=2")
    assert room(cluster.address, "cpu") == 2
    assert room(cluster.address, "cuda") == 2


def test_what_is_interrupted_ends_on_the_workers(cluster, tmp_path):
    task = card(tmp_path / "card")
    worker = cluster.worker()
    long = ["--steps", "10000000", "--set", "training.eval_every=100000"]
    command = subprocess.Popen(
        [*RUN, task, *long, "--out", tmp_path / "dask", "--dask", cluster.address],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while len(family(worker.pid)) < 3:
        time.sleep(0.05)
        assert command.poll() is None
    command.send_signal(signal.SIGINT)
    assert command.wait(60) == 130
    deadline = time.monotonic() + 30
    while len(family(worker.pid)) > 2:  # the worker and its server stay
        assert time.monotonic() < deadline
        time.sleep(0.1)
