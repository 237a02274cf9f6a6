"""`seqbench check-problem`: bundled problems pass; each fault is found by its own check."""

import subprocess
import sys

import pytest
import torch

from seqbench.problems import BUNDLED
from seqbench.problems.batch import Baseline, Batch
from seqbench.problems.checks import check_length
from seqbench.problems.kinds import Regression, asked_at_end
from seqbench.testing.examination import examine_problem

OPTIONS = {
    "mqar": {"length": 16, "options": {"pairs": 2, "vocabulary": 12}},
    "images": {"length": 8},
    "selective_copying": {"length": 12, "options": {"tokens": 3}},
    "state_tracking": {"length": 6},
    "memory_capacity": {"length": 4},
}
PROTOCOLS = [
    ("adding", protocol) for protocol in ("hochreiter1997", "anywhere", "pascanu2013", "early")
] + [("multiplication", "hochreiter1997"), ("xor", "early"), ("reber", "hochreiter1997"),
     ("temporal_order", "hochreiter1997"), ("copy", "tcn2018"), ("copy", "exprnn2019"),
     ("copy", "variable"), ("latch", "hochreiter1997-3b")]  # fmt: skip


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_problems_pass(name):
    if name == "images":
        pytest.importorskip("sklearn")
    results = list(examine_problem(name, **OPTIONS.get(name, {})))
    assert [str(one) for one in results if one.status == "failed"] == []


@pytest.mark.parametrize(("name", "protocol"), PROTOCOLS)
def test_their_protocols_pass_too(name, protocol):
    results = list(examine_problem(name, length=30, options={"protocol": protocol}))
    assert [str(one) for one in results if one.status != "ok"] == []


class Good(Regression):
    input_size, output_size, tolerance = 1, 1, 0.1

    def __init__(self, length):
        self.steps = check_length(length, 3, "good")
        self.baselines = {"knowing nothing": Baseline(loss=1 / 3, score=0.1)}

    def sample(self, batch_size, generator):
        inputs = torch.rand(self.steps, batch_size, 1, generator=generator) * 2 - 1
        return asked_at_end(inputs, inputs[0, :, 0])

    def needed_lags(self, batch):
        return [batch.last_scored_step()[:, None] - 1]


class FromTheGlobalState(Good):
    def sample(self, batch_size, generator):
        inputs = torch.rand(self.steps, batch_size, 1)
        return asked_at_end(inputs, inputs[0, :, 0])


class RemembersWhatItDrew(Good):
    drawn = 0

    def sample(self, batch_size, generator):
        self.drawn += batch_size
        batch = super().sample(batch_size, generator)
        return Batch(batch.inputs + self.drawn, batch.targets, batch.weights)


class WrongBaseline(Good):
    def __init__(self, length):
        super().__init__(length)
        self.baselines = {"knowing nothing": Baseline(loss=1.0, score=0.1)}


class WrongScoreOfNothing(Good):
    def __init__(self, length):
        super().__init__(length)
        self.baselines = {"knowing nothing": Baseline(loss=1 / 3, score=0.5)}


class NeedsAnotherStep(Good):
    def needed_lags(self, batch):
        return [batch.last_scored_step()[:, None] - 2]


class NamesOneNeedTooMany(Good):
    def needed_lags(self, batch):
        return [batch.last_scored_step()[:, None] - torch.tensor([1, 2])]


class LagAhead(Good):
    def needed_lags(self, batch):
        return [torch.full((batch.inputs.shape[1], 1), -1)]


class AnchorNotScored(Good):
    def anchors(self, batch):
        return [batch.last_scored_step() - 1]


class NothingAsked(Good):
    def sample(self, batch_size, generator):
        batch = super().sample(batch_size, generator)
        return Batch(batch.inputs, batch.targets, torch.zeros_like(batch.weights))


class Doubles(Good):
    def sample(self, batch_size, generator):
        batch = super().sample(batch_size, generator)
        return Batch(batch.inputs.double(), batch.targets, batch.weights)


class BatchFirst(Good):
    def sample(self, batch_size, generator):
        batch = super().sample(batch_size, generator)
        return Batch(batch.inputs.movedim(0, 1), batch.targets, batch.weights)


class LossOverTheBatch(Good):
    def loss(self, outputs, targets):
        return (outputs - targets).square().mean().expand(outputs.shape[:2])


class NoShare(Good):
    def score(self, outputs, targets, weights):
        return {"score": super().score(outputs, targets, weights)["score"]}


class FailsWhenShort(Good):
    def __init__(self, length):
        if length < 3:
            raise ValueError("no")
        super().__init__(length)


class NoLength(Good):
    def __init__(self):
        super().__init__(5)


FAULTS = {
    FromTheGlobalState: "generator alone",
    RemembersWhatItDrew: "generator alone",
    WrongBaseline: "baselines",
    WrongScoreOfNothing: "baselines",
    NeedsAnotherStep: "needed lags are needed",
    NamesOneNeedTooMany: "needed lags are needed",
    LagAhead: "needed lags inside the sequence",
    AnchorNotScored: "anchors are scored",
    NothingAsked: "weights",
    Doubles: "dtype",
    BatchFirst: "shapes",
    LossOverTheBatch: "loss",
    NoShare: "score",
    FailsWhenShort: "length",
    NoLength: "construction",
}


def test_a_good_problem_passes_every_check():
    assert {str(one.status) for one in examine_problem(Good)} == {"ok"}


@pytest.mark.parametrize("cls", FAULTS, ids=lambda cls: cls.__name__)
def test_a_fault_is_found_by_its_own_check_with_advice(cls):
    results = list(examine_problem(cls))
    failed = [one for one in results if one.status == "failed"]
    assert failed[0].name == FAULTS[cls]
    assert failed[0].advice


def run(*words):
    return subprocess.run(
        [sys.executable, "-m", "seqbench", *words], capture_output=True, text=True, timeout=120
    )


def test_the_commands_check_and_show(tmp_path):
    good = run("check-problem", "adding", "--length", "12", "--set", "protocol=early")
    assert good.returncode == 0, good.stderr
    assert "0 failed" not in good.stdout
    figure = tmp_path / "order.png"
    shown = run("show", "temporal_order", "--length", "10", "--out", str(figure))
    assert shown.returncode == 0, shown.stderr
    rows = shown.stdout.splitlines()
    assert rows[0].split() == ["step", "shown", "target", "scored", "needed"]
    assert sum("for 10" in row for row in rows) == 2
    assert "baseline, knowing nothing: loss 1.386" in shown.stdout
    assert figure.stat().st_size > 5000
    wrong = run("show", "adding", "--length", "1")
    assert wrong.returncode == 2
    assert "allowed: 2 or more" in wrong.stderr
