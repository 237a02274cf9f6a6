"""Labels that try to be something else: in the page, in Markdown, in CSV files, in figures."""

import csv
import json
import shutil
import subprocess
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from runs import whole

import seqbench

LABELS = [
    'x style="}*{background:url(http://evil.example/)}"',
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "a | b | c",
    "```\n".strip() + " fence `tick",
    "=HYPERLINK(1)",
    "two $ of $\\frac{ these",
    "not xml \uffff \ufffe",
    "_hidden **bold** [link](http://evil.example/)",
]


class Reader(HTMLParser):
    """What a browser would see of the page."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A report of cells with these labels."""
    import runs

    cells = [f'{{use = "rnn", label = {json.dumps(label)}}}' for label in LABELS]
    trials = whole((10,), 1, LABELS)
    run = runs.write(tmp_path_factory.mktemp("run"), trials, (10,), 1, f"[{', '.join(cells)}]")
    return seqbench.report(run, latex=True, svg=True).parent


def test_the_page_has_no_tag_or_style_of_theirs(folder):
    reader = Reader()
    reader.feed((folder / "index.html").read_text(encoding="utf-8"))
    names = [name for name, _ in reader.attributes]
    assert reader.tags.count("script") == 1
    assert "img" not in reader.tags
    assert "style" not in names
    assert not [name for name in names if name.startswith("on")]
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "evil" not in page[page.index("<style>") : page.index("</style>")]
    assert "default-src 'none'" in dict(reader.attributes)["content"] or "default-src" in page


def test_a_row_of_markdown_has_as_many_columns_as_its_table(folder):
    lines = (folder / "report.md").read_text(encoding="utf-8").splitlines()
    heads = [i for i, line in enumerate(lines) if line.startswith("|:--")]
    assert heads
    for i in heads:
        wide = lines[i].count("|")
        for line in lines[i + 1 :]:
            if not line.startswith("|"):
                break
            assert line.replace("\\|", "").count("|") == wide, line
    text = (folder / "report.md").read_text(encoding="utf-8")
    before, fence, card = text.partition("````toml")
    assert fence  # longer than the label's own
    outside = before + card.rpartition("````")[2]
    assert "<script" not in outside.replace("\\<", "")


def test_no_entry_of_a_table_is_a_formula(folder):
    for file in (folder / "tables").glob("*.csv"):
        for row in csv.DictReader(file.open(encoding="utf-8")):
            assert not (row.get("cell") or "").startswith(tuple("=+-@")), file.name


def test_figures_are_xml_and_show_the_label_as_it_is(folder):
    for file in (folder / "figures").glob("*.svg"):
        root = ElementTree.fromstring(file.read_text(encoding="utf-8"))
        assert not [e for e in root.iter() if e.tag.endswith("script")]
    flow = (folder / "figures" / "story.svg").read_text(encoding="utf-8")
    assert "evil" in flow  # its name, as text


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs the program pdflatex")
def test_a_paper_takes_the_tables_and_figures_as_they_are(folder):
    ran = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "report.tex"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        errors="replace",
    )
    assert ran.returncode == 0, ran.stdout[-2000:]
    assert "undefined" not in ran.stdout.lower()
    assert (folder / "report.pdf").stat().st_size > 20_000
