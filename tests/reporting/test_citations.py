"""What is to be cited, as BibTeX."""

import re

import pytest
from typer.testing import CliRunner

from seqbench import plugins
from seqbench.card import task as cards
from seqbench.cli import app
from seqbench.reporting import citations

OURS = {"credit"}  # seqbench's own: names no source


def texts():
    """(name, where it comes from) of everything bundled that may be cited."""
    for kind in ("cells", "problems", "diagnostics"):
        for name, (spec, _) in plugins.bundled(kind).items():
            yield name, citations.source(spec)
    for what, spec in citations.MEASURES.items():
        yield what, citations.source(spec)
    for name in cards.bundled():
        yield f"card {name}", cards.load(name).paper


@pytest.mark.parametrize(("name", "text"), list(texts()), ids=[name for name, _ in texts()])
def test_everything_bundled_names_works_that_have_an_entry(name, text):
    keys = citations.works(text)
    assert keys or name in OURS
    assert set(keys) <= citations.store().keys()


def test_an_entry_has_the_year_and_the_number_that_the_docstrings_say():
    entries = citations.store()
    for key, entry in entries.items():
        assert re.search(r"\d{4}", key)[0] == re.search(r"year = \{(\d{4})\}", entry)[1]
        assert entry.count("{") == entry.count("}")
        assert "author = {" in entry
        assert "title = {" in entry
    numbers = {re.search(r"eprint = \{(.*)\}", e)[1] for e in entries.values() if "eprint" in e}
    said = {number for _, text in texts() for number in re.findall(r"arXiv:(\d{4}\.\d+)", text)}
    assert said - numbers == set()


def test_no_entry_is_left_over():
    named = {key for _, text in texts() for key in citations.works(text)}
    assert citations.store().keys() == named


def test_names_and_years_are_keys():
    assert citations.works("Bengio, Simard & Frasconi 1994; Gers et\nal. 2000, Neural 12") == [
        "bengio1994",
        "gers2000",
    ]
    assert citations.works("as in Lezcano-Casado & Martinez-Rubio 2019, and Liu et al. 2023b") == [
        "lezcano-casado2019",
        "liu2023b",
    ]
    assert citations.works("Delétang et al. 2023") == ["deletang2023"]


def test_the_source_of_somebody_s_cell_is_read_without_running_it(tmp_path):
    file = tmp_path / "mine.py"
    told = '"""Mine.\n\n    Source: Me 2026.\n    """'
    file.write_text(f"raise SystemExit\nclass Mine:\n    {told}\n")
    assert citations.works(citations.source(f"{file}:Mine")) == ["me2026"]
    assert citations.source(f"{file}:Other") == ""
    assert citations.source("no.such.module:Class") == ""


def test_the_command_prints_what_a_run_used():
    ran = CliRunner().invoke(app, ["cite", "quickstart"], catch_exceptions=False)
    assert ran.exit_code == 0
    keys = set(re.findall(r"^@\w+\{(.*),$", ran.output, re.M))
    wanted = {"seqbench", "hochreiter1997", "arjovsky2016", "cho2014", "elman1990", "wilson1927"}
    assert wanted <= keys
    assert "beck2024" not in keys  # no sLSTM was run
    assert ran.output.count("@article{hochreiter1997,") == 1
    assert "The seqbench developers" in ran.output
