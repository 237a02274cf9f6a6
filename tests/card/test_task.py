"""Cards: what they become, and what a wrong one is answered with."""

import tomllib

import pytest

from seqbench import InputError
from seqbench.card import task as cards
from seqbench.card.extend import merge
from seqbench.sweep.plan import plan

CARD = """
name = "mine"
lengths = [20, 10]
seeds = 2
cells = ["rnn", { use = "lstm", label = "lstm, wide", forget_bias = 1.0, hidden_size = 40 }]

[problem]
name = "adding"
protocol = "seqbench"

[training]
steps = 100
learning_rate = 1
"""


def test_a_card_becomes_trials():
    task = cards.parse(CARD, "mine.toml")
    trials = task.trials()
    assert [(t.cell.label, t.length, t.seed) for t in trials[:3]] == [
        ("rnn", 10, 0),
        ("rnn", 10, 1),
        ("rnn", 20, 0),
    ]
    assert len(trials) == 2 * 2 * 2
    assert trials[-1].hidden_size == 40
    assert trials[0].hidden_size == 128
    assert trials[-1].cell.options == {"forget_bias": 1.0}
    assert trials[0].learning_rate == 1.0


def test_the_resolved_card_reads_back_equal():
    task = cards.parse(CARD, "mine.toml")
    assert cards.parse(task.to_toml(), "again.toml") == task


def test_trial_keys_are_stable_distinct_and_blind_to_texts():
    task = cards.parse(CARD, "mine.toml")
    keys = [trial.key for trial in task.trials()]
    assert len(set(keys)) == len(keys)
    described = cards.parse('description = "other words"\n' + CARD, "mine.toml")
    assert [trial.key for trial in described.trials()] == keys
    assert cards.parse(CARD, "x", {"training.steps": 101}).trials()[0].key not in keys
    # If these change, results of earlier versions are not found again: raise SCHEMA, and say so.
    assert (keys[0], keys[-1]) == ("e16fd02b8a999a88", "1a78bcbef0ef1973")
    assert task.trials()[0].folder == "rnn-T10-s0-e16fd0"


def test_trials_of_schema_1_are_found_under_the_keys_that_they_had():
    first, *_, last = cards.parse(CARD, "mine.toml").trials()
    assert first.key_under(1) == "21f8e85752e62818"
    assert last.key_under(1) == "ab3a2b7a2dd1298f"
    assert first.folder_under(1) == "rnn-T10-s0-21f8e8"


@pytest.mark.parametrize("name", cards.bundled())
def test_bundled_cards_are_complete(name):
    task = cards.load(name)
    written = tomllib.loads(cards.find(name).read_text())
    assert task.name == name
    assert task.paper
    assert task.description
    for table in ("training", "recording"):
        assert set(written[table]) >= set(getattr(task, table).model_fields_set)
    needed = {"steps", "batch_size", "hidden_size", "optimizer", "eval_every", "eval_size",
              "stop_when_solved"}  # fmt: skip
    needed |= set() if task.tuning else {"learning_rate"}
    assert needed <= set(written["training"])


def wrong(old, new):
    return CARD.replace(old, new)


