"""Widths by parameters, learning rates by a grid, a clip of its own for a cell."""

import math

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import seqbench
from seqbench import InputError
from seqbench.analysis import rates
from seqbench.card import task as cards
from seqbench.card.extend import reopened
from seqbench.cli import main
from seqbench.sweep import plan, run, tuning
from seqbench.sweep.check import resolve
from seqbench.sweep.run import carry_out
from seqbench.sweep.widths import nearest_width
from seqbench.training import loop

CARD = """
name = "small"
lengths = [4, 6]
seeds = 2
cells = ["rnn", { use = "gru", label = "gru, equal", match = "parameters" },
         { use = "lstm", learning_rate = 0.5, hidden_size = 3 }]
[problem]
name = "adding"
[training]
steps = 4
hidden_size = 20
eval_size = 20
"""
TUNING = """
[tuning]
learning_rates = [1e-3, 1e-2]
lengths = [6]
seeds = 1
widen = 0
"""


@pytest.fixture
def card(tmp_path):
    def write(text):
        (tmp_path / "card.toml").write_text(text)
        return str(tmp_path / "card.toml")

    return write


class Small(nn.GRUCell):
    """Given as a class, so that it runs in this process."""


# --- widths ---


def parameters(cls, width, inputs=2, outputs=1):
    return sum(p.numel() for p in cls(inputs, width).parameters()) + (width + 1) * outputs


def test_a_cell_is_given_the_width_of_equal_parameters(card, tmp_path):
    planned = plan.plan(card(CARD), tmp_path / "run")
    rnn, gru, lstm = planned.task.cells
    target = parameters(nn.RNN, 20)
    distance = {width: abs(parameters(nn.GRU, width) - target) for width in range(1, 40)}
    assert gru.hidden_size == min(distance, key=distance.get)
    assert (rnn.hidden_size, lstm.hidden_size) == (None, 3)
    assert {t.hidden_size for t in planned.missing if t.cell == gru} == {gru.hidden_size}
    assert all(cell.match is None for cell in planned.task.cells), "said by the width alone"
    alone = plan.plan(card(CARD), tmp_path / "run", cells="gru, equal")
    assert alone.task.cells == [gru], "whatever else is asked for"


def test_all_cells_can_be_matched(card, tmp_path):
    text = CARD.replace('match = "parameters"', "layers = 2")
    text = text.replace("eval_size", 'match = "parameters"\neval_size')
    rnn, gru, lstm = plan.plan(card(text), tmp_path / "run").task.cells
    assert (rnn.hidden_size, lstm.hidden_size) == (None, 3), "the reference; one that says its own"
    assert gru.hidden_size == 6
    assert plan.plan(card(text), tmp_path / "run").task.training.match == "width"
    text = text.replace("layers = 2", 'match = "width"')
    assert plan.plan(card(text), tmp_path / "run").task.cells[1].hidden_size is None


@given(st.integers(1, 5000), st.integers(1, 9), st.integers(0, 50))
def test_the_nearest_width_is_the_nearest(target, square, line):
    def count(width):
        return square * width * width + line * width + 1

    width = nearest_width(count, target)
    assert width == min(range(1, 5001), key=lambda w: (abs(count(w) - target), w))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"rnn"', '{ use = "rnn", match = "parameters" }', "match = 'parameters' in the first"),
        ('match = "parameters"', 'match = "parameters", hidden_size = 3', "can't both be set"),
        (
            'match = "parameters"',
            'match = "area"',
            "match = 'area'\nallowed: 'width' or 'parameters'",
        ),
        ('match = "parameters"', "clip_norm = -1.0", "clip_norm = -1.0\nallowed: 0.0 or more"),
        ("steps = 4", "steps = 4\nclip_value = 1.0", ""),
        ("seeds = 2", "seeds = 1001", "the seeds reach tuning.first_seed"),
        ("lengths = [6]", "", "tuning.lengths is missing"),
        ("[1e-3, 1e-2]", "[]", "tuning.learning_rates = \\[\\]\nallowed: at least one"),
        ("[1e-3, 1e-2]", "[0.1, 0.1]", "tuning.learning_rates: a value is given twice"),
        ("[1e-3, 1e-2]", "[0.0]", "tuning.learning_rates\\[0\\] = 0.0\nallowed: more than 0"),
    ],
)
def test_what_can_not_be_is_said(old, new, words, card, tmp_path):
    text = (CARD + TUNING).replace(old, new)
    if not words:
        text = text.replace('match = "parameters"', "clip_norm = 1.0")
        words = "training.clip_value and a cell's clip_norm can't both be set"
    with pytest.raises(InputError, match=words):
        plan.plan(card(text), tmp_path / "run")


