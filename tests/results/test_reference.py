"""References: runs packed thin, and a new cell compared with one."""

from dataclasses import replace

import pandas as pd
import pytest
from runs import CARD, whole
from typer.testing import CliRunner

import seqbench
from seqbench.analysis.study import Study
from seqbench.card import task as cards
from seqbench.cli import app
from seqbench.results import reference
from seqbench.results.together import together

MOST = 6 << 20  # bytes of all references


def test_a_packed_run_says_what_the_run_said(make, tmp_path):
    run = make(whole())
    reference.pack(run, tmp_path / "thin")
    thin = reference.unpack(tmp_path / "thin")
    untimed = replace(run, trials=run.trials.assign(seconds=float("nan")))
    ours, theirs = Study(untimed), Study(thin)
    for name in ("comparison", "overview", "headline", "needs", "opening", "falls", "offs"):
        pd.testing.assert_frame_equal(
            getattr(ours, name), getattr(theirs, name), rtol=1e-2, check_dtype=False
        )
    both = together({"run": run, "thin": thin})  # by the same machine: it is not said of each
    assert {cell.group for cell in both.task.cells} == {"run", "thin"}
    assert thin.trials["seconds"].isna().all()
    assert thin.trials.drop(columns="seconds").equals(run.trials.drop(columns="seconds"))
    assert (ours.shape["s"] - theirs.shape["s"]).abs().max() <= reference.STEP


def test_a_run_with_holes_is_no_reference(make, tmp_path):
    trials = whole()
    del trials["rnn", 10, 0]
    with pytest.raises(seqbench.InputError, match="1 trials have no result"):
        reference.pack(make(trials), tmp_path / "thin")


def test_the_bundled_references_are_whole_runs_of_bundled_tasks():
    assert "quickstart" in reference.bundled()
    assert set(reference.bundled()) <= set(cards.bundled())
    for name in reference.bundled():
        run = reference.find(name)
        assert run.name == f"reference {name}"
        assert set(run.trials["status"]) <= {"solved", "done", "diverged"}
        assert all(record["versions"]["torch"] for record in run.records.values())
    files = reference.FOLDER.rglob("*.*")
    assert sum(file.stat().st_size for file in files) < MOST


def test_a_report_of_a_reference_alone_does_not_go_into_the_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = seqbench.report("quickstart")
    assert page.resolve() == tmp_path / "runs" / "quickstart" / "report" / "index.html"


def test_what_is_neither_a_run_nor_a_reference_is_said(tmp_path):
    with pytest.raises(seqbench.InputError, match=r"or a reference: .*quickstart"):
        reference.find(tmp_path / "nothing")


def test_a_new_cell_is_trained_alone_and_stands_among_the_others(tmp_path, monkeypatch):
    """Through the command: the same seeds and batches, so the same cell gives the same numbers."""
    monkeypatch.chdir(tmp_path)
    card = CARD.replace("steps = 400", "steps = 4\nhidden_size = 4\neval_size = 20")
    text = card.format(lengths=[5], seeds=2, cells='["rnn", "gru"]')
    (tmp_path / "small.toml").write_text(text)
    before = seqbench.run("./small.toml", "runs/small", quiet=True)
    command = ["compare", "gru", "lstm", "--to", "runs/small", "--workers", "1"]
    ran = CliRunner().invoke(app, command, catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    page = tmp_path / "runs" / "to-small" / "report" / "index.html"
    assert page.is_file()
    new = seqbench.load("runs/to-small")
    assert set(new.trials["cell"]) == {"gru", "lstm"}
    same = ["length", "seed", "loss", "score"]
    again, first = (run.trials[run.trials["cell"] == "gru"][same] for run in (new, before))
    pd.testing.assert_frame_equal(again.reset_index(drop=True), first.reset_index(drop=True))
    both = pd.read_csv(page.parent / "tables" / "pairs.csv")
    assert set(both["reference"]) == {"gru (to-small)"}
    assert set(both["cell"]) == {"lstm", "rnn", "gru (small)"}
    assert both.set_index("cell").loc["gru (small)", "level"] == 2
    assert together({"to-small": new, "small": before}).parts.keys() == {"to-small", "small"}