@pytest.mark.parametrize(
    ("card", "words"),
    [
        ("lengths = [", "mine.toml: not TOML: .*\nallowed: a task card in TOML"),
        (wrong("steps = 100", "stepz = 100"), "training.stepz = 100: unknown key; did you mean "
         "'steps'\\?\nallowed: steps, batch_size"),
        (wrong("seeds = 2", "seed = 2"), "seed = 2: unknown key; did you mean 'seeds'"),
        (wrong("seeds = 2", ""), "seeds is missing"),
        (wrong("seeds = 2", "seeds = 2\ncolour = 1"), "colour = 1: unknown key.*\nallowed: name"),
        (wrong("steps = 100", 'steps = "100"'), "training.steps = '100'\nallowed: a whole number"),
        (wrong("steps = 100", "steps = 0"), "training.steps = 0\nallowed: more than 0"),
        (wrong("steps = 100", 'optimizer = "adm"'), "training.optimizer = 'adm'\n"
         "allowed: 'adam', 'rmsprop' or 'sgd'"),
        (wrong("steps = 100", "stop_when_solved = 1"), "stop_when_solved = 1\nallowed: true or"),
        (wrong("steps = 100", "clip_norm = -1.0"), "clip_norm = -1.0\nallowed: 0.0 or more"),
        (wrong("steps = 100", "clip_norm = 1.0\nclip_value = 1.0"), "can't both be set"),
        (wrong("steps = 100", 'segment = "short"'), "training.segment = 'short'\n"
         "allowed: a whole number or 'auto'"),
        (wrong("lengths = [20, 10]", "lengths = []"), "lengths = \\[\\]\nallowed: at least one"),
        (wrong("lengths = [20, 10]", "lengths = [20, 20]"), "given twice"),
        (wrong("lengths = [20, 10]", "lengths = [20, -1]"), "lengths\\[1\\] = -1"),
        (wrong("lengths = [20, 10]", "lengths = 20"), "lengths = 20\nallowed: a list"),
        (wrong('label = "lstm, wide"', 'label = "rnn"'), "two cells have the label 'rnn'"),
        (wrong('label = "lstm, wide"', 'label = ""'), "cells\\[1\\].label = ''"),
        (wrong('label = "lstm, wide", ', "when = 2026-01-01, "), "when = datetime.date"),
        (wrong("learning_rate = 1", "learning_rate = inf"), "learning_rate = inf"),
        (wrong('use = "lstm", ', ""), "cells\\[1\\].use is missing\nallowed: each cell says use"),
        (wrong('"rnn"', '"rnn", "rnn"'), "two cells have the label 'rnn'"),
        (wrong('"rnn"', "7"), "cells\\[0\\] = 7\nallowed: a table"),
        (wrong('"rnn"', '{ use = "rnn", kind = "row" }'), "cells\\[0\\].kind = 'row'\n"
         "allowed: 'cell', 'layer' or 'chain'"),
        (wrong('name = "adding"', ""), "problem.name is missing"),
    ],
)  # fmt: skip
def test_a_wrong_card_is_answered_with_file_key_value_and_what_is_allowed(card, words):
    with pytest.raises(InputError, match=words) as caught:
        cards.parse(card, "mine.toml")
    assert str(caught.value).startswith("mine.toml: ")
    assert str(caught.value).count("\n") == 1, "two lines"


def test_unknown_tasks_are_answered_with_the_nearest_and_all():
    with pytest.raises(InputError, match=r"did you mean 'adding'\?\nallowed: adding, "):
        cards.load("ading")
    with pytest.raises(InputError, match=r"there is no task card \./nothing\.toml"):
        cards.load("./nothing.toml")


def test_overrides_hold_where_nothing_else_is_said(tmp_path):
    changes = {"training.steps": 7, "seeds": 1, "lengths": [5]}
    task = plan(cards.parse(CARD, "mine.toml"), tmp_path, overrides=changes, lengths=[6]).task
    assert (task.training.steps, task.seeds, task.lengths) == (7, 1, [6])


def test_files_in_a_card_are_relative_to_it(tmp_path):
    card = tmp_path / "mine.toml"
    card.write_text(CARD.replace('"rnn"', '"./mycell.py:MyCell"'))
    assert cards.load(str(card)).cells[0].use == f"{tmp_path}/mycell.py:MyCell"
    assert cards.load(str(card)).cells[0].label == "MyCell"


def test_a_run_may_grow_in_cells_lengths_and_seeds():
    small = cards.parse(CARD, "x", {"lengths": [10], "seeds": 1, "cells": ["rnn"]})
    large = cards.parse(CARD, "x")
    for stored, asked in ((small, large), (large, small)):
        merged = merge(stored, asked, "runs/mine")
        assert merged.lengths == [10, 20]
        assert merged.seeds == 2
        assert {cell.label for cell in merged.cells} == {"rnn", "lstm, wide"}


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"training.steps": 7}, "training.steps = 100 there, 7 here"),
        ({"problem.protocol": "arjovsky2016"}, "problem.protocol"),
        ({"recording.every": 3}, "recording.every"),
        ({"name": "other"}, "name = 'mine' there, 'other' here"),
        ({"cells": [{"use": "gru", "label": "rnn"}]}, r"cells \(rnn\)"),
        ({"problem.weight": 1.0}, "problem.weight"),
    ],
)
def test_a_run_that_belongs_to_another_task_names_the_key(change, key):
    with pytest.raises(InputError, match=f"runs/mine belongs to another task: {key}"):
        merge(cards.parse(CARD, "x"), cards.parse(CARD, "x", change), "runs/mine")


def test_a_cells_heading_in_a_report_is_no_part_of_its_trials():
    plain = cards.load("quickstart")
    grouped = [cell.model_copy(update={"group": "gates"}) for cell in plain.cells]
    headed = plain.model_copy(update={"cells": grouped})
    assert [t.key for t in headed.trials()] == [t.key for t in plain.trials()]
    assert merge(plain, headed, "here").cells == grouped
