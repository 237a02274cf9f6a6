"""The documentation as a site: `make docs`. Its pages are the repository's, the README first."""

import re
import shutil
from importlib.metadata import version as version_of
from pathlib import Path

project = "seqbench"
author = "The seqbench developers"
version = release = version_of("seqbench")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
root_doc = "README"
include_patterns = ["*.md", "docs/*.md", "reports/**.md", "benchmarks/results/*.md"]
exclude_patterns = [".venv", "build", "runs", "dist", "reports/notes.md"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
suppress_warnings = [
    "myst.xref_missing"
]  # links to folders and sources; tests/test_docs.py follows them

html_theme = "alabaster"
html_theme_options = {"description": "the memory of recurrent networks", "page_width": "1080px"}
html_show_sourcelink = False
html_copy_source = False

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"

# What a reader of the README alone needs no list of.
CONTENTS = """

```{toctree}
:hidden:
:caption: To use it
docs/concepts
docs/measures
docs/task-cards
docs/problems
docs/cells
docs/depth
docs/reports
docs/results-format
docs/reliability
docs/clusters
docs/api
```

```{toctree}
:hidden:
:caption: To add to it
docs/adding-a-cell
docs/other-packages
docs/adding-a-problem
docs/adding-a-figure
CONTRIBUTING
docs/engine
CHANGELOG
```

```{toctree}
:hidden:
:caption: What came out
:glob:
reports/README
reports/*/report
reports/*/*/report
benchmarks/results/README
```
"""


def add_contents(app, page, source):
    """The README is the first page; on the site it has the list of all others."""
    if page == root_doc:
        source[0] += CONTENTS


def as_rst(app, what, name, thing, options, lines):
    """Docstrings are plain text: |x|, x* and x_ are mathematics in them, not markup."""
    text = "\n".join(lines)
    text = re.sub(r"([|*\\])", r"\\\1", text)
    text = re.sub(r"(\w)_(?=[\W]|$)", r"\1\\_", text)
    text = re.sub(r"(?<!`)`([^`\n]+)`(?!`)", r"``\1``", text)
    lines[:] = _code_blocks(text.split("\n"))


def _code_blocks(lines):
    """Indented lines under prose are shown as they are; under Args: and its like they are lists."""
    found, inside, above = [], False, ""
    for line in lines:
        indented = line.startswith("    ")
        if indented and not inside and above and not above[0].isspace() and " " in above:
            found += ["", "::", ""]
            inside = True
        elif line and not indented:
            found += [""] * inside
            inside = False
        found.append(line.replace("\\", "") if inside else line)
        above = line or above
    return found


def add_index(app, error):
    """A folder's first page is called index.html."""
    if error is None and app.builder.name == "html":
        pages = Path(app.outdir)
        shutil.copy(pages / f"{root_doc}.html", pages / "index.html")


def setup(app):
    app.connect("source-read", add_contents)
    app.connect("autodoc-process-docstring", as_rst, priority=400)  # before napoleon
    app.connect("build-finished", add_index)