def test_a_width_that_can_not_be_built_is_said(card, tmp_path):
    (tmp_path / "even.py").write_text(
        "from torch import nn\nclass Even(nn.GRUCell):\n    def __init__(self, i, h):\n"
        "        assert h % 20 == 0, 'heads of 20'\n        super().__init__(i, h)\n"
    )
    text = CARD.replace('"gru"', '"./even.py:Even"')
    with pytest.raises(InputError, match=r"can't be built 1 wide(?s:.*)heads of 20"):
        plan.plan(card(text), tmp_path / "run")


# --- learning rates ---


def small(card, tmp_path, **more):
    return plan.plan(card(CARD + TUNING), tmp_path / "run", cells=[Small], **more)


def test_rates_are_tried_first_on_other_seeds_and_the_best_is_used(card, tmp_path):
    planned = small(card, tmp_path)
    assert [t.cell.label for t in planned.first.missing] == ["Small @ 0.001", "Small @ 0.01"]
    assert {(t.seed, t.length) for t in planned.first.missing} == {(1000, 6)}
    results = carry_out(planned, quiet=True)
    found = rates.table(results.tuning)
    assert results.task.cells[0].learning_rate == rates.best(found)["Small"]
    configurations = [record["configuration"] for record in results.records.values()]
    assert {c["cell"]["learning_rate"] for c in configurations} == {rates.best(found)["Small"]}
    assert sorted(results.trials["seed"].unique()) == [0, 1], "tuning trials stand apart"
    assert results.tuning.trials["seed"].tolist() == [1000, 1000]
    assert results.tuning.trials["status"].tolist() == ["done", "done"]


def test_a_tuned_run_goes_on_where_it_stopped(card, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run, "make_folder", stop)
        with pytest.raises(KeyboardInterrupt):
            carry_out(small(card, tmp_path), quiet=True)
    with monkeypatch.context() as patch:  # the grid is run, the task proper is not
        whole = run.make_folder
        patch.setattr(
            run,
            "make_folder",
            lambda p, claims: whole(p, claims) if p.path.name == "tuning" else stop(),
        )
        with pytest.raises(KeyboardInterrupt):
            carry_out(small(card, tmp_path), quiet=True)
    planned = small(card, tmp_path)
    assert planned.first.missing == [], "chosen from what is stored"
    results = carry_out(planned, quiet=True)
    assert results.task.cells[0].learning_rate in (1e-3, 1e-2)
    assert (results.trials["status"] == "done").all()
    assert not small(card, tmp_path).missing
    assert len(small(card, tmp_path, seeds=3).missing) == 2, "one more seed at both lengths"


def test_a_cell_that_is_added_later_is_tuned_alone(card, tmp_path):
    class Later(Small):
        pass

    rate = carry_out(small(card, tmp_path), quiet=True).task.cells[0].learning_rate
    planned = plan.plan(card(CARD + TUNING), tmp_path / "run", cells=[Small, Later])
    assert {trial.cell.label for trial in planned.first.missing} == {
        "Later @ 0.001",
        "Later @ 0.01",
    }
    results = carry_out(planned, quiet=True)
    assert results.task.cells[0].learning_rate == rate
    assert len(results.tuning.trials) == 4
    assert (results.trials["status"] == "done").all()


def test_a_rate_once_chosen_stays(card, tmp_path):
    results = carry_out(small(card, tmp_path), quiet=True)
    for folder in (tmp_path / "run" / "tuning" / "trials").iterdir():
        (folder / "trial.json").unlink()
    planned = small(card, tmp_path)
    assert planned.first is None
    assert planned.task.cells == results.task.cells


def test_cells_with_a_rate_of_their_own_are_not_tuned(card, tmp_path):
    first = plan.plan(card(CARD + TUNING), tmp_path / "run").first
    labels = {trial.cell.label.partition(" @ ")[0] for trial in first.missing}
    assert labels == {"rnn", "gru, equal"}


