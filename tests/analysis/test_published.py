"""The paper's numbers beside ours, by hand."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import runs

from seqbench import InputError
from seqbench.analysis.published import side_by_side
from seqbench.analysis.study import Study
from seqbench.card import task as cards
from seqbench.reporting.sections.published import Published


def results_of(*published):
    results = runs.diagnosed([], "[]", cells='["rnn"]')
    status = ["solved", "solved", "done"] * 3
    solved_at = [100.0, 300.0, np.nan] * 3
    trials = results.trials.assign(
        status=status, solved_at=solved_at, loss=[0.1, 0.2, 0.6] * 3, score=0.5
    )
    card = results.task.model_dump() | {"published": list(published)}
    task = cards.Task.model_validate(card)
    return dataclasses.replace(results, trials=trials, task=task)


def one(quantity, **told):
    return {"cell": "rnn", "length": 10, "quantity": quantity, **told}


def test_ours_is_what_the_quantity_says():
    told = [one(quantity, value=0.5) for quantity in ("loss", "score", "solved", "steps")]
    table = side_by_side(results_of(*told)).set_index("quantity")
    assert table["ours"].tolist() == pytest.approx([0.3, 0.5, 2 / 3, 300.0])
    assert table["seeds"].tolist() == [3] * 4
    assert table["low"].isna().all(), "three seeds have no interval worth a number"


def test_at_an_evaluated_length_it_is_the_last_score_there():
    results = results_of(one("score", value=1.0, evaluated_length=50))
    key = {"cell": "rnn", "length": 10}
    told = [
        key | {"seed": seed, "step": step, "evaluated_length": length, "loss": 0.0, "score": score}
        for seed, length, step, score in [
            (0, 50, 100, 0.2), (0, 50, 300, 0.6), (1, 50, 200, 0.8), (1, 10, 900, 1.0)
        ]
    ]  # fmt: skip
    (row,) = side_by_side(dataclasses.replace(results, lengths=pd.DataFrame(told))).itertuples()
    assert (row.evaluated_length, row.ours, row.seeds) == (50, pytest.approx(0.7), 2)


def test_steps_until_solved_are_known_at_the_trained_length_alone():
    wrong = {"published": [one("steps", value=1.0, evaluated_length=50)]}
    card = runs.DIAGNOSED.format(cells='["rnn"]', clip=1.0, diagnostics="[]")
    with pytest.raises(InputError, match="steps at an evaluated_length; allowed there"):
        cards.parse(card, "card", wrong)


def test_training_sequences_are_steps_times_the_batch():
    (row,) = side_by_side(results_of(one("sequences", value=74_000))).itertuples()
    assert row.ours == 300 * 64


def test_the_section_shows_both_and_says_where_theirs_is_from():
    said = one("solved", words="yes", where="table 7")
    table, _ = Published().blocks(Study(results_of(said, one("steps", value=1000.0))))
    assert table.rows[0][:5] == ["rnn", "10", "10", "solved", "yes"]
    assert table.rows[0][-2:] == ["3", "table 7"]
    assert table.rows[1][4:6] == ["1,000", "300"]
    assert not list(Published().blocks(Study(results_of())))


def test_a_quantity_that_nobody_has_is_refused():
    card = runs.DIAGNOSED.format(cells='["rnn"]', clip=1.0, diagnostics="[]")
    wrong = {"published": [one("speed", value=1.0)]}
    with pytest.raises(InputError, match=r"published\[0\].quantity = 'speed'"):
        cards.parse(card, "card", wrong)
