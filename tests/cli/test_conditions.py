"""Bad conditions: what is closed, full, linked, sent by somebody else, or stopped halfway."""

import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import runs
from processes import wait_for

import seqbench
from seqbench import InputError, cli, results
from seqbench.card import task as cards
from seqbench.reporting.report import report
from seqbench.sweep import claims
from seqbench.sweep.plan import plan
from seqbench.sweep.run import carry_out

CARD = """
name = "tiny"
lengths = [5]
seeds = 4
cells = ["rnn"]
[problem]
name = "adding"
[training]
steps = 20
batch_size = 16
hidden_size = 4
eval_every = 10
eval_size = 20
[recording]
every = 20
boundaries = 2
"""
TRAP = "open({marker!r}, 'a').write(__name__)\n"
SEQBENCH = [sys.executable, "-m", "seqbench"]


@pytest.fixture
def card(tmp_path):
    (tmp_path / "tiny.toml").write_text(CARD)
    return str(tmp_path / "tiny.toml")


@pytest.fixture
def run(make):
    """A run by hand: 8 trials."""
    return make(runs.whole())


def test_two_commands_in_one_folder_share_its_trials_out(card, tmp_path):
    out = str(tmp_path / "run")
    one, other = (
        subprocess.Popen(
            [*SEQBENCH, "run", card, "--out", out, "--workers", "1"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    )
    said = one.communicate()[1], other.communicate()[1]
    assert (one.returncode, other.returncode) == (0, 0), said
    assert list(seqbench.load(out).trials.status) == 4 * ["done"]
    ended = [line for lines in said for line in lines.splitlines() if "budget spent" in line]
    assert len(ended) == 4, said


@pytest.mark.parametrize("stderr", ["2>&-", "2> >(head -1 >&2)"])
def test_a_terminal_that_is_gone_stops_nothing(card, tmp_path, stderr):
    command = f"{sys.executable} -m seqbench run {card} --out {tmp_path}/run {stderr}"
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert ran.returncode == 0
    assert ran.stdout.startswith("cell")
    assert list(seqbench.load(tmp_path / "run").trials.status) == 4 * ["done"]


def test_sigterm_and_what_comes_after_it_leave_the_closing_line(card, tmp_path):
    command = subprocess.Popen(
        [*SEQBENCH, "run", card, "--out", str(tmp_path / "run")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for((tmp_path / "run" / "trials").exists, seconds=300)
    for one in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM, signal.SIGINT):
        command.send_signal(one)
    said = command.communicate()[1]
    last = said.splitlines()[-1]  # whichever came first
    how = {143: "terminated", 130: "interrupted"}[command.returncode]
    assert last.startswith(f"seqbench: {how}; ")
    assert last.endswith(" of 4 trials are finished and kept, the same command runs the rest")


@pytest.mark.parametrize("words", [["report", "."], ["status", "."]])
def test_opening_a_folder_that_was_sent_runs_no_code_in_it(run, tmp_path, words):
    marker = str(tmp_path / "it ran")
    for name in ("cloudpickle", "pytz", "sitecustomize", "usercustomize", "numexpr", "xarray"):
        (run.path / f"{name}.py").write_text(TRAP.format(marker=marker))
    ran = subprocess.run([*SEQBENCH, *words], cwd=run.path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert not os.path.exists(marker), Path(marker).read_text()


def test_a_damaged_trial_is_kept_beside_and_run_again(card, tmp_path, capfd):
    whole = seqbench.run(card, tmp_path / "run", seeds=1, quiet=True)
    (file,) = (tmp_path / "run").rglob("flow.parquet")
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(InputError, match="is damaged"):
        seqbench.load(tmp_path / "run")
    again = seqbench.run(card, tmp_path / "run", seeds=1)
    assert f"{file} is damaged: " in capfd.readouterr().err
    runs_same = again.flow.equals(whole.flow) and again.curves.equals(whole.curves)
    assert runs_same
    (aside,) = (tmp_path / "run" / "trials").glob("*.damaged-*")
    assert sorted(one.name for one in aside.iterdir())[-1] == "trial.json"


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ('problem.name="collections:Counter"', "problem (collections:Counter): TypeError: "),
        ('recording.diagnostics=["torch.nn:Linear"]', "recording.diagnostics: TypeError: Linear"),
        ('recording.diagnostics=["collections:Counter"]', "recording.diagnostics (Counter): "),
    ],
)
def test_a_class_of_another_kind_is_refused(card, tmp_path, setting, words, monkeypatch, capsys):
    out = str(tmp_path / "run")
    monkeypatch.setattr("sys.argv", ["seqbench", "run", card, "--set", setting, "--out", out])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert words in said
    assert len(said.splitlines()) == 2, said


@pytest.mark.parametrize("option", ["--csv", "--out"])
def test_flow_says_that_the_disk_is_full(tmp_path, option):
    file = tmp_path / ("flow.csv" if option == "--csv" else "flow.png")
    file.symlink_to("/dev/full")
    words = [*SEQBENCH, "flow", "rnn", "--length", "200", "--hidden", "4", option, str(file)]
    ran = subprocess.run(words, capture_output=True, text=True)
    assert ran.returncode == 2
    said = f"seqbench: {file}: can't be written: No space left on device\n"
    assert ran.stderr == f"{said}allowed: a file in a folder that you may write to\n"


def test_a_full_disk_stops_a_sweep_which_is_finished_later(card, tmp_path):
    def little_space():
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))  # a card, but no table

    words = [*SEQBENCH, "run", card, "--out", str(tmp_path / "run"), "--workers", "1"]
    ran = subprocess.run(words, capture_output=True, text=True, preexec_fn=little_space)
    assert ran.returncode == 2
    said = f"seqbench: --out {tmp_path}/run: can't be written: File too large\n"
    assert ran.stderr.splitlines(keepends=True)[-2] == said, ran.stderr
    assert not list((tmp_path / "run").rglob("trial.json"))
    assert not list((tmp_path / "run").rglob("*.tmp"))
    assert list(seqbench.run(card, tmp_path / "run", quiet=True).trials.status) == 4 * ["done"]


