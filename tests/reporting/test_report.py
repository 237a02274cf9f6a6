"""The report: its files, its odd runs, the command that makes it again."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from runs import (
    CARD,
    flow_rows,
    whole,
)

import seqbench
from seqbench.analysis.study import Study
from seqbench.card import task
from seqbench.reporting import terminal
from seqbench.reporting.command import reproduce


def check_page(folder: Path) -> str:
    """The files are there, nothing is fetched, no id twice, the Markdown's links lead somewhere."""
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "http:" not in page
    assert "https:" not in page
    for link in re.findall(r'(?:src|href)="([^"]*)"', page):
        assert link.startswith(("#", "data:")) or (folder / link).is_file(), link
    assert not re.search(r"@import|url\((?!#)|<link rel=\"stylesheet| style=\"", page)
    assert page.count("<script>") == 1
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    for used in re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', page):
        assert "".join(used) in ids
    markdown = (folder / "report.md").read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#][^)]*)\)", markdown):
        assert (folder / link).is_file(), link
    assert (
        "nan"
        not in re.sub(
            r"<pre>.*?</pre>|<svg.*?</svg>|<script>.*?</script>|<meta[^>]*>", "", page, flags=re.S
        ).lower()
    )
    return page


def test_everything_is_written(make):
    run = make(whole())
    page = seqbench.report(run)
    assert page == run.path / "report" / "index.html"
    text = check_page(page.parent)
    names = {p.relative_to(page.parent).as_posix() for p in page.parent.rglob("*") if p.is_file()}
    figures = {
        f"figures/{n}.{kind}"
        for n in ("story", "problem", "flow", "reach", "training", "loss", "fall")
        for kind in ("png", "svg")
    }
    written = {"index.html", "report.md", "tables/comparison.csv", "tables/opening.csv"}
    assert figures | written <= names
    assert text.count("<svg") == 7
    assert "○ 0/2" in text
    assert "● 2/2" in text
    assert "n is too small to claim" in text
    assert "an association" in text
    assert "Further diagnostics" not in text
    assert "tables/diagnostics.csv" not in names
    table = pd.read_csv(page.parent / "tables" / "comparison.csv")
    pd.testing.assert_frame_equal(table, Study(run).comparison, check_dtype=False)


def test_the_same_data_give_the_same_bytes(make, tmp_path):
    run = make(whole((10,), 1, ("rnn",)), (10,), 1, '["rnn"]')
    one, other = seqbench.report(run).parent, seqbench.report(str(run.path), tmp_path / "o").parent
    for file in one.rglob("*.*"):
        assert (other / file.relative_to(one)).read_bytes() == file.read_bytes(), file


def test_trials_without_a_result_are_shown(make):
    trials = whole()
    del trials["rnn", 10, 0]
    broken = {"status": "error", "error": "ValueError: <no> |way|\nat all"}
    trials["lstm", 20, 1] = broken, None, None
    summary, _, flow = trials["rnn", 20, 0]
    trials["rnn", 20, 0] = summary | {"status": "diverged", "loss": None}, [1.0, np.nan], flow
    run = make(trials)
    page = check_page(seqbench.report(run).parent)
    for told in ("1 interrupted", "1 error", "1 diverged", "ValueError: &lt;no&gt; |way| at all"):
        assert told in page
    assert terminal.errors(run) == [
        "rnn T=10 seed 0: has not finished",
        "lstm T=20 seed 1: ValueError: <no> |way| at all",
    ]
    table = Study(run).comparison.set_index(["cell", "length"])
    assert table.loc[("rnn", 10), ["finished", "interrupted"]].tolist() == [1, 1]
    assert table.loc[("rnn", 20), ["finished", "diverged"]].tolist() == [2, 1]


@pytest.mark.parametrize("how", ["nothing", "errors", "one", "flat", "infinite"])
def test_odd_runs_make_a_page(make, how):
    if how == "nothing":
        run = make({})
    elif how == "errors":
        run = make({key: ({"status": "error", "error": "x"}, None, None) for key in whole()})
    elif how == "one":
        trials = whole((10,), 1, ("rnn",))
        run = make(trials, (10,), 1, '[{use = "/home/me/my.py:RNN", label = "rnn"}]')
    elif how == "flat":
        flat = {key: (s, c, flow_rows({0: 0.0}, 10)) for key, (s, c, _) in whole((10,)).items()}
        run = make(flat, (10,))
    else:
        bad = {
            key: (s, c, flow_rows({0: 0.3}, 10, nonfinite=3))
            for key, (s, c, _) in whole((10,)).items()
        }
        run = make(bad, (10,))
    page = check_page(seqbench.report(run).parent)
    assert "/home/me" not in page
    assert terminal.print_comparison(run) is None


def test_several_runs_make_one_page(make, tmp_path):
    trials = whole((10,), 1, ("rnn",))
    runs = [make(trials, (10,), 1, '["rnn"]', name=name) for name in ("a", "b")]
    page = check_page(seqbench.report(runs, tmp_path / "both").parent)
    assert page.count("<main") == 2
    assert 'id="small-run2"' in page


def test_a_section_that_is_none_is_named(make):
    with pytest.raises(seqbench.InputError, match="Fraction has no title"):
        seqbench.report(make({}), sections=["fractions:Fraction"])


def test_a_folder_that_cannot_be_written_is_named(make, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(seqbench.InputError, match=r"--out .*file"):
        seqbench.report(make(whole()), tmp_path / "file")


def test_the_command_to_reproduce():
    bundled = task.load("quickstart")
    assert reproduce(bundled) == ("seqbench run quickstart", False)
    part = task.load("quickstart", {"lengths": [10, 25], "seeds": 1, "training.steps": 50})
    part = part.model_copy(update={"cells": part.cells[:1]})
    assert reproduce(part)[0] == (
        "seqbench run quickstart --cells rnn --lengths 10,25 --seeds 1 --set training.steps=50"
    )
    own = task.parse(CARD.format(lengths=[10], seeds=1, cells='["rnn"]'), "card")
    assert reproduce(own) == ("seqbench run ./small.toml", True)
