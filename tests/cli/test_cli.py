"""The commands as a user runs them, in processes of their own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from testing import odd_cells as odd

import seqbench
from seqbench.cli import app, main
from seqbench.testing.examination import examine

CARD = """
name = "tiny"
lengths = [6, 9]
seeds = 2
cells = ["rnn", { use = "lstm", label = "lstm, forget bias 1", forget_bias = 1.0 }]
[problem]
name = "adding"
[training]
steps = 60
batch_size = 16
hidden_size = 8
learning_rate = 1e-2
eval_every = 20
eval_size = 50
[recording]
every = 30
boundaries = 4
"""


@pytest.fixture
def card(tmp_path):
    (tmp_path / "tiny.toml").write_text(CARD)
    return tmp_path / "tiny.toml"


def command(*words, where=None, **more):
    return subprocess.run(
        [sys.executable, "-m", "seqbench", *map(str, words)],
        cwd=where, capture_output=True, text=True, errors="replace", timeout=300, **more,
    )  # fmt: skip


def seqbench_here(*words, monkeypatch):
    """The command in this process, without the seconds that a start costs; its exit status."""
    monkeypatch.setattr(sys, "argv", ["seqbench", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code or 0


def same_numbers(one, other):
    for table in ("trials", "curves", "flow"):
        left, right = (
            getattr(r, table).drop(columns="seconds", errors="ignore") for r in (one, other)
        )
        pd.testing.assert_frame_equal(left, right, check_exact=True)


def test_from_card_to_report(card, tmp_path):
    """run -> table and next command; report -> its numbers are those of the data."""
    ran = command("run", card, where=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "[8/8]" in ran.stderr, "plain progress where there is no terminal"
    assert "next: seqbench report runs/tiny" in ran.stdout
    reported = command("report", "runs/tiny", where=tmp_path)
    assert reported.returncode == 0, reported.stderr
    folder = tmp_path / "runs" / "tiny" / "report"
    assert (folder / "index.html").exists()
    assert (folder / "report.md").exists()
    results = seqbench.load(tmp_path / "runs" / "tiny")
    assert len(results.trials) == 8
    assert set(results.trials.status) <= {"solved", "done"}
    assert list(results.trials.columns) == [
        "task", "cell", "length", "seed", "status", "steps", "solved_at", "parameters", "seconds",
        "loss", "score", "baseline", "baseline_score", "error",
    ]  # fmt: skip
    assert list(results.curves.columns[:7]) == [
        "cell", "length", "seed", "step", "loss", "score", "gradient_norm",
    ]  # fmt: skip
    assert list(results.flow.columns) == [
        "cell", "length", "seed", "step", "source", "anchor", "layer", "time", "lag", "state",
        "log10_norm", "log10_p10", "log10_p90", "n_zero", "n_nonfinite",
        "whitened", "whitened_p10", "whitened_p90", "whitened_zero",
    ]  # fmt: skip
    keys = ["cell", "length", "seed", "step", "source", "anchor", "layer", "lag", "state"]
    assert not results.flow.duplicated(keys).any()
    assert set(results.flow.source) == {"output", "loss"}
    assert set(results.flow[results.flow.cell == "rnn"].state) == {"h", "all"}
    assert set(results.flow[results.flow.cell != "rnn"].state) == {"h", "c", "all"}

    check_report_against_data(folder / "tables" / "comparison.csv", results)


def check_report_against_data(table, results):
    """The comparison's numbers, computed again from the run by other means."""
    told = pd.read_csv(table).set_index(["cell", "length"])
    for (cell, length), trials in results.trials.groupby(["cell", "length"]):
        row = told.loc[(cell, length)]
        assert row.seeds == len(trials) == 2
        assert row.solved == (trials.status == "solved").sum()
        assert row.score == pytest.approx(trials.score.median())
        flow = results.flow
        flow = flow[(flow.cell == cell) & (flow.length == length) & (flow.source == "output")]
        flow = flow[(flow.state == "all") & (flow.anchor == length) & (flow.step == 0)]
        by_lag = flow[flow.lag > 0].pivot(index="lag", columns="seed", values="whitened")
        half_lives = []
        for seed in by_lag:  # the first lag with S <= -log10 2, on a fine grid between lags
            fine = np.linspace(1, length, 100_001)
            s = np.interp(fine, by_lag.index, by_lag[seed] - by_lag[seed][1])
            below = np.flatnonzero(s <= -np.log10(2))
            half_lives.append(fine[below[0]] if len(below) else np.inf)
        assert row.half_life_start == pytest.approx(np.median(half_lives), abs=1e-3)


