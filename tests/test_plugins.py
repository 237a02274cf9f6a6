"""What somebody brings: how they are found, what they may do, what a trial notes of them."""

import importlib
import json
import shutil
import subprocess
import sys

import pytest

import seqbench
from seqbench import InputError, plugins
from seqbench.card import task as cards
from seqbench.cli import main
from seqbench.sweep import provenance
from seqbench.sweep.check import resolve
from seqbench.sweep.plan import plan

CARD = """
name = "tiny"
lengths = [5]
seeds = 1
cells = [{cells}]
[problem]
name = "{problem}"
[training]
steps = 1
batch_size = 4
hidden_size = 6
eval_size = 8
"""

LEAKY = """
import torch
from torch import nn

class Leaky(nn.Module):
    def __init__(self, input_size, hidden_size, rate=0.5, gates=1):
        super().__init__()
        self.rate = rate
        self.mix = nn.ModuleList(nn.Linear(input_size + hidden_size, hidden_size)
                                 for _ in range(gates))

    def forward(self, x, state=None):
        h = x.new_zeros(len(x), self.mix[0].out_features) if state is None else state
        xh = torch.cat([x, h], 1)
        return (1 - self.rate) * h + self.rate * torch.tanh(sum(mix(xh) for mix in self.mix))

class Layered(Leaky):
    def forward(self, x, state=None):
        outputs = []
        for x_BI in x:
            state = super().forward(x_BI, state)
            outputs.append(state)
        return torch.stack(outputs), state
"""


def write(where, cells='"rnn"', problem="adding"):
    (where / "leaky.py").write_text(LEAKY)
    text = CARD.replace("{cells}", cells).replace("{problem}", problem)
    (where / "tiny.toml").write_text(text)
    return str(where / "tiny.toml")


def rerun(card, out):
    return seqbench.run(card, out, workers=1, quiet=True)


# --- finding ----------------------------------------------------------------------------------


class Entry:
    def __init__(self, name, value, package):
        self.name, self.value = name, value
        self.dist = type("Distribution", (), {"name": package})


@pytest.fixture
def installed(monkeypatch):
    def install(kind, *entries):
        monkeypatch.setattr(
            plugins, "entry_points", lambda group: entries if group == f"seqbench.{kind}" else ()
        )

    return install


@pytest.mark.parametrize("kind", ["cells", "problems", "diagnostics"])
def test_every_kind_has_names_of_packages_and_says_what_it_is(kind, installed, tmp_path):
    installed(kind, Entry("mgu", "theirs.things:MGU", "theirs"))
    assert plugins.resolve("mgu", kind) == "theirs.things:MGU"
    assert plugins.available(kind)["mgu"] == ("theirs.things:MGU", "from theirs")
    word = kind.removesuffix("s")
    with pytest.raises(InputError, match=f"unknown {word} 'mguu'; did you mean 'mgu'") as caught:
        plugins.resolve("mguu", kind)
    assert '"module:Class" or "path/to/file.py:Class"' in str(caught.value)
    (tmp_path / "things.py").touch()
    with pytest.raises(InputError, match=rf"{word} 'thing\.py:X': .*did you mean 'things\.py'"):
        plugins.resolve("thing.py:X", kind, tmp_path)
    with pytest.raises(InputError, match=rf"{word} 'things\.py' names no class"):
        plugins.resolve("things.py", kind, tmp_path)


def test_two_packages_of_one_name_are_named_and_disturb_no_other(installed):
    installed("cells", Entry("mgu", "a:MGU", "package-a"), Entry("mgu", "b:MGU", "package-b"))
    with pytest.raises(InputError, match=r"package-a and package-b;\n.*'a:MGU' or 'b:MGU'"):
        plugins.resolve("mgu", "cells")
    assert plugins.resolve("lstm", "cells") == "seqbench.cells.lstm:LSTM"
    installed("cells", Entry("lstm", "a:LSTM", "package-a"))
    with pytest.raises(InputError, match="claimed by two packages, seqbench and package-a"):
        plugins.resolve("lstm", "cells")


