"""`seqbench check`: each fault is named by its check, and good cells pass all of them."""

import subprocess
import sys
import textwrap

import pytest
import torch
from testing import odd_cells as odd
from torch import nn

from seqbench import InputError, plugins
from seqbench.testing import CellConformance
from seqbench.testing.checks import CHECKS
from seqbench.testing.examination import examine

IN_TIME = [name for name in plugins.bundled("cells") if name != "dense"]
GOOD = [*IN_TIME, nn.RNNCell, nn.GRUCell, nn.LSTMCell, nn.GRU, nn.LSTM,
        odd.Good, odd.NamedTuple, odd.ListNestedAndCounting,
        odd.StatePartOfTheInputsWidth, odd.LeavesTimeOut, odd.Dropout, odd.Lazy]  # fmt: skip


def test_a_network_in_depth_has_checks_of_its_own():
    assert {result.status for result in examine("dense")} == {"ok"}


@pytest.mark.parametrize("cell", GOOD, ids=str)
def test_good_cells_pass_every_check(cell):
    results = list(examine(cell))
    assert [str(result) for result in results if result.status == "failed"] == []
    ok = [result.name for result in results if result.status == "ok"]
    assert len(ok) >= len(CHECKS) - 1  # a cell has no pieces


def test_a_good_layer_that_says_so_passes_every_check():
    assert {result.status for result in examine(odd.Layer, kind="layer")} == {"ok"}


FAULTS = [
    (odd.WantsASize, "construction", "TypeError"),
    (odd.EqualSizesOnly, "construction", "sizes must be equal"),
    (odd.NoModule, "construction", "NoModule is no torch.nn.Module"),
    (lambda i, h: odd.Good(i, h), "construction", "is no class"),
    (odd.BatchFirst, "construction", "batch_first = True"),
    (odd.Bidirectional, "construction", "bidirectional = True"),
    (odd.NeedsAState, "shapes", "it runs with a state of zeros, but not with state=None"),
    (odd.Tutorial, "shapes", "it also returns (output, state), not the state alone"),
    (odd.ReturnsADict, "state's nesting", "state is no tensor but a dict"),
    (odd.EmptyState, "state's nesting", "the state is empty"),
    (odd.DictInTheState, "state's nesting", "state[1] is no tensor but a dict"),
    (odd.NestedOutput, "state's nesting", "the first part of the state is a tuple"),
    (odd.Squeezes, "shapes", "at batch 1 the output has shape [8], not [1, n]"),
    (odd.FloatInTheState, "state's nesting", "state[1] is no tensor but a float"),
    (odd.StateWithoutBatch, "shapes", "state[1] has shape [8]: axis 0 is not the batch"),
    (odd.Layer, "shapes", "a layer, not a cell"),
    (odd.TakesOneSequenceToo, "shapes", "a layer, not a cell"),
    (odd.WrongSize, "state fed back", "at step 2: RuntimeError"),
    (odd.SameOutputAndState, "state fed back", "it returns (output, state)"),
    (odd.OutputAndState, "state fed back", "it returns (output, state)"),
    (odd.GrowingState, "state fed back", "after step 2 it is ([4, 8] float32, [4, 6] float32)"),
    (odd.ReadsTheStateWrongly, "state fed back", "at step 2: "),
    (odd.LearnedStart, "state=None is zeros", "differ by up to"),
    (odd.MixesByBatchNorm, "examples independent", "in training mode examples 2 to 4 change"),
    (odd.MixesByMean, "examples independent", "examples 2 to 4 change"),
    (odd.KeepsItsState, "nothing kept between calls", "run again from the same state, differs"),
    (odd.CountsCalls, "nothing kept between calls", "run again from the same state, differs"),
    (odd.OwnNoise, "nothing kept between calls", "run again from the same state, differs"),
    (odd.WritesIntoX, "nothing changed in place", "x is changed"),
    (odd.WritesIntoTheState, "nothing changed in place", "state is changed"),
    (odd.NoiseInEval, "random state untouched", "torch's global random state in eval mode"),
    (odd.NumpyNoise, "random state untouched", "numpy's global random state in training mode"),
    (odd.PythonNoise, "random state untouched", "Python's global random state in training mode"),
    (odd.SeedsTorch, "random state untouched", "seeds torch's global generator"),
    (odd.NumpyInitialisation, "random state untouched", "linear.bias differs"),
    (odd.UnusedParameter, "every parameter is used", "no gradient arrives at spare"),
    (odd.NaNGradient, "gradients of parameters", "the gradient of spare is NaN or infinite"),
    (odd.NaNGradientAtTheStart, "gradient reaches back", "reaches the initial state is NaN"),
    (odd.DivergesAtOnce, "finite outputs", "outputs are NaN or infinite at step 2"),
    (odd.DetachesTheState, "gradient reaches back", "exactly 0 beyond its own step"),
    (odd.IgnoresTheState, "gradient reaches back", "the state is ignored or cut off"),
    (odd.DetachesApart, "gradients are right", "is not that of finite differences"),
    (odd.OwnBackward, "gradients are right", "is not that of finite differences"),
    (odd.Float32Start, "dtype", "after .double()"),
    (odd.RoundsToFloat32, "gradients are right", "is not that of finite differences"),
    (odd.PlainTensor, "device", "neither parameters nor buffers: gain"),
    (odd.RandomPlainTensor, "state_dict", "neither parameters nor buffers: gain"),
    (odd.KeepsTime, "inputs reach the state", "no input reaches c of the state within 32 steps"),
    (odd.HoldsALock, "copy", "cannot pickle '_thread.lock' object"),
    (odd.HoldsOnToItself, "copy", "changes when the original's parameters do"),
    (odd.local(), "import in a new process", "defined inside a function"),
    (odd.Inner.Nested, "import in a new process", "no class 'Inner.Nested'"),
    (odd.Meta, "import in a new process", "no class 'Renamed'"),
]