def test_one_and_two_workers_and_a_resumed_run_give_the_same_numbers(card, tmp_path):
    """Bit for bit; and a run grows: first a part of the task, then the whole."""
    whole = seqbench.run(str(card), tmp_path / "two", workers=2, quiet=True)
    part = seqbench.run(
        str(card), tmp_path / "one", workers=1, lengths=[9], seeds=1, cells=["rnn"], quiet=True
    )
    assert len(part.trials) == 1
    grown = seqbench.run(str(card), tmp_path / "one", workers=1, quiet=True)
    same_numbers(whole, grown)
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "one").rglob("trial.json")}
    again = seqbench.run(str(card), tmp_path / "one", quiet=True)
    same_numbers(whole, again)
    assert stamps == {p: p.stat().st_mtime_ns for p in (tmp_path / "one").rglob("trial.json")}


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_stopped_keeps_what_is_finished_and_is_finished_later(card, tmp_path, how):
    undisturbed = seqbench.run(str(card), tmp_path / "undisturbed", quiet=True)
    out = tmp_path / "stopped"
    running = subprocess.Popen(
        [sys.executable, "-m", "seqbench", "run", str(card), "--out", str(out), "--workers", "1"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list(out.rglob("trial.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    running.send_signal(how)
    status = running.wait(60)
    assert status == (130 if how == signal.SIGINT else -signal.SIGKILL)
    results = seqbench.load(out)
    kept = len(list(out.rglob("trial.json")))
    counts = results.trials.status.value_counts()
    assert 1 <= kept < 8
    assert counts["interrupted"] == 8 - kept
    for child in out.rglob("trial.json"):
        json.loads(child.read_text())
    time.sleep(0.5)  # the orphaned worker notices and ends
    assert len(list(out.rglob("trial.json"))) == kept
    same_numbers(undisturbed, seqbench.run(str(card), out, quiet=True))


def test_a_cell_from_a_file_and_one_that_raises(card, tmp_path):
    """A trial that raises ends as error, its message kept; the others go on; exit status 1."""
    (tmp_path / "cells.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "class Mine(nn.RNNCell):\n"
        "    def forward(self, x, state=None):\n"
        "        print('a cell may print')\n"
        "        return super().forward(x, state)\n"
        "class Bad(Mine):\n"
        "    def forward(self, x, state=None):\n"
        "        if len(x) == 16 and state is not None:\n"
        "            raise RuntimeError('no luck today')\n"
        "        return super().forward(x, state)\n"
    )
    ran = command(
        "run", card, "--cells", "cells.py:Bad,cells.py:Mine", "--lengths", "6", "--seeds", "1",
        where=tmp_path,
    )  # fmt: skip
    assert ran.returncode == 1
    assert "no luck today" in ran.stderr
    results = seqbench.load(tmp_path / "runs" / "tiny")
    trials = results.trials.set_index("cell")
    assert trials.status.to_dict() == {"Bad": "error", "Mine": "done"}
    assert trials.error["Bad"] == "RuntimeError: no luck today (cells.py:10 in forward)"
    record = next(r for r in results.records.values() if r["summary"]["status"] == "error")
    assert "cells.py" in record["traceback"]


def test_a_cell_that_was_edited_is_noticed(card, tmp_path, monkeypatch, capsys):
    """A finished trial is not passed off as one of the new cell."""
    monkeypatch.chdir(tmp_path)
    source = "from torch import nn\nclass Mine(nn.RNNCell):\n    pass\n"
    (tmp_path / "mine.py").write_text(source)
    words = ["run", card, "--cells", "mine.py:Mine", "--lengths", "6", "--seeds", "1"]
    assert seqbench_here(*words, monkeypatch=monkeypatch) == 0
    assert seqbench_here(*words, monkeypatch=monkeypatch) == 0
    assert "1 of 1 trials were finished before" in capsys.readouterr().err
    (tmp_path / "mine.py").write_text(source.replace("RNNCell", "GRUCell"))
    assert seqbench_here(*words, monkeypatch=monkeypatch) == 2
    told = capsys.readouterr().err
    assert "cells (Mine): the file that it comes from has changed since runs/tiny was run" in told
    assert "allowed: what it was run with; another --out; or, to lose those trials" in told


def test_a_class_given_in_python_runs_here(card, tmp_path):
    from torch import nn

    class Local(nn.GRUCell):
        pass

    results = seqbench.run(str(card), tmp_path / "run", cells=[Local], lengths=[6], seeds=1,
                           quiet=True)  # fmt: skip
    assert results.trials.status.tolist() == ["done"]
    assert results.trials.cell.tolist() == ["Local"]


def test_a_plain_script_without_a_main_guard(card, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import seqbench\n"
        f"r = seqbench.run({str(card)!r}, out='out', cells=['rnn'], lengths=[6], seeds=2)\n"
        "print(len(r.trials), sorted(set(r.trials.status)))\n"
    )
    ran = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert ran.stdout.strip() == "2 ['done']", ran.stderr


def test_what_a_cell_writes_does_no_harm(card, tmp_path):
    """Bytes that are no text, on the worker's own stdout."""
    (tmp_path / "loud.py").write_text(
        "import os\n"
        "from torch import nn\n"
        "class Loud(nn.RNNCell):\n"
        "    def forward(self, x, state=None):\n"
        "        os.write(1, b'\\xff' * 100 + b'\\n')\n"
        "        return super().forward(x, state)\n"
    )
    ran = command("run", card, "--cells", "loud.py:Loud", "--lengths", "6", where=tmp_path)
    assert ran.returncode == 0, ran.stderr


def test_labels_with_commas_can_be_chosen(card, tmp_path):
    from seqbench.card.select import split_labels
    from seqbench.sweep.plan import plan

    chosen = plan(str(card), tmp_path, cells="lstm, forget bias 1,rnn,gru").task.cells
    assert [cell.label for cell in chosen] == ["lstm, forget bias 1", "rnn", "gru"]
    assert chosen[0].options == {"forget_bias": 1.0}
    assert split_labels("rnn, gru", ["rnn", "rnn, relu"]) == ["rnn", "gru"]


def test_what_is_named_twice_is_both(card, tmp_path, monkeypatch, capsys):
    words = ["--cells", "rnn", "--cells", "gru", "--lengths", 6, "--lengths", 8, "--dry-run"]
    assert (
        seqbench_here("run", card, *words, "--out", tmp_path / "run", monkeypatch=monkeypatch) == 0
    )
    told = capsys.readouterr().out
    assert all(f"{cell} T={length}" in told for cell in ("rnn", "gru") for length in (6, 8)), told


def test_two_commands_that_add_to_one_folder_forget_nothing(card, tmp_path):
    from seqbench.sweep.plan import plan
    from seqbench.sweep.run import carry_out

    one, other = (plan(str(card), tmp_path / "run", lengths=[n], seeds=1, cells="rnn")
                  for n in (6, 7))  # fmt: skip
    carry_out(one, quiet=True)
    carry_out(other, quiet=True)
    assert sorted(seqbench.load(tmp_path / "run").trials.length) == [6, 7]


def test_a_worker_that_dies_is_said_and_the_others_go_on(card, tmp_path):
    (tmp_path / "deadly.py").write_text(
        "import os\n"
        "from torch import nn\n"
        "class Deadly(nn.RNNCell):\n"
        "    def forward(self, x, state=None):\n"
        "        if len(x) == 16:\n"
        "            os._exit(7)\n"
        "        return super().forward(x, state)\n"
    )
    ran = command(
        "run", card, "--cells", "deadly.py:Deadly,rnn", "--lengths", "6", "--seeds", "1",
        where=tmp_path,
    )  # fmt: skip
    assert ran.returncode == 1
    assert "its worker ended with exit status 7 (tried 2 times)" in ran.stderr
    trials = seqbench.load(tmp_path / "runs" / "tiny").trials.set_index("cell")
    assert trials.status.to_dict() == {"Deadly": "error", "rnn": "done"}
    assert "exit status 7" in trials.error["Deadly"]


def test_a_mistake_in_a_cell_is_said_with_its_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "oops.py").write_text(
        "from torch import nn\n"
        "class Oops(nn.RNNCell):\n"
        "    def forward(self, x, h):\n"
        "        return super().forward(x + h, h)\n"
    )
    assert seqbench_here("flow", "oops.py:Oops", monkeypatch=monkeypatch) == 2
    told = capsys.readouterr().err
    assert "TypeError" in told
    assert "oops.py:4 in forward" in told
    assert len(told.strip().splitlines()) == 2


def test_flow_prints_and_writes(tmp_path):
    ran = command(
        "flow", "rnn", "lstm", "--length", "60", "--hidden", "16",
        "--out", "flow.png", "--csv", "flow.csv", where=tmp_path,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "half-life" in ran.stdout
    assert (tmp_path / "flow.png").stat().st_size > 5000
    table = pd.read_csv(tmp_path / "flow.csv")
    assert set(table.cell) == {"rnn", "lstm"}
    assert {"source", "lag", "state", "log10_norm", "n_zero"} <= set(table.columns)
    start = table[(table.lag == 0) & (table.state == "all")]
    np.testing.assert_allclose(start.log10_norm, 0, atol=1e-6)  # a unit cotangent


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["list"], ["quickstart", "copy", "lstm"]),
        (["list", "cells"], ["rnn", "gru", "lstm"]),
        (["list", "problems"], ["adding", "copy"]),
        (["--version"], [seqbench.__version__]),
        (["--help"], ["run", "report", "flow", "list"]),
    ],
)
def test_what_there_is(words, told, monkeypatch, capsys):
    assert seqbench_here(*words, monkeypatch=monkeypatch) == 0
    printed = capsys.readouterr().out
    assert all(word in printed for word in told)


def test_dry_run_writes_nothing(card, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert seqbench_here("run", card, "--dry-run", "--seeds", 1, monkeypatch=monkeypatch) == 0
    assert "4 trials, 0 finished, 4 to run, into runs/tiny" in capsys.readouterr().out
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "addding"], "did you mean 'adding'"),
        (["run", "{card}", "--cells", "lstn"], "unknown cell 'lstn'; did you mean 'lstm'"),
        (["run", "{card}", "--lengths", "1"], "lengths: 1 is too short for adding"),
        (["run", "{card}", "--lengths", "ten"], "--lengths ten"),
        (["run", "{card}", "--set", "training.stepz=3"], "training.stepz = 3: unknown key"),
        (["run", "{card}", "--set", "problem.name=adddding"], "did you mean 'adding'"),
        (["run", "{card}", "--set", "problem.colour=3"], "unknown option colour = 3"),
        (["run", "{card}", "--set", "problem.protocol=x"], "allowed: seqbench, arjovsky2016"),
        (["run", "{card}", "--set", "training"], "allowed: table.key=value"),
        (["run", "{card}", "--seeds", "0"], "seeds = 0"),
        (["run", "{card}", "--workers", "0"], "--workers 0"),
        (["run", "{card}", "--device", "tpu"], "allowed: cpu, cuda, auto"),
        (["run", "{card}", "--out", "{card}"], "can't be written"),
        (["run", "{card}", "--cells", "torch.nn:Nothing"], "no class 'Nothing'"),
        (["run", "{card}", "--cells", ""], "--cells: none is named"),
        (["run", "{card}", "--set", "learning_rate=1"], "did you mean training.learning_rate"),
        (["run", "{card}", "--set", "problem.train_set=many"], "train_set = 'many'"),
        (["run", "{card}", "--cells", "broken.txt:Cell"], "no module 'broken'"),
        (["flow", "lstm", "--csv", "no/such/folder.csv"], "there is no folder no/such"),
        (["run", "nothing.toml"], "there is no task card nothing.toml"),
        (["report", "{tmp}"], "is not a run"),
        (["list", "colours"], "allowed: tasks, problems, cells"),
        (["flow", "lstm", "lstm"], "allowed: each cell once"),
        (["flow", "lstm", "--out", "x.jpeg2000"], "x.jpeg2000"),
        (["flow", "lstm", "--length", "0"], "--length 0"),
        (["run", "{card}", "--timeout", "0"], "--timeout 0"),
    ],
)
def test_bad_input_ends_with_status_2_and_two_lines(
    words, said, card, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    words = [w.format(card=card, tmp=tmp_path) for w in words]
    assert seqbench_here(*words, monkeypatch=monkeypatch) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told
    assert len(told.strip().splitlines()) <= 2, told


def test_a_run_of_another_task_is_refused(card, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    seqbench.run(str(card), tmp_path / "runs" / "tiny", lengths=[6], seeds=1, cells=["rnn"],
                 quiet=True)  # fmt: skip
    assert seqbench_here("run", card, "--steps", 70, monkeypatch=monkeypatch) == 2
    assert "training.steps = 60 there, 70 here" in capsys.readouterr().err


def test_a_folder_that_can_not_be_written(card, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    (tmp_path / "locked").mkdir(mode=0o555)
    ran = command("run", card, "--out", tmp_path / "locked" / "run")
    assert ran.returncode == 2
    assert "can't be written" in ran.stderr


def test_importing_and_helping_import_neither_torch_nor_pandas():
    code = (
        "import sys, seqbench, seqbench.cli\n"
        "sys.argv = ['seqbench', '--help']\n"
        "try:\n    seqbench.cli.main()\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('torch', 'pandas', 'numpy', 'matplotlib') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "Usage" in ran.stdout
    assert ran.stdout.strip().endswith("[]")


def test_python_m_seqbench_and_the_entry_point_are_the_same():
    assert command("--version").stdout.strip() == f"seqbench {seqbench.__version__}"
    script = Path(sys.executable).with_name("seqbench")
    if script.exists():
        ran = subprocess.run([script, "--version"], capture_output=True, text=True, timeout=60)
        assert ran.stdout.strip() == f"seqbench {seqbench.__version__}"


@pytest.mark.parametrize("words", [["rnn", "gru"], ["rnn,gru"], ["rnn,", " gru"]])
def test_cells_are_named_with_spaces_or_with_commas_by_every_command(words, monkeypatch, capsys):
    assert seqbench_here("flow", *words, "--length", 5, monkeypatch=monkeypatch) == 0
    assert "r rnn   g gru" in capsys.readouterr().out


def test_a_narrow_terminal_has_a_hanging_indent(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    assert seqbench_here("list", "cells", monkeypatch=monkeypatch) == 0
    told = capsys.readouterr().out.splitlines()
    assert max(map(len, told)) <= 60
    names = [line for line in told if not line.startswith("   ")]
    assert len(names) < len(told)
    column = len(names[0]) - len(names[0][2:].split(" ", 1)[1].lstrip())
    assert all(line[: min(column, 30)].isspace() for line in told if line not in names)


def test_an_error_in_a_problem_points_to_its_check(card, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "from seqbench.problems.adding import Adding\n"
        "class Mine(Adding):\n"
        "    def score(self, *given): raise RuntimeError('no score today')\n"
    )
    words = ["run", card, "--cells", "rnn", "--lengths", 6, "--seeds", 1]
    words += ["--set", "problem.name=mine.py:Mine"]
    assert seqbench_here(*words, monkeypatch=monkeypatch) == 1
    told = capsys.readouterr().err
    assert "no score today" in told
    assert "seqbench check-problem" in told
    assert "seqbench check CELL" not in told


@pytest.mark.parametrize("width", [80, 60])
@pytest.mark.parametrize("name", sorted(typer.main.get_command(app).commands))
def test_every_command_is_explained_with_an_example_in_words_for_people(name, width):
    of_name = typer.main.get_command(app).commands[name]
    context = typer.Context(of_name, info_name=f"seqbench {name}", max_content_width=width)
    context.terminal_width = width
    lines = of_name.get_help(context).splitlines()
    assert max(map(len, lines)) <= width
    assert any(line.startswith(f"  seqbench {name}") for line in lines), "no example"
    told = "\n".join(lines)
    for soup in ("<", "{CELL", "--no-", "x>=", "[required]"):
        assert soup not in told.replace("> used.bib", "")
    assert all((one.help and one.metavar) or one.is_flag for one in of_name.params)


def test_the_list_of_commands_is_told_whole_at_sixty_columns(monkeypatch, capsys):
    monkeypatch.setenv("TERMINAL_WIDTH", "60")
    monkeypatch.setenv("COLUMNS", "60")
    assert seqbench_here("--help", monkeypatch=monkeypatch) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 60
    assert not any(line.endswith("...") for line in lines[lines.index("Commands:") :])


SILENT = """
from torch import nn
from seqbench import InputError
from seqbench.problems.adding import Adding
class Cell(nn.RNNCell):
    def forward(self, x, state=None):
        if len(x) == 16 and state is not None:
            raise {error}
        return super().forward(x, state)
class Built(nn.RNNCell):
    def __init__(self, *sizes):
        raise {error}
class Problem(Adding):
    def __init__(self, length):
        raise {error}
"""


@pytest.mark.parametrize("error", ["Exception()", "KeyError('')", "InputError()", "ValueError"])
def test_no_message_ends_in_empty_words(error, card, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "silent.py").write_text(SILENT.format(error=error))
    small = ["--lengths", "6", "--seeds", "1", "--steps", "20"]
    mine = "silent.py:Problem"
    for words in (
        ["run", card, "--cells", "silent.py:Cell,silent.py:Built", *small],
        ["run", card, "--cells", "rnn", "--set", f"problem.name={mine}", *small],
        ["flow", "silent.py:Built", "--length", "5"],
        ["check", "silent.py:Built"],
        ["check-problem", mine],
        ["show", mine],
    ):
        assert seqbench_here(*words, monkeypatch=monkeypatch) in (1, 2), words
        seen = capsys.readouterr()
        for line in (seen.out + seen.err).splitlines():
            assert not re.search(r"[:;,] *([:;)]|'')|: *$", line), (words, line)


def test_a_cell_that_breaks_the_contract_is_named_by_run_as_by_check(card, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cells = ("MixesByBatchNorm", "WritesIntoX", "WritesIntoTheState")
    specs = [f"{odd.__file__}:{name}" for name in cells]
    seqbench_here("run", card, "--cells", ",".join(specs), "--seeds", 1, monkeypatch=monkeypatch)
    trials = seqbench.load(tmp_path / "runs" / "tiny").trials
    assert set(trials["status"]) == {"error"}
    for name in cells:
        (failed,) = [one for one in examine(getattr(odd, name)) if one.status == "failed"]
        for told in trials[trials["cell"] == name]["error"]:
            assert told.startswith(f"ValueError: {failed.name}: ")
            assert told.endswith(failed.advice)
