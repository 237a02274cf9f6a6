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
from seqbench.reporting import overview, terminal
from seqbench.reporting.command import reproduce
from seqbench.reporting.gallery import gallery
from seqbench.results.together import together


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
    figures = {f"figures/{n}.png" for n in ("story", "problem", "flow", "training", "loss", "fall")}
    written = {"index.html", "report.md", "tables/comparison.csv", "tables/opening.csv"}
    assert figures | written <= names
    assert not [name for name in names if name.endswith((".svg", ".pdf"))]
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
    same_files(one, other)


def same_files(one: Path, other: Path) -> None:
    names = [{p.relative_to(f) for p in f.rglob("*") if p.is_file()} for f in (one, other)]
    assert names[0] == names[1]
    for name in names[0]:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_the_same_runs_give_the_same_bytes_over_all(make, tmp_path):
    run = make(whole((10,), 1), (10,), 1, name="a")
    other = make(whole((10,), 1), (10,), 1, name="b", card=CARD.replace('"adding"', '"xor"'))
    same_files(*(seqbench.report([run, other], tmp_path / out).parent for out in ("o", "p")))


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


def test_vector_graphics_are_written_when_they_are_asked_for(make):
    folder = seqbench.report(make(whole((10,)), (10,)), svg=True).parent
    names = {file.stem for file in (folder / "figures").glob("*.svg")}
    assert {"story", "flow", "reach"} <= names


def test_runs_of_one_problem_share_a_page_their_cells_told_apart(make, tmp_path):
    both = make(whole(), name="before")
    one = make(whole((10, 20), 3, ("lstm",)), seeds=3, cells='["lstm"]', name="after")
    folder = seqbench.report([both, one], tmp_path / "both").parent
    check_page(folder)
    table = pd.read_csv(folder / "tables" / "comparison.csv").set_index(["cell", "length"])
    assert table.loc[("lstm (before)", 10), ["seeds", "solved"]].tolist() == [2, 2]
    assert table.loc[("lstm (after)", 10), ["seeds", "solved"]].tolist() == [3, 3]
    assert ("rnn", 20) in table.index
    flow = pd.read_csv(folder / "tables" / "flow_read_off.csv")
    assert set(flow["cell"]) == {"rnn", "lstm (before)", "lstm (after)"}


def test_runs_of_several_problems_get_a_page_over_all_that_leads_to_each(make, tmp_path):
    trials = whole()
    del trials["lstm", 20, 1]
    other = CARD.replace('"adding"', '"multiplication"')
    runs = [make(whole(), name="sums"), make(trials, name="products", card=other)]
    folder = seqbench.report(runs, tmp_path / "all").parent
    page = check_page(folder)
    assert "2 problems, 16 trials, of which 1 have no result yet" in page
    assert "7 of 8 trials" in page
    for name in ("sums", "products"):
        assert f'href="{name}/index.html"' in page
        check_page(folder / name)
        assert 'href="../index.html"' in (folder / name / "index.html").read_text()
        assert f"({name}/report.md)" in (folder / "report.md").read_text()
    table = pd.read_csv(folder / "tables" / "overview.csv").set_index(["run", "cell"])
    assert table["longest"].to_dict() == {
        ("sums", "rnn"): 0,
        ("sums", "lstm"): 10,
        ("products", "rnn"): 0,
        ("products", "lstm"): 10,
    }
    assert table["undecided"].to_dict()["products", "lstm"]


def test_the_page_over_all_has_every_published_number_beside_ours(make, tmp_path):
    told = """[[published]]
cell = "lstm"
length = 10
quantity = "solved"
value = 0.5
where = "table 1"

[problem]"""
    card = CARD.replace('"adding"', '"multiplication"').replace("[problem]", told)
    runs = [make(whole(), name="sums"), make(whole(), name="products", card=card)]
    folder = seqbench.report(runs, tmp_path / "all").parent
    (row,) = pd.read_csv(folder / "tables" / "published.csv").to_dict("records")
    assert [row[name] for name in ("run", "cell", "value", "ours")] == ["products", "lstm", 0.5, 1]
    page = (folder / "report.md").read_text()
    assert "# 2 problems" in page
    line = "| **[products](products/report.md)** | lstm | 10 | 10 | solved | 0.5 | 1 |"
    assert line in page.split("## Beside the published numbers")[1]


def test_a_problem_whose_shortest_length_nobody_solved_is_not_counted_as_solved(make):
    """Of products only T = 20 is solved."""
    trials = whole()
    for (cell, length, seed), one in whole((20, 10)).items():
        trials[cell, length, seed] = one
    other = CARD.replace('"adding"', '"multiplication"')
    runs = {"sums": make(whole(), name="sums"), "products": make(trials, name="p", card=other)}
    page = overview.document({name: Study(run) for name, run in runs.items()})
    (told,) = page.parts[0].blocks[0].lines
    assert "On 1 of 2 problems some cell solved the card's shortest length" in told


def test_a_gallery_leads_to_every_report_those_over_others_first(make, tmp_path):
    run = make(whole((10,)), (10,), name="a")
    other = make(whole((10,)), (10,), name="b", card=CARD.replace('"adding"', '"xor"'))
    seqbench.report(run, tmp_path / "all" / "one")
    seqbench.report([run, other], tmp_path / "all" / "two")
    text = gallery(tmp_path / "all").read_text()
    links = re.findall(r"\((\w+/report\.md)\)", text)
    assert links == ["two/report.md", "one/report.md"]
    for file in re.findall(r'(?:src|href)="([^"]+)"', text):
        assert (tmp_path / "all" / file).is_file(), file
    assert "A run made by hand." in text
    with pytest.raises(seqbench.InputError, match="no report lies there"):
        gallery(tmp_path)


def test_a_run_put_together_keeps_each_run_s_settings_and_says_another_machine(make):
    run = make(whole((10,)), (10,), name="here")
    card = CARD.replace("steps = 400", "steps = 400\nlearning_rate = 0.5")
    there = make(whole((10,)), (10,), name="there", card=card)
    for record in there.records.values():
        record["versions"] = {"torch": "0.1"}
    one = together({"here": run, "there": there})
    assert [cell.learning_rate for cell in one.task.cells] == [None, None, 0.5, 0.5]
    assert "torch 0.1" in one.task.cells[2].group
    assert "torch 0.1" not in one.task.cells[0].group
    assert one.trials["seconds"].isna().all()
    assert len(one.records) == len(one.trials) == 8
    study, alone = Study(one), Study(there)
    mine = study.comparison.query("cell == 'lstm (there)'")
    pd.testing.assert_frame_equal(
        mine.drop(columns="cell").reset_index(drop=True),
        alone.comparison.query("cell == 'lstm'").drop(columns="cell").reset_index(drop=True),
    )


def test_runs_of_different_problems_are_not_put_together(make):
    other = make(whole(), name="b", card=CARD.replace('"adding"', '"multiplication"'))
    with pytest.raises(seqbench.InputError, match="runs of one problem"):
        together({"a": make(whole()), "b": other})


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