def test_listing_imports_neither_torch_nor_plugins():
    code = (
        "import sys; from seqbench.cli import main\n"
        "sys.argv = ['seqbench', 'list']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'pandas', 'torchrecurrent'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import no_such_package", "No module named 'no_such_package'"),
        ("class Cell:\n    size = 1 / 0", "ZeroDivisionError: division by zero"),
        ("def Cell(:", "SyntaxError"),
        ("import sys; sys.exit(0)", "SystemExit: 0"),
    ],
)
def test_what_can_not_be_imported_shows_its_own_traceback_alone(source, words, tmp_path):
    (tmp_path / "broken.py").write_text(source)
    with pytest.raises(InputError, match="can't be imported; its own words:") as caught:
        plugins.load(f"{tmp_path}/broken.py:Cell")
    assert words in str(caught.value)
    assert f'{tmp_path}/broken.py", line' in str(caught.value)
    assert "plugins.py" not in str(caught.value)
    assert "importlib" not in str(caught.value)


@pytest.mark.parametrize("words", [["check"], ["flow"], ["run", "tiny.toml", "--cells"]])
def test_a_broken_cell_ends_the_command_with_status_2(words, tmp_path, monkeypatch, capsys):
    write(tmp_path)
    (tmp_path / "broken.py").write_text("import no_such_package\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["seqbench", *words, "broken.py:Cell"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert "No module named 'no_such_package'" in told
    assert told.count("Traceback") == 1


def test_a_function_is_no_class(tmp_path):
    (tmp_path / "maker.py").write_text("class Cell: pass\ndef make(i, h): return Cell()\n")
    with pytest.raises(InputError, match="\\(it is a function\\)\nits classes: Cell"):
        plugins.load(f"{tmp_path}/maker.py:make")


# --- stacks and options -----------------------------------------------------------------------


# hidden size 6, two inputs, two layers
STACKS = {
    '"rnn", nonlinearity = "relu"': (2 * 6 + 36 + 12) + (36 + 36 + 12),
    '"torch.nn:GRU", bias = false': 3 * (2 * 6 + 36) + 3 * (36 + 36),
    '"torch.nn:GRUCell", bias = false': 3 * (2 * 6 + 36) + 3 * (36 + 36),
    '"./leaky.py:Leaky", gates = 2': 2 * (8 * 6 + 6) + 2 * (12 * 6 + 6),
    '"./leaky.py:Layered", kind = "layer", gates = 2': 2 * (8 * 6 + 6) + 2 * (12 * 6 + 6),
}


def test_a_stack_and_options_work_for_all(tmp_path):
    cells = ", ".join(
        f'{{ use = {use}, layers = 2, label = "{number}" }}' for number, use in enumerate(STACKS)
    )
    results = rerun(write(tmp_path, cells), tmp_path / "run")
    assert results.trials.status.tolist() == ["done"] * len(STACKS), results.trials.error
    readout = 6 + 1
    assert results.trials.parameters.tolist() == [count + readout for count in STACKS.values()]
    assert set(results.flow.groupby("cell").layer.unique().map(tuple)) == {(0, 1)}


# --- where a class came from ------------------------------------------------------------------


def test_an_edited_cell_or_problem_is_said_with_what_is_allowed(tmp_path):
    problem = tmp_path / "mine.py"
    problem.write_text("from seqbench.problems.adding import Adding\nclass Mine(Adding): pass\n")
    card = write(tmp_path, '"rnn", "./leaky.py:Leaky"', "./mine.py:Mine")
    rerun(card, tmp_path / "run")
    rerun(card, tmp_path / "run")
    for file, which in (
        ("leaky.py", r"cells \(Leaky\)"),
        ("mine.py", r"problem \(.*mine\.py:Mine"),
    ):
        before = (tmp_path / file).read_text()
        (tmp_path / file).write_text(f'"""Told anew."""\n{before}\n# edited\n')
        assert plan(card, tmp_path / "run").missing == []
        (tmp_path / file).write_text(before + "\nEDITED = True\n")
        with pytest.raises(InputError, match=f"{which}.*has changed since.*\nallowed: what it was"):
            plan(card, tmp_path / "run")
        (tmp_path / file).write_text(before)
    plan(card, tmp_path / "run", cells="rnn")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that is installed, with metadata and a class in an inner module."""
    (tmp_path / "site" / "theirs").mkdir(parents=True)
    (tmp_path / "site" / "theirs" / "__init__.py").write_text("from theirs.inner import Leaky\n")
    (tmp_path / "site" / "theirs" / "inner.py").write_text(LEAKY)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))

    def install(version):
        for old in (tmp_path / "site").glob("*.dist-info"):
            shutil.rmtree(old)
        info = tmp_path / "site" / f"Their_Cells-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: Their-Cells\nVersion: {version}\n")
        (info / "top_level.txt").write_text("theirs\n")
        (info / "entry_points.txt").write_text("[seqbench.cells]\nleaky = theirs:Leaky\n")
        provenance._distributions.cache_clear()
        importlib.invalidate_caches()

    install("1.0")
    yield install
    for name in [name for name in sys.modules if name.partition(".")[0] == "theirs"]:
        del sys.modules[name]
    provenance._distributions.cache_clear()


def test_a_packages_version_is_noted_and_a_change_of_it_noticed(package, tmp_path):
    card = write(tmp_path, '{ use = "leaky", label = "Leaky" }')  # by its entry point
    assert plugins.available("cells")["leaky"] == ("theirs:Leaky", "from Their-Cells")
    assert "theirs" not in sys.modules
    results = rerun(card, tmp_path / "run")
    assert results.trials.status.tolist() == ["done"], results.trials.error
    (record,) = results.records.values()
    assert record["cell"] == "theirs:Leaky"
    origin = record["origins"]["cells (Leaky)"]
    assert origin["packages"] == {"Their-Cells": "1.0"}
    rerun(card, tmp_path / "run")
    package("1.1")
    words = r"cells \(Leaky\): its package Their-Cells is 1\.1 now and was 1\.0"
    with pytest.raises(InputError, match=words):
        plan(card, tmp_path / "run")
    package("1.0")
    # A version that stays while the code changes, as in an editable install: the file tells.
    (tmp_path / "site" / "theirs" / "inner.py").write_text(LEAKY + "EDITED = True\n")
    with pytest.raises(InputError, match=r"cells \(Leaky\): the file .* has changed"):
        plan(card, tmp_path / "run")


def test_what_a_class_is_made_of_is_what_counts():
    def code(text):
        return provenance._code(text.encode())

    plain = "class A:\n    def f(self, x):\n        return x + 1\n"
    told = '"""A file."""\nclass A:\n    "A."\n    def f(self, x):  # one more\n'
    told += '        """F."""\n        return (x\n            + 1)\n'
    assert code(plain) == code(told)
    assert code(plain) != code(plain.replace("1", "2"))
    assert code("class A:\n    'A.'\n") == code("class A: pass")
    assert code("s = '''a  # b'''") != code("s = '''a  # c'''"), "no comment"
    assert code("class A(") is None
    assert provenance._code(b"\x7fELF\xff") is None


def test_the_same_in_other_words_is_not_a_change():
    old = {"file_hash": "1", "code_hash": "a"}
    assert provenance.difference(old, {"file_hash": "2", "code_hash": "a"}) is None
    assert provenance.difference(old, {"file_hash": "1", "code_hash": "b"}) is None, "other Python"
    assert provenance.difference(old, {"file_hash": "2", "code_hash": "b"})
    assert provenance.difference({"file_hash": "1"}, {"file_hash": "2", "code_hash": "a"})


def test_seqbenchs_own_classes_need_no_note():
    task = resolve(cards.load("adding"))
    assert provenance.origins(task.named()) == {}


def test_the_first_runs_which_noted_a_files_hash_alone_are_still_read(tmp_path):
    card = write(tmp_path, '"./leaky.py:Leaky"')
    rerun(card, tmp_path / "run")
    (file,) = (tmp_path / "run").rglob("trial.json")
    record = json.loads(file.read_text())
    record["file_hash"] = record.pop("origins")["cells (Leaky)"]["file_hash"]
    del record["checksum"]  # they had none
    file.write_text(json.dumps(record))
    assert plan(card, tmp_path / "run").missing == []
    (tmp_path / "leaky.py").write_text(LEAKY + "# edited\n")
    with pytest.raises(InputError, match="has changed since"):
        plan(card, tmp_path / "run")


SCRIPT = """
import seqbench
from torch import nn

class Mine(nn.GRUCell):
    BODY = None

results = seqbench.run("tiny.toml", "run", cells=[Mine], seeds=SEEDS, quiet=True)
print(len(results.trials))
"""


def test_a_script_may_grow_around_its_class_which_may_not_change(tmp_path):
    write(tmp_path)

    def run(**changes):
        text = SCRIPT
        for name, value in changes.items():
            text = text.replace(name, value)
        (tmp_path / "script.py").write_text(text)
        return subprocess.run(
            [sys.executable, "script.py"],
            cwd=tmp_path, capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    assert run(SEEDS="1").stdout.strip() == "1"
    assert run(SEEDS="2").stdout.strip() == "2"
    assert (
        "cells (Mine): the file that it comes from has changed"
        in run(SEEDS="2", BODY="another").stderr
    )