def test_a_cell_that_fails_at_every_rate_ends_in_errors(card, tmp_path):
    class Failing(nn.GRUCell):
        def forward(self, x, state=None):
            raise RuntimeError("never")

    planned = plan.plan(card(CARD + TUNING), tmp_path / "run", cells=[Failing])
    results = carry_out(planned, quiet=True)
    assert (results.trials["status"] == "error").all()
    assert results.task.cells[0].learning_rate == 1e-3, "the smallest"


def test_the_command_shows_both_phases_and_runs_them(card, tmp_path, monkeypatch, capsys):
    (tmp_path / "mine.py").write_text("from torch.nn import GRUCell as Mine\n")
    out = tmp_path / "run"

    def command(*words):
        monkeypatch.setattr("sys.argv", ["seqbench", "run", card(CARD + TUNING), *words,
                            "--cells", f"{tmp_path}/mine.py:Mine", "--out", str(out)])  # fmt: skip
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        return capsys.readouterr()

    shown = command("--dry-run").out
    assert "small-tuning: 2 trials, 0 finished, 2 to run" in shown
    assert "Mine @ 0.001 T=6 seed 1000: at most 4 training steps" in shown
    assert "small: 4 trials, 0 finished, 4 to run" in shown
    assert not out.exists()
    assert "first the learning rates, of 0.001, 0.01: 2 trials" in command("--workers", "1").err
    assert "small: 4 trials, 4 finished, 0 to run" in command("--dry-run").out


def found(*rows):
    columns = ["cell", "learning_rate", "trials", "solved", "steps", "loss"]
    return pd.DataFrame(rows, columns=columns)


def losses(cell, **by_rate):
    return [(cell, float(rate), 1, 0, 9.0, loss) for rate, loss in by_rate.items()]


@pytest.mark.parametrize(
    ("tried", "best", "beyond"),
    [
        ([1e-3, 3e-3, 1e-2], 1e-2, 0.033),
        ([1e-3, 3e-3, 1e-2], 1e-3, 3.3e-4),
        ([1e-3, 3e-3, 1e-2], 3e-3, None),
        ([1e-2], 1e-2, 3.2e-3),
    ],
)
def test_the_next_rate_is_as_far_beyond_as_the_neighbour_is_on_this_side(tried, best, beyond):
    assert tuning.next_rate(tried, best) == beyond


def test_a_grid_widens_for_the_cells_whose_best_rate_lies_at_its_edge(card, tmp_path):
    task = plan.plan(card(CARD + TUNING.replace("widen = 0", "widen = 2")), tmp_path / "run").task
    seen = found(
        *losses("rnn", **{"0.001": 0.9, "0.01": 0.5}),
        *losses("gru, equal", **{"0.001": 0.5, "0.01": 0.4, "0.1": 0.9}),
    )
    wider = tuning.widened(task, seen)
    assert [cell.label for cell in wider.cells] == ["rnn @ 0.1"], "the other's best is inside"
    seen = found(
        *losses("rnn", **{"0.001": 0.9, "0.01": 0.5, "0.1": 0.4, "1.0": 0.3}),
        *losses("gru, equal", **{"0.001": math.inf, "0.01": math.inf}),
    )
    assert tuning.widened(task, seen) is None, "twice is as often as the card allows; no result"


def test_a_run_tries_rates_beyond_the_edge_and_goes_on_where_it_stopped(card, tmp_path):
    text = CARD + TUNING.replace("widen = 0", "widen = 2")
    results = carry_out(plan.plan(card(text), tmp_path / "run", cells=[Small]), quiet=True)
    table = rates.table(results.tuning)
    tried = sorted(table["learning_rate"])
    best = results.task.cells[0].learning_rate
    assert best == rates.best(table)["Small"]
    assert len(tried) == 4 or best not in (tried[0], tried[-1])
    assert len(tried) > 2, "of two rates, the best one always lies at the edge"
    edge = rates.at_the_edge(rates.tried(results))
    assert edge == (["Small"] if best in (tried[0], tried[-1]) else [])
    told = (seqbench.report(results).parent / "report.md").read_text()
    assert ("At the edge all the same" in told) == bool(edge)
    chance = rates.by_chance(rates.tried(results))
    assert ("chance chose, and what is not learned is said of that rate" in told) == bool(chance)
    added = f"*{tried[-1]:g}*".replace(".", "-")
    for folder in (tmp_path / "run" / "tuning" / "trials").glob(added):
        (folder / "trial.json").unlink()
    (tmp_path / "run" / "task.toml").unlink()
    again = carry_out(plan.plan(card(text), tmp_path / "run", cells=[Small]), quiet=True)
    assert again.task.cells[0].learning_rate == best
    pd.testing.assert_frame_equal(rates.table(again.tuning), table)


