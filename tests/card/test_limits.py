"""A card from anywhere is refused in two lines, whatever is in it; nothing of it is computed."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqbench import InputError
from seqbench.card import select
from seqbench.card import task as cards
from seqbench.errors import printable
from seqbench.sweep import check

CARD = """
name = "mine"
lengths = [10]
seeds = 1
cells = ["rnn"]
[problem]
name = "adding"
"""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("seeds = 1", "seeds = 1000000000", "that makes 1,000,000,000 trials; at most 100,000"),
        ("seeds = 1", "seeds = 10000000000", "seeds = 10000000000\nallowed: 1,000,000,000 or less"),
        ("seeds = 1", f"seeds = {'9' * 5000}", "not TOML"),
        ("[10]", str(list(range(1, 50_001))), "lengths = .*\nallowed: 1000 at most"),
        ('["rnn"]', str([f"c{i}" for i in range(20_000)]), "cells = .*\nallowed: 1000 at most"),
        ("seeds = 1", "x = " + "[" * 100_000, "not TOML"),
        ('"adding"', f'"adding"\nx = "{"y" * 1_000_000}"\ny = 1979-05-27', "y = datetime"),
        ('"mine"', f'"{"n" * 1_000_000}/"', r"\[\.\.\.\]"),
        ('["rnn"]', '["foo:"]', r"cells"),
    ],
)
def test_a_card_that_asks_for_too_much_is_refused(old, new, words):
    with pytest.raises(InputError, match=words) as caught:
        cards.parse(CARD.replace(old, new), "mine.toml")
    assert len(str(caught.value)) < 2000
    assert str(caught.value).count("\n") == 1


@pytest.mark.parametrize("name", ["x:", "x" * 300 + ".py:Cell", ":", "\x1b[2J"])
def test_a_name_that_can_not_be_a_cell_is_refused(name):
    task = cards.parse(CARD, "mine.toml")
    with pytest.raises(InputError):
        check.resolve(select.select(task, [name]))


@given(st.text(max_size=200))
def test_any_text_is_a_card_or_refused(text):
    with contextlib.suppress(InputError):
        assert cards.parse(CARD + text, "mine.toml").name == "mine"


@given(st.text())
def test_no_text_moves_a_terminal(text):
    shown = printable(text)
    assert not any(c in shown for c in "\x1b\x07\x08\r\x9b\u202e")
    assert all(len(line) < 2100 for line in shown.split("\n"))
