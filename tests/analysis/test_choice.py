"""Which cell to take: rows of several runs, against numbers worked out by hand."""

import math

import pytest
import runs
from typer.testing import CliRunner

import seqbench
from seqbench import InputError
from seqbench.analysis.choice import choices
from seqbench.analysis.statistics import wilson
from seqbench.cli import app


def curve(scores):
    table = runs.curve_rows([0.1] * len(scores))
    table["score"] = scores
    return table


@pytest.fixture
def two(tmp_path):
    """gru solves T = 10 with both seeds, slowly; rnn with one, fast; in a run each."""
    for name, cell, solved, seconds in (
        ("a", "gru", (400, 400), 9.0),
        ("b", "rnn", (100, None), 2.0),
    ):
        trials = {}
        for seed, at in enumerate(solved):
            how = "solved" if at else "done"
            summary = runs.record(10, how, at, seconds=seconds + seed, score=0.5)
            trials[cell, 10, seed] = summary, [1.0] * 5, runs.flow_rows({0: 0.3}, 10)
        runs.write(tmp_path, trials, (10,), 2, f'["{cell}"]', name, runs.CARD)
    return [tmp_path / "a", tmp_path / "b"]


def test_a_row_a_cell_says_how_sure_and_at_what_cost(two):
    table = choices(seqbench.load(two)).set_index("cell")
    assert table.index.tolist() == ["gru", "rnn"], "the one that more seeds solved comes first"
    rnn = table.loc["rnn"]
    assert (rnn.solved, rnn.solved_low, rnn.solved_high) == (0.5, *wilson(1, 2))
    assert (rnn.seeds, rnn.steps, rnn.seconds, rnn.parameters) == (2, math.inf, 2.5, 1234)
    assert table.loc["gru", "steps"] == 400


def test_it_is_sorted_by_what_is_asked_for(two):
    for column, first in (("seconds", "rnn"), ("steps", "gru"), ("solved", "gru")):
        assert choices(seqbench.load(two), sort=column)["cell"].iloc[0] == first
    with pytest.raises(InputError, match="allowed: cell, length, learned"):
        choices(seqbench.load(two), sort="speed")
    with pytest.raises(InputError, match="no run has it\nallowed: 10"):
        choices(seqbench.load(two), length=11)


def test_the_last_evaluation_stands_beside_the_mean_of_three(tmp_path):
    text = runs.CARD.format(lengths=[6], seeds=1, cells='["rnn"]').replace(
        "steps = 400", "steps = 3"
    )
    (tmp_path / "card.toml").write_text(text + "eval_every = 1\nhidden_size = 4\neval_size = 20\n")
    found = seqbench.run(tmp_path / "card.toml", tmp_path / "run", quiet=True)
    scores = found.curves.sort_values("step")["score"]
    (row,) = choices(found).to_dict("records")
    assert row["last"] == scores.iloc[-1]
    assert row["score"] == pytest.approx(scores.tail(3).mean())
    assert row["learned"] == pytest.approx(found.curves["share_learned"].tail(3).mean())


def test_the_command_prints_it_and_writes_it(two, tmp_path):
    words = ["table", *map(str, two), "--length", "10", "--sort", "seconds"]
    told = CliRunner().invoke(app, [*words, "--csv", str(tmp_path / "choice.csv")])
    assert told.exit_code == 0
    lines = told.output.splitlines()
    assert lines[1].split()[0] == "rnn"
    assert "1/2 [9, 91]" in lines[1]
    assert (tmp_path / "choice.csv").read_text().startswith("run,cell,length,seeds,learned")