@pytest.mark.parametrize(
    ("cell", "name", "words"), FAULTS, ids=[getattr(cell, "__name__", "") for cell, _, _ in FAULTS]
)
def test_each_fault_is_named_by_its_check(cell, name, words):
    results = {result.name: result for result in examine(cell)}
    failed = [other for other, result in results.items() if result.status == "failed"]
    assert failed == {odd.Float32Start: ["dtype", "device"]}.get(cell, [name])  # and nothing else
    assert words in results[name].told
    assert results[name].advice


def test_every_check_has_a_cell_that_fails_it():
    assert {check.name for check in CHECKS} == {name for _, name, _ in FAULTS} | {"in pieces"}


@pytest.mark.parametrize(
    ("layer", "name", "words"),
    [
        (odd.TakesTheBatchFirst, "shapes", "state has shape [6, 8]: axis 0 is not the batch"),
        (odd.LooksAhead, "in pieces", "it looks ahead, or takes the batch first"),
        (odd.ForgetsBetweenPieces, "in pieces", "2 and 4 steps, the state handed on, differ"),
        (odd.NoState, "shapes", "it returns [6, 1, 8], not (outputs, state)"),
        (odd.Good, "shapes", ""),
    ],
)
def test_faults_of_layers_are_named(layer, name, words):
    results = {result.name: result for result in examine(layer, kind="layer")}
    assert results[name].status == "failed", results
    assert words in results[name].told


# --- what surrounds the checks ----------------------------------------------------------------


@pytest.mark.parametrize("cell", [odd.SameOutputAndState, odd.OutputAndState])
def test_the_adapter_that_is_advised_mends_the_cell(cell):
    (failed,) = [result for result in examine(cell) if result.status == "failed"]
    written = failed.advice.partition("\n")[2]
    assert len([line for line in written.splitlines() if line]) <= 5
    names = {cell.__name__: cell}
    exec(written, names)
    adapted = names[f"{cell.__name__}Adapted"]
    failed = [result.name for result in examine(adapted) if result.status == "failed"]
    assert failed == ["import in a new process"]  # it exists in this test alone
    x = torch.randn(4, 3)
    torch.manual_seed(0)
    output, _ = cell(3, 8)(x)
    torch.manual_seed(0)
    after = adapted(3, 8)(x)
    assert torch.equal(after if isinstance(after, torch.Tensor) else after[0], output)


