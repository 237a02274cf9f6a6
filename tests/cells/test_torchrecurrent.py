"""Other people's cells: every one that torchrecurrent exports, through the real path."""

import inspect

import pytest
import torchrecurrent

import seqbench
from seqbench.testing.examination import examine

CARD = """
name = "theirs"
lengths = [6]
seeds = 1
cells = ["rnn"]
[problem]
name = "adding"
[training]
steps = 1
batch_size = 4
hidden_size = 8
eval_every = 1
eval_size = 8
[recording]
every = 1
"""


CLASSES = [name for name, value in vars(torchrecurrent).items() if inspect.isclass(value)]
CELLS = [name for name in CLASSES if name.endswith("Cell")]

# What the library says itself. Its other cells, all of them, train.
REFUSED = {
    "IntersectionRNNCell": "ValueError: IntersectionRNNCell requires input_size == hidden_size "
    "(got input_size=2, hidden_size=8)",
    # These two return (output, state), which their own forward does not take as a state.
    "MCLSTMCell": "TypeError: only integer tensors of a single element can be converted to an",
    "TLSTMCell": "TypeError: unsupported operand type(s) for @: 'tuple' and 'Tensor'",
}


def train(where, cells):
    (where / "theirs.toml").write_text(CARD.replace('cells = ["rnn"]', f"cells = [{cells}]"))
    return seqbench.run(str(where / "theirs.toml"), where / "run", quiet=True)


def test_every_cell_takes_a_training_step_and_has_a_gradient_flow(tmp_path):
    assert len(CELLS) >= 41
    results = train(tmp_path, ", ".join(f'"torchrecurrent:{name}"' for name in CELLS))
    trials = results.trials.set_index("cell")
    errors = trials.error[trials.status == "error"]
    assert set(errors.index) == set(REFUSED)
    for name, words in REFUSED.items():
        assert errors[name].startswith(words)
    assert set(trials.status) == {"done", "error"}
    flow = results.flow.query("source == 'output' and state == 'all' and lag > 0")
    assert set(flow.cell) == set(CELLS) - set(REFUSED)
    assert (flow.n_nonfinite == 0).all()
    assert flow.log10_norm.notna().all()


@pytest.mark.parametrize("name", [name for name in CELLS if name not in REFUSED])
def test_every_other_cell_keeps_the_contract(name):
    results = examine(f"torchrecurrent:{name}")
    assert [str(result) for result in results if result.status == "failed"] == []


@pytest.mark.parametrize("name", REFUSED)
def test_the_refused_ones_are_mended_by_the_adapter_that_is_advised(name):
    results = examine(f"torchrecurrent:{name}", input_size=8)
    (failed,) = [result for result in results if result.status == "failed"]
    assert failed.told.startswith("it returns (output, state)")
    names = {name: getattr(torchrecurrent, name)}
    exec(failed.advice.partition("\n")[2], names)
    results = examine(names[f"{name}Adapted"], input_size=8)
    assert [result.name for result in results if result.status == "failed"] == [
        "import in a new process"  # it exists in this test alone
    ]


def test_their_layers_train_too_stacked_and_with_options(tmp_path):
    results = train(
        tmp_path,
        """
        { use = "torchrecurrent:MGU", kind = "layer", layers = 2 },
        { use = "torchrecurrent:PeepholeLSTM", kind = "layer", num_layers = 2 },
        { use = "torchrecurrent:LEMCell", layers = 2, dt = 0.5 }
        """,
    )
    assert results.trials.status.tolist() == ["done"] * 3, results.trials.error
    assert set(results.flow.layer) == {0, 1}
    assert set(results.flow.groupby("cell").layer.nunique()) == {2}


def test_a_layer_that_remembers_more_than_its_state_says_is_found():
    """tauGRU looks back a number of steps; the state that its layer returns has only the last."""
    failed = [r for r in examine("torchrecurrent:tauGRU", kind="layer") if r.status == "failed"]
    assert [result.name for result in failed] == ["in pieces"]
