"""How long a sweep will take: what is counted, what is timed, and how both are corrected."""

from collections import Counter
from itertools import pairwise

import pytest
import torch

from seqbench.card import task as cards
from seqbench.sweep import forecast, timing
from seqbench.sweep.check import resolve
from seqbench.sweep.forecast import Cost, Forecast, kind, makespan
from seqbench.training import loop
from seqbench.training.timing import timed

CARD = """
name = "small"
lengths = [6, 12]
seeds = 2
cells = ["rnn", "gru"]
[problem]
name = "adding"
[training]
steps = 25
batch_size = 8
hidden_size = 4
eval_every = 10
eval_size = 20
stop_when_solved = false
[recording]
every = 15
boundaries = 4
[[recording.diagnostics]]
use = "saturation"
"""


@pytest.fixture(scope="module")
def trials():
    return resolve(cards.parse(CARD, "card")).trials()


def test_what_is_counted_is_what_a_trial_does(trials, monkeypatch):
    trial, done = trials[0], Counter()
    for name in ("step", "look", "record"):
        real = getattr(loop.Run, name)

        def counted(self, number, name=name, real=real):
            done[name] += name != "record" or number not in self.watch.flow
            real(self, number)

        monkeypatch.setattr(loop.Run, name, counted)
    loop.run(trial)
    cost = Cost(step=1.0, evaluation=100.0, record=1e4)
    counted = done["step"] + 100 * done["look"] + 1e4 * done["record"]
    assert cost.until(trial, 25) == pytest.approx(counted, abs=100), "or one more at the end"


def test_timing_leaves_no_trace_and_finds_every_part(trials):
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    found = timed(trials[0])
    assert torch.equal(before, torch.get_rng_state())
    assert torch.get_num_threads() == threads
    assert all(found[part] > 0 for part in ("setup", "step", "evaluation", "record"))
    assert found["lengths"] == found["last"] == 0


def test_each_cell_and_length_is_timed_once(trials):
    found = timing.costs(trials, 2, "cpu")
    assert set(found) == {kind(trial) for trial in trials}
    assert len(found) == 4


def test_a_cell_that_cannot_be_timed_is_left_out(tmp_path):
    (tmp_path / "bad.py").write_text(
        "from torch import nn\nclass Bad(nn.GRUCell):\n    def forward(self, x, h): raise OSError"
    )
    text = CARD.replace('"gru"', f'"{tmp_path}/bad.py:Bad"')
    trials = resolve(cards.parse(text, "card")).trials()
    found = timing.costs(trials, 2, "cpu")
    assert set(found) == {kind(trial) for trial in trials if trial.cell.label == "rnn"}
    assert Forecast(trials, found, 2).left() > 0, "guessed from the others"


def test_work_is_handed_to_whoever_is_free():
    assert makespan([5, 4, 3, 3, 3], 2) == 10
    assert makespan([1, 1, 1], 3) == 1
    assert makespan([2], 2, busy=[7, 1]) == 7


class Clock:
    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


@pytest.mark.parametrize("slowness", [0.5, 1.0, 2.0])
def test_a_wrong_timing_is_corrected_without_a_jump(trials, monkeypatch, slowness):
    clock = Clock()
    monkeypatch.setattr(forecast, "time", clock)
    costs = {kind(trial): Cost(step=0.25 * trial.length) for trial in trials}
    ordered = sorted(trials, key=lambda trial: -trial.length)
    left = Forecast(ordered, costs, 1)
    told = [(0.0, left.left())]
    for trial in ordered:
        left.start(trial)
        for step in range(26):
            clock.now += 0.25 * trial.length * slowness if step else 0
            left.step(trial, step)
            told.append((clock.now, left.left()))
        left.end(trial)
    ends = [now + seconds for now, seconds in told]
    assert all(1 / 1.5 < after / before < 1.5 for before, after in pairwise(ends[1:]))
    settled = [end for end, (now, _) in zip(ends, told, strict=True) if now > 30]
    assert all(clock.now / 1.5 < end < clock.now * 1.5 for end in settled)
    assert told[-1][1] == pytest.approx(0, abs=1e-6)


def test_a_trial_that_was_resumed_does_not_look_fast(trials, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(forecast, "time", clock)
    left = Forecast(trials[:1], {kind(trials[0]): Cost(step=10.0)}, 1)
    left.start(trials[0])
    for step in (20, 22, 24):
        left.step(trials[0], step)
        clock.now += 20
    assert left.left() == pytest.approx(0)
    assert left.pace.took == left.pace.expected


def test_nothing_is_said_where_nothing_is_known(trials):
    assert Forecast(trials, {}, 2).left() is None
