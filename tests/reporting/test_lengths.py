"""Reports of models that were tested at other lengths, or on held-out data."""

import pandas as pd
import pytest

from seqbench import load, report
from seqbench import run as run_task
from seqbench.reporting.sections.lengths import at_end, draw

CARD = """
name = "tiny"
lengths = [8]
{lengths}
seeds = 1
cells = ["rnn", "gru"]
[problem]
name = "{problem}"
[training]
steps = 4
hidden_size = 4
eval_every = 2
eval_size = 20
[recording]
every = 2
boundaries = 4
"""


def page(tmp_path, **card):
    (tmp_path / "tiny.toml").write_text(CARD.format(**card))
    run_task(str(tmp_path / "tiny.toml"), out=tmp_path / "run")
    results = load(tmp_path / "run")
    report(results, tmp_path / "report")
    return results, (tmp_path / "report" / "report.md").read_text()


def test_a_report_shows_score_against_evaluated_length(tmp_path):
    results, text = page(tmp_path, problem="adding", lengths="evaluate_lengths = [16, 32]")
    assert "Beyond the trained length" in text
    table = pd.read_csv(tmp_path / "report" / "tables" / "lengths.csv")
    assert sorted(table["evaluated_length"].unique()) == [8, 16, 32]
    assert set(table["step"]) == {4}
    figure = draw(at_end(results.lengths), ["rnn", "gru"])
    (ax,) = figure.axes[:1]
    assert ax.get_title() == "trained at T = 8"
    assert [line.get_xdata()[0] for line in ax.lines if len(set(line.get_xdata())) == 1] == [8]


def test_a_report_of_finite_data_says_that_the_test_part_was_used_once(tmp_path):
    pytest.importorskip("sklearn")
    results, text = page(tmp_path, problem="images", lengths="")
    assert "Test part" in text
    median = results.lengths.set_index("cell")["score"]["gru"]
    assert f"{100 * median:.1f} %" in text


def test_a_report_without_either_has_no_such_section(tmp_path):
    _, text = page(tmp_path, problem="adding", lengths="")
    assert "held-out" not in text
