"""What a command asks for beside the card: its cells, and whose mistake a mistake is."""

import pytest

from seqbench import InputError
from seqbench.card import inline
from seqbench.card import task as cards
from seqbench.card.select import select, split_labels
from seqbench.sweep.plan import plan

TASK = cards.load("quickstart")


def test_names_labels_and_tables_are_told_apart_at_commas():
    table = """{ use = "lstm", label = "a, b", x = [1, { y = "}" }] }"""
    text = f"rnn, {table} ,gru with a, comma"
    assert split_labels(text, ["gru with a, comma"]) == ["rnn", table, "gru with a, comma"]


def test_a_cell_can_be_a_table_on_the_command_line_and_in_python():
    text = select(TASK, 'rnn,{ use = "lstm", forget_bias = 3, layers = 2 },{ use = "lstm" }').cells
    listed = select(TASK, ["rnn", {"use": "lstm", "forget_bias": 3, "layers": 2}, {"use": "lstm"}])
    assert text == listed.cells
    assert [cell.label for cell in text] == ["rnn", "lstm, forget_bias 3, layers 2", "lstm"]
    assert text[1].options == {"forget_bias": 3}
    assert text[1].layers == 2
    assert text[2] == TASK.cells[2]


def test_a_table_is_called_by_its_options():
    assert inline.entry('{ use = "a.py:B", z = true }')["label"] == "B, z true"
    assert inline.entry('{ use = "lstm", label = "mine", z = 1 }')["label"] == "mine"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"seeds": -1}, "seeds = -1\nallowed: more than 0"),
        ({"steps": 0}, "training.steps = 0\nallowed: more than 0"),
        ({"lengths": 10}, "lengths = 10\nallowed: whole numbers, as in [50, 100]"),
        ({"lengths": "10"}, "lengths = '10'\nallowed: whole numbers, as in [50, 100]"),
        ({"lengths": [10.5]}, "lengths = [10.5]\nallowed: whole numbers, as in [50, 100]"),
        ({"overrides": {"training.step": 1}}, "training.step = 1: unknown key; did you mean"),
        ({"cells": "GRU"}, "unknown cell 'GRU'; did you mean 'gru'?"),
        (
            {"cells": '{ use = "lstm", forget = 1 }'},
            "cells (lstm, forget 1): unknown option forget",
        ),
        ({"cells": [{"forget_bias": 1}]}, "cell {'forget_bias': 1}: which one?"),
    ],
)
def test_a_mistake_in_what_is_asked_for_is_not_blamed_on_the_card(asked, words, tmp_path):
    with pytest.raises(InputError) as error:
        plan("quickstart", tmp_path, **asked)
    assert str(error.value).startswith(words)


def test_a_mistake_in_the_card_is_blamed_on_it_whatever_is_asked_for(tmp_path):
    card = tmp_path / "mine.toml"
    text = 'name = "mine"\nlengths = [10]\nseeds = 1\ncells = ["{}"]\n[problem]\nname = "adding"\n'
    card.write_text(text.format("grru"))
    with pytest.raises(InputError, match=f"^{card}: unknown cell 'grru'; did you mean 'gru'"):
        plan(str(card), tmp_path, seeds=2)
    card.write_text(text.format("gru").replace("seeds = 1", "seeds = 0"))
    with pytest.raises(InputError, match=f"^{card}: seeds = 0\nallowed: more than 0"):
        plan(str(card), tmp_path, steps=5)