def test_a_rate_is_chosen_by_chance_where_none_solved_a_trial_or_lowered_the_loss():
    rows = [("solved", 1, 0.9), ("solved", 0, 1.0), ("fell", 0, 0.79), ("fell", 0, 1.0)]
    rows += [("neither", 0, 0.8), ("neither", 0, math.inf)]
    tried = pd.DataFrame(rows, columns=["cell", "solved", "loss"])
    assert rates.by_chance(tried) == ["neither"]
    assert rates.by_chance(pd.DataFrame()) == []


def test_the_best_rate_solves_most_then_soonest_then_lowest():
    columns = ["cell", "learning_rate", "trials", "solved", "steps", "loss"]
    found = pd.DataFrame([
        ("most", 0.1, 4, 3, 50.0, 0.1), ("most", 0.2, 4, 4, 90.0, 0.3),
        ("soonest", 0.1, 4, 4, 50.0, 0.3), ("soonest", 0.2, 4, 4, 40.0, 0.9),
        ("lowest", 0.1, 4, 0, 99.0, 0.4), ("lowest", 0.2, 4, 0, 99.0, 0.3),
        ("neither", 0.3, 4, 0, 99.0, math.inf), ("neither", 0.1, 4, 0, 99.0, math.inf),
    ], columns=columns)  # fmt: skip
    assert rates.best(found) == {"most": 0.2, "soonest": 0.2, "lowest": 0.2, "neither": 0.3}


def test_the_report_shows_what_was_tried(card, tmp_path):
    results = carry_out(small(card, tmp_path), quiet=True)
    text = (seqbench.report(results).parent / "report.md").read_text()
    rate = results.task.cells[0].learning_rate
    assert "Chosen for each cell from 0.001 and 0.01" in text
    assert f"The choice: {rate:g} (Small)" in text
    tried = pd.read_csv(tmp_path / "run" / "report" / "tables" / "tuning.csv")
    assert tried["learning_rate"].tolist() == [0.001, 0.01]
    assert tried.loc[tried["chosen"], "learning_rate"].tolist() == [rate]


def test_what_a_card_leaves_open_is_no_difference(card, tmp_path):
    written = cards.load(card(CARD + TUNING))
    rnn, gru, lstm = written.cells
    found = [
        rnn.model_copy(update={"learning_rate": 0.1}),
        gru.model_copy(update={"learning_rate": 0.1, "hidden_size": 8, "match": None}),
        lstm,
    ]
    resolved = written.model_copy(update={"cells": found})
    assert reopened(resolved, written) == written
    other = [*found[:2], lstm.model_copy(update={"learning_rate": 0.1})]
    assert reopened(resolved.model_copy(update={"cells": other}), written) != written


def test_another_grid_is_another_task(card, tmp_path):
    carry_out(small(card, tmp_path), quiet=True)
    with pytest.raises(InputError, match=r"tuning\.learning_rates = \[0\.001, 0\.01\] there"):
        small(card, tmp_path, overrides={"tuning.learning_rates": [0.1]})


# --- clip ---


def test_a_cells_own_clip_bounds_the_step(card, tmp_path):
    text = CARD.replace("eval_size", 'optimizer = "sgd"\nlearning_rate = 1.0\neval_size')
    one = resolve(cards.load(card(text))).trials()[0]
    assert one.clip_norm == 0

    def moved(clip):
        cell = one.cell.model_copy(update={"clip_norm": clip})
        training = one.training.model_copy(update={"steps": 1, "clip_norm": 0.5})
        trial = one.model_copy(update={"cell": cell, "training": training})
        with loop.reproducible("cpu"):
            problem = loop.make_problem(trial)
            model = loop.make_model(trial, problem)
            before = nn.utils.parameters_to_vector(model.parameters()).detach()
            loop.Run(trial, problem, model, torch.device("cpu")).step(1)
            return (nn.utils.parameters_to_vector(model.parameters()) - before).norm().item()

    assert moved(1e-3) == pytest.approx(1e-3, rel=1e-2)
    assert moved(None) == pytest.approx(0.5, rel=1e-2), "the task's"
    assert moved(0.0) > 0.6, "none"
