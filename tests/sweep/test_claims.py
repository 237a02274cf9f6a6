"""Several commands in one folder: each trial is one command's, until that has ended."""

import subprocess
import sys

import pytest
from processes import wait_for

from seqbench import results
from seqbench.card import task as cards
from seqbench.sweep import outlook, status
from seqbench.sweep.claims import Claims, running
from seqbench.sweep.forecast import Cost, Forecast, kind
from seqbench.sweep.plan import shard
from seqbench.sweep.progress import display, duration

CARD = """
name = "small"
lengths = [5]
seeds = 2
cells = ["rnn"]
[problem]
name = "adding"
"""
HOLDER = """
import sys
from pathlib import Path
from seqbench.card import task as cards
from seqbench.sweep.claims import Claims
claims = Claims(Path(sys.argv[1]))
assert claims.claim(cards.parse(sys.argv[2], "card").trials()[0])
print("claimed", flush=True)
input()
"""


def test_a_claim_is_one_process_s_and_ends_with_it(tmp_path):
    task = cards.parse(CARD, "card")
    first, second = task.trials()
    results.write_task(tmp_path, task)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path), CARD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout.readline() == b"claimed\n"
    with Claims(tmp_path) as claims:
        assert not claims.claim(first)
        assert claims.claim(second)
        claims.release(second)
        assert running(tmp_path, [first, second]) == [first]
        assert status.lines(tmp_path) == [
            "small: 2 trials: 1 running, 1 not finished",
            "time left: not known yet",
            "running: rnn T=5 seed 0",
        ]
        holder.kill()
        holder.wait()
        assert claims.claim(first)


def test_shards_share_all_trials_out():
    trials = list(range(10))
    parts = [trials[shard(f"{i}/3").number - 1 :: 3] for i in (1, 2, 3)]
    assert sorted(trial for part in parts for trial in part) == trials


def test_status_says_what_the_command_that_runs_says(tmp_path, capfd):
    """And after that has been killed, what its next run would."""
    task = cards.parse(CARD, "card")
    results.write_task(tmp_path, task)
    trials = task.trials()
    costs = {kind(trials[0]): Cost(step=0.4)}
    forecast = Forecast(trials, costs, workers=1)
    with Claims(tmp_path) as claims:
        claims.claim(trials[0])
        with display(forecast, tmp_path) as shown:
            shown.start(trials[0])
            shown.step(trials[0], 0, 0.1)
            wait_for((tmp_path / outlook.FILE).exists)
            assert outlook.read(tmp_path).left == pytest.approx(forecast.left(), rel=0.01)
            seen = outlook.read(tmp_path)
            assert seen.left_now() == pytest.approx(seen.left, rel=0.01)
            assert seen.left_of(trials[1:]) == pytest.approx(seen.left / 2, rel=0.01)
    whole = task.training.steps * 0.4
    left = f"once it runs again, at most {duration(2 * whole)} left, 1 at a time"
    assert status.lines(tmp_path)[1] == left


def test_a_note_that_is_none_is_passed_over(tmp_path):
    results.write_task(tmp_path, cards.parse(CARD, "card"))
    for text in ("", "{}", '{"at": 0, "left": -1, "workers": 1, "costs": {}}', "[" * 10_000):
        (tmp_path / outlook.FILE).write_text(text)
        assert status.lines(tmp_path)[1] == "time left: not known"


def test_status_tells_of_the_learning_rates_that_are_tried_first(tmp_path):
    results.write_task(tmp_path / results.TUNING, cards.parse(CARD, "card"))
    assert status.lines(tmp_path)[0] == "small: 2 trials: 2 not finished"
