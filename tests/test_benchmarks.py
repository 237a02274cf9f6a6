"""The benchmarks run, and record what they found; their figures are not tested."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.record import write_page
from benchmarks.tables import TABLES
from benchmarks.timing import Row, interleaved, ratio

ROOT = Path(__file__).parent.parent
SLOW = ("workers", "startup")  # or like another one


def benchmarks(*words):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *map(str, words)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip


def test_every_table_is_measured_and_recorded(tmp_path):
    names = [name for name in TABLES if name not in SLOW]
    ran = benchmarks("--quick", "--only", ",".join(names), "--out", tmp_path)
    assert ran.returncode == 0, ran.stderr
    page = (tmp_path / "README.md").read_text()
    for name in names:
        found = json.loads((tmp_path / f"{name}.json").read_text())
        assert found["environment"]["torch"]
        assert found["environment"]["commit"]
        assert found["title"] in page
        assert found["rows"] or any("Not measured" in note for note in found["notes"])
    for name in SLOW:
        assert f"--only {name}`" in page, "what is missing is said"


def test_a_page_is_made_of_tables_measured_at_different_times(tmp_path):
    assert main(["--quick", "--only", "gpu", "--out", str(tmp_path)]) == 0
    before = (tmp_path / "README.md").read_text()
    write_page(tmp_path, TABLES)
    assert (tmp_path / "README.md").read_text() == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--only", "speed"], "--only speed: no such table; allowed: startup"),
        (["--quick"], "--quick: its figures mean nothing; allowed: with --out"),
    ],
)
def test_a_wrong_command_is_answered_in_words(words, told, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(words)
    assert told in capsys.readouterr().err


def test_sides_take_turns_and_the_first_round_does_not_count():
    order = []
    taken = interleaved({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, most=3)
    assert "".join(order) == "ab" * 4
    assert [len(times) for times in taken.values()] == [3, 3]


def test_a_ratio_is_of_medians_and_its_spread_of_rounds():
    value, (low, high) = ratio([2.0, 4.0, 60.0], [1.0, 2.0, 3.0])
    assert value == 2.0
    assert (low, high) == (2.0, 20.0)


def test_targets_are_upper_bounds_unless_said():
    assert Row("w", "s", "a", 0.9, 1.0).met
    assert Row("w", "s", "a", 1.9, 1.8, at_least=True).met
    assert Row("w", "s", "a", 1.1, 1.0).met is False
    assert Row("w", "s", "a", 1.1).met is None
