"""Looks."""

from seqbench.reporting import style


def test_a_dozen_cells_look_different():
    looks = style.looks([f"cell {letter}" for letter in "abcdefghijkl"])
    assert len({look["color"] for look in looks.values()}) == 12


def test_cells_that_differ_by_a_number_get_ordered_shades():
    looks = style.looks(["a 2", "a -1", "a 0.5", "b1", "b3", "b2"])
    light = {
        cell: sum(int(look["color"][i : i + 2], 16) for i in (1, 3, 5))
        for cell, look in looks.items()
    }
    assert light["a -1"] > light["a 0.5"] > light["a 2"]
    assert light["b1"] > light["b2"] > light["b3"]
    plain = style.looks(["rnn", "a 1", "a 2", "a 3"])
    assert plain["rnn"]["color"] == style.COLOURS[0]
