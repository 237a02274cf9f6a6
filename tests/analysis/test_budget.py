"""What a part of the budget would have said, by hand."""

import dataclasses

import pandas as pd
import pytest
import runs

from seqbench.analysis.budget import at_budgets, still_moving
from seqbench.analysis.study import Study
from seqbench.reporting.sections.budget import Budget

BUDGET = 1000
# step -> loss over the baseline: solved by the evaluations at 400, 450, 500
LEARNS = {0: 2.0, 100: 1.0, 250: 0.8, 400: 0.01, 450: 0.02, 500: 0.03, 1000: 0.001}
STAYS = {0: 2.0, 100: 1.0, 250: 1.0, 500: 1.0, 750: 0.97, 1000: 0.96}


def results_of(losses, solved_at, **training):
    results = runs.diagnosed([], "[]", cells='["rnn"]')
    trials = results.trials.assign(status="done", baseline=0.5)
    trials.loc[trials["length"] == 10, "solved_at"] = solved_at
    curves = pd.DataFrame([
        {"cell": "rnn", "length": 10, "seed": seed, "step": step, "loss": 0.5 * loss, "score": 0.1}
        for seed in range(3)
        for step, loss in losses.items()
    ])  # fmt: skip
    task = results.task.model_copy(
        update={"training": results.task.training.model_copy(update=training)}
    )
    return dataclasses.replace(results, trials=trials, curves=curves, task=task)


def test_a_trial_had_solved_once_the_third_evaluation_was_made():
    table = at_budgets(results_of(LEARNS, 400.0)).query("length == 10").set_index("share")
    assert table["steps"].tolist() == [250, 500, BUDGET]
    assert table["solved"].tolist() == [0, 3, 3]
    assert table["trials"].tolist() == [3, 3, 3]
    assert table["loss"].tolist() == pytest.approx([3.8 / 3, 0.02, 0.051 / 3])
    cut = {step: loss for step, loss in LEARNS.items() if step != 500} | {501: 0.03}
    assert at_budgets(results_of(cut, 400.0)).solved[:3].tolist() == [0, 0, 3]


def test_a_stop_by_sequences_needs_no_further_evaluations():
    found = at_budgets(results_of(LEARNS, 500.0, right_in_a_row=10))
    assert found.solved[:3].tolist() == [0, 3, 3]


def test_what_more_steps_changed_is_named():
    assert still_moving(at_budgets(results_of(STAYS, float("nan")))).empty
    falls = STAYS | {600: 0.5, 800: 0.5, 1000: 0.5}
    (row,) = still_moving(at_budgets(results_of(falls, float("nan")))).itertuples()
    assert (row.cell, row.length, row.solved_half, row.solved) == ("rnn", 10, 0, 0)
    assert (row.loss_half, row.loss) == pytest.approx((1.0, (0.97 + 0.5 + 0.5) / 3))
    late = {step if step < 400 else step + 300: loss for step, loss in LEARNS.items()}
    (row,) = still_moving(at_budgets(results_of(late, 700.0))).itertuples()
    assert (row.solved_half, row.solved) == (0, 3)


def test_the_section_says_within_how_many_steps():
    table, note = Budget().blocks(Study(results_of(LEARNS, 400.0)))
    assert table.heads == [
        "cell",
        "T",
        "within 250 steps",
        "within 500 steps",
        "within 1,000 steps",
    ]
    assert table.rows[0] == ["rnn", "10", "0/3; 1.3", "3/3; 0.02", "3/3; 0.017"]
    assert "schedule" not in note.lines[0]
    _, note = Budget().blocks(Study(results_of(LEARNS, 400.0, schedule="cosine")))
    assert "schedule (cosine) ends with the whole budget" in note.lines[0]
    assert not list(Budget().blocks(Study(runs.diagnosed([], "[]"))))
