"""`flow`, `check`, `check-problem` and `show` survive what somebody's code does to its process."""

import pytest

from seqbench import cli
from seqbench.sweep import apart

CODE = """
import ctypes, os, sys, time
from torch import nn
from seqbench.problems.adding import Adding

class Cell(nn.RNNCell):
    def forward(self, x, state=None):
        misbehave(type(self).__name__)
        return super().forward(x, state)

def misbehave(how):
    if how == "Exits":
        sys.exit(0)
    if how == "Vanishes":
        os._exit(0)
    if how == "Crashes":
        ctypes.string_at(0)
    if how == "Asks":
        input()
    if how == "Breaks":
        breakpoint()
    while how == "Loops":
        time.sleep(1)

class Problem(Adding):
    def sample(self, *given):
        misbehave(type(self).__name__[2:])
        return super().sample(*given)

class Exits(Cell): pass
class Vanishes(Cell): pass
class Crashes(Cell): pass
class Asks(Cell): pass
class Breaks(Cell): pass
class Loops(Cell): pass

class A_Vanishes(Problem): pass

"""
LEAVES = "\nallowed: code that leaves its process alone and comes to an end\n"


@pytest.fixture
def seqbench(tmp_path, monkeypatch, capfd):
    """The command line: its exit status, what it printed, what it said."""
    (tmp_path / "own.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr("sys.argv", ["seqbench", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, *capfd.readouterr()

    return run


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Exits", "cell Exits: SystemExit: 0 (own.py:"),
        ("Vanishes", "own.py:Vanishes: its process ended with exit status 0" + LEAVES),
        ("Crashes", "ended by SIGSEGV: Fatal Python error: Segmentation fault / File "),
        ("Asks", "cell Asks: EOFError: "),
        ("Breaks", "cell Breaks: BdbQuit ("),
    ],
)
def test_flow_names_what_a_cell_did_to_its_process(name, told, seqbench):
    status, printed, said = seqbench("flow", f"own.py:{name}", "--length", "5", "--hidden", "4")
    assert (status, printed) == (2, "")
    assert told in said
    assert said.count("\n") == 2


def test_flow_does_not_wait_for_ever(seqbench, monkeypatch):
    monkeypatch.setattr(apart, "SILENCE", 10.0)
    status, _, said = seqbench("flow", "own.py:Loops", "--length", "5")
    assert status == 2
    assert said == "seqbench: own.py:Loops: nothing happened for 10 s" + LEAVES


def test_check_names_the_check_in_which_a_cell_ended_its_process(seqbench):
    status, printed, said = seqbench("check", "own.py:Vanishes")
    assert status == 2
    assert printed.startswith("ok              construction")
    assert said.startswith('seqbench: own.py:Vanishes: "state\'s nesting": its process ended with ')


def test_an_exit_fails_a_check_like_any_other_exception(seqbench):
    status, printed, said = seqbench("check", "own.py:Exits")
    assert (status, said) == (1, "")
    assert "SystemExit: 0 (own.py:" in printed


def test_check_problem_and_show_name_what_a_problem_did_to_its_process(seqbench):
    ended = "own.py:A_Vanishes: its process ended with exit status 0" + LEAVES
    assert seqbench("show", "own.py:A_Vanishes") == (2, "", f"seqbench: {ended}")
    status, _, said = seqbench("check-problem", "own.py:A_Vanishes")
    assert status == 2
    assert "its process ended with exit status 0" in said


@pytest.mark.parametrize("command", ["flow", "check", "show", "check-problem"])
def test_an_option_that_is_a_date_is_refused(command, seqbench):
    name = "rnn" if command in ("flow", "check") else "adding"
    status, _, said = seqbench(command, name, "--set", "x=1979-05-27")
    assert status == 2
    assert "allowed: texts, numbers, true or false, lists, tables" in said