@pytest.mark.parametrize("part", ["report", "report/tables", "report/figures"])
def test_a_report_is_not_written_through_a_link(run, tmp_path_factory, part):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (run.path / part).parent.mkdir(exist_ok=True)
    (run.path / part).symlink_to(elsewhere)
    with pytest.raises(InputError, match="is a link\nallowed: a folder"):
        report(run)
    assert not list(elsewhere.iterdir())


def test_a_file_of_a_report_that_is_a_link_is_replaced(run, tmp_path):
    (tmp_path / "precious").write_text("mine")
    (run.path / "report").mkdir()
    (run.path / "report" / "index.html").symlink_to(tmp_path / "precious")
    report(run)
    assert (tmp_path / "precious").read_text() == "mine"


def test_what_was_left_half_written_is_removed(card, tmp_path):
    planned = plan(card, tmp_path / "run", seeds=1)
    (trial,) = planned.missing
    folder = tmp_path / "run" / "trials" / trial.folder
    folder.mkdir(parents=True)
    strays = [tmp_path / "run" / ".task.toml.1.tmp", folder / ".flow.parquet.2.tmp"]
    for stray in strays:
        stray.touch()
    carry_out(planned, quiet=True)
    assert not any(stray.exists() for stray in strays)


def test_letters_that_no_font_has_are_drawn_without_a_warning_each(make, recwarn):
    cells = '[{use = "rnn", label = "漢字かな交じり文"}]'
    trials = runs.whole((10,), 1, ["漢字かな交じり文"])
    report(make(trials, (10,), 1, cells), latex=True)
    assert not [str(one.message) for one in recwarn if "Glyph" in str(one.message)]


def test_a_finished_run_on_a_disk_that_can_not_be_written_prints_its_table(
    run, monkeypatch, capsys
):
    def read_only(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    def open_else(path, *given):
        return read_only() if str(path).endswith(".lock") else really(path, *given)

    card = run.path / "task.toml"
    task = cards.load(str(card))
    trials = {trial.folder for trial in task.trials()}
    assert trials <= {folder.name for folder in (run.path / "trials").iterdir()}
    really = os.open
    monkeypatch.setattr(claims.os, "open", open_else)
    monkeypatch.setattr(results.files, "write_atomically", read_only)
    monkeypatch.setattr(Path, "mkdir", read_only)
    monkeypatch.setattr("sys.argv", ["seqbench", "run", str(card), "--out", str(run.path)])
    cli.app(standalone_mode=False)
    assert "lstm" in capsys.readouterr().out


def test_a_label_does_not_move_the_terminal():
    with pytest.raises(InputError, match="label"):
        cards.parse(CARD.replace('["rnn"]', '[{use = "rnn", label = "a\\u009b2Jb"}]'), "card")