def test_a_check_that_would_mean_nothing_is_not_applicable():
    results = {result.name: result for result in examine(odd.NeedsAState)}
    assert [name for name, result in results.items() if result.status == "failed"] == ["shapes"]
    assert results["dtype"].told == 'until "shapes" is ok'
    assert results["import in a new process"].status == "ok"


def test_sizes_and_options_can_be_chosen():
    assert not any(r.status == "failed" for r in examine(odd.EqualSizesOnly, input_size=8))
    assert not any(r.status == "failed" for r in examine("lstm", options={"forget_bias": 1.0}))
    with pytest.raises(InputError, match="unknown option forgetbias"):
        examine("lstm", options={"forgetbias": 1.0})
    with pytest.raises(InputError, match="kind = 'row'\nallowed: cell, layer, chain"):
        examine("lstm", kind="row")


def test_an_output_of_another_width_is_no_fault_but_is_said():
    class Wide(odd.Good):
        def __init__(self, input_size, hidden_size):
            super().__init__(input_size, 2 * hidden_size)

    result = examine(Wide).result("shapes")
    assert str(result) == "ok              shapes: mind: the output is 16 wide, hidden_size was 8"


def test_checking_leaves_the_random_state_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    list(examine(odd.Dropout))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_state_that_reads_numbers_can_not_be_tried_without_a_gpu():
    class Branches(odd.Good):
        def update(self, x, h):
            return super().update(x, h if h.sum() < 0 else 0.5 * h)

    result = examine(Branches).result("device")
    if torch.cuda.is_available():
        assert result.status == "ok"
    else:
        assert result.status == "not applicable"
        assert "no GPU here" in result.told


def seqbench_check(*words, where):
    return subprocess.run(
        [sys.executable, "-m", "seqbench", "check", *words],
        cwd=where, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_the_command_prints_a_line_a_check_and_says_what_failed(tmp_path):
    (tmp_path / "cells.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "class Fine(nn.GRUCell):\n"
        "    pass\n"
        "class Norm(nn.GRUCell):\n"
        "    def forward(self, x, state=None):\n"
        "        return super().forward(x - x.mean(0), state)\n"
    )
    fine = seqbench_check("cells.py:Fine", "--hidden", "5", where=tmp_path)
    assert fine.returncode == 0, fine.stderr
    lines = fine.stdout.splitlines()
    assert len(lines) == len(CHECKS) + 2
    assert lines[-1] == f"cells.py:Fine: {len(CHECKS) - 1} ok, 1 not applicable"
    norm = seqbench_check("cells.py:Norm", where=tmp_path)
    assert norm.returncode == 1
    assert "failed          examples independent\n" in norm.stdout
    assert "LayerNorm in place of BatchNorm" in norm.stdout
    assert norm.stderr == ""
    wrong = seqbench_check("cells.py:Nrm", where=tmp_path)
    assert wrong.returncode == 2
    assert "no class 'Nrm'" in wrong.stderr
    assert "did you mean 'Norm'" in wrong.stderr


class TestConformanceOfAGoodCell(CellConformance):
    cell = odd.Good


class TestConformanceOfALayer(CellConformance):
    cell = "gru"


def test_conformance_fails_a_faulty_cell_with_the_advice(tmp_path):
    (tmp_path / "test_mine.py").write_text(
        textwrap.dedent("""
        from torch import nn
        from seqbench.testing import CellConformance

        class Mine(nn.GRUCell):
            def forward(self, x, state=None):
                return super().forward(x.mul_(2), state)

        class TestMine(CellConformance):
            cell = Mine

        class TestNothing(CellConformance):
            pass
    """)
    )
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "test_contract[nothing changed in place]" in ran.stdout
    assert "x is changed by the call" in ran.stdout
    assert "write h = h * a" in ran.stdout
    assert "TestNothing names no cell; allowed: cell = MyCell" in ran.stdout
    # The rest waits until x is left alone; and TestNothing fails as a whole.
    counts = f"{1 + len(CHECKS)} failed, 5 passed, {len(CHECKS) - 6} skipped"
    assert counts in ran.stdout
