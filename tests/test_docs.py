"""Every example in README.md and docs/ is run: Python as it stands, commands with fewer steps."""

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import seqbench
from seqbench.card import task as cards
from seqbench.problems import BUNDLED

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NOTEBOOKS = sorted((ROOT / "docs").glob("*.ipynb"))
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```", re.M | re.S)
FEWER = ["--steps", "2", "--seeds", "1", "--set", "training.eval_size=20"]


def _the_new_cell_has_a_row_in_15_lines(page, where):
    """From an empty file to a report row: the cell, the check, the run, the report."""
    fences = FENCE.findall(page.read_text())
    lines = [line for _, _, text in fences[:2] for line in text.splitlines() if line]
    assert [language for language, _, _ in fences[:2]] == ["python", "sh"]
    assert len(lines) <= 15
    report = (where / "runs" / "leaky" / "report" / "report.md").read_text()
    assert re.search(r"^\|.*\bLeaky\b.*\|", report, re.M)


def _the_new_section_is_on_the_page_in_25_lines(page, report):
    (_, _, text), *_ = FENCE.findall(page.read_text())
    assert len([line for line in text.splitlines() if line]) <= 25
    assert (report / "tables" / "score.csv").read_text().startswith("cell,length,score")
    assert (report / "figures" / "score.png").is_file()
    assert "Share right" in (report / "report.md").read_text()
    assert "Share right" in (report / "index.html").read_text()


def _the_commands_draw_every_figure_of_the_page(page, drawn):
    """None is missing, and none is drawn that the page doesn't show."""
    shown = set(re.findall(r"\]\(figures/(\w+\.png)\)", page.read_text()))
    assert shown == {file.name for file in drawn.glob("*.png")}


def run(words, where):
    ran = subprocess.run(
        words, cwd=where, capture_output=True, text=True, timeout=300,
        env=os.environ | {"MPLBACKEND": "agg"},
    )  # fmt: skip
    assert ran.returncode == 0, f"{words}\n{ran.stdout}\n{ran.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    figures = tmp_path / "docs" / "figures"
    shutil.copytree(ROOT / "docs" / "figures", figures, ignore=shutil.ignore_patterns("*.png"))
    script = ""
    for language, more, text in FENCE.findall(page.read_text()):
        if language == "python" and "file=" in more:
            (tmp_path / more.strip().removeprefix("file=")).write_text(text)
        elif language == "python":
            script += text
        elif language == "toml" and "[project" not in text:
            (tmp_path / "card.toml").write_text(text)
            fewer = {"training.eval_size": 20}
            if "[tuning]" in text:
                fewer |= {"tuning.seeds": 1, "tuning.widen": 0}
            seqbench.run("card.toml", steps=2, seeds=1, overrides=fewer)
        elif language == "sh":
            for line in text.splitlines():
                words = shlex.split(line, comments=True)
                if words[:1] == ["seqbench"]:
                    fewer = FEWER if words[1] == "run" else []
                    run([sys.executable, "-m", *words, *fewer], tmp_path)
                elif words[:2] == ["python", "docs/figures/draw.py"]:
                    run([sys.executable, *words[1:]], tmp_path)
    if script:
        (tmp_path / "script.py").write_text(script)
        run([sys.executable, "script.py"], tmp_path)
    if page.name == "adding-a-cell.md":
        _the_new_cell_has_a_row_in_15_lines(page, tmp_path)
        run([sys.executable, "-m", "pytest", "-q", "test_leaky.py"], tmp_path)
    if page.name == "measures.md":
        _the_commands_draw_every_figure_of_the_page(page, figures)
    if page.name == "adding-a-figure.md":
        _the_new_section_is_on_the_page_in_25_lines(page, tmp_path / "runs" / "score" / "report")


@pytest.mark.parametrize("page", NOTEBOOKS, ids=lambda page: page.name)
def test_notebooks(page, tmp_path):
    cells = json.loads(page.read_text())["cells"]
    assert not any(cell.get("outputs") for cell in cells)  # what is shown is what is run
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    code = [text for text in code if not text.startswith("%pip")]
    (tmp_path / "notebook.py").write_text("\n\n".join(code))
    run([sys.executable, "notebook.py"], tmp_path)
    assert {"untrained.png", "trained.png"} <= {file.name for file in tmp_path.iterdir()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_key_of_a_card_is_documented_with_its_default():
    page = (ROOT / "docs" / "task-cards.md").read_text()
    for table in (cards.Training, cards.Recording):
        for name, field in table.model_fields.items():
            row = re.search(rf"^\| {name} \| (\S+) \|", page, re.M)
            assert row, name
            assert cards.tomllib.loads(f"x = {row[1]}")["x"] == field.default, name
    for name in (*cards.Task.model_fields, *cards.Cell.model_fields):
        assert name in page, name


def test_the_citation_names_the_version_that_is_built():
    project = cards.tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {project['version']}\n" in citation
    assert re.search(
        rf"^## {re.escape(project['version'])} ", (ROOT / "CHANGELOG.md").read_text(), re.M
    )


def test_the_page_of_problems_is_what_the_problems_say():
    pytest.importorskip("sklearn")
    spec = importlib.util.spec_from_file_location("page", ROOT / "docs" / "figures" / "problems.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    written = (ROOT / "docs" / "problems.md").read_text()
    assert written == script.page(), "run docs/figures/problems.py"
    for name in BUNDLED:
        assert f"### {name}\n" in written
