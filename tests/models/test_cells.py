"""Cells, bundled and brought: what they compute, and how they are found."""

import numpy as np
import pytest
import torch
from torch import nn

from seqbench import InputError, plugins
from seqbench.cells.gru import GRU
from seqbench.cells.lstm import LSTM
from seqbench.cells.rnn import RNN
from seqbench.models.initial import learn_starts
from seqbench.models.kinds import as_stack
from seqbench.models.recurrent import Unroll, as_layer, build


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (RNN(3, 5), nn.RNNCell(3, 5)),
        (RNN(3, 5, nonlinearity="relu"), nn.RNNCell(3, 5, nonlinearity="relu")),
        (GRU(3, 5), nn.GRUCell(3, 5)),
        (LSTM(3, 5, forget_bias=1.0), nn.LSTMCell(3, 5)),
    ],
)
def test_layers_equal_torchs_own_cell_step_by_step(ours, theirs):
    theirs.load_state_dict({name.removesuffix("_l0"): p for name, p in ours.state_dict().items()})
    x = torch.randn(9, 4, 3)
    torch.testing.assert_close(ours(x)[0], Unroll(theirs)(x)[0])


def test_forget_bias_is_the_total_of_torchs_two_vectors():
    lstm = LSTM(3, 5, forget_bias=1.5)
    total = lstm.bias_ih_l0 + lstm.bias_hh_l0
    assert (total[5:10] == 1.5).all()
    torch.manual_seed(0)
    plain = LSTM(3, 5)
    torch.manual_seed(0)
    assert torch.equal(plain.bias_ih_l0, nn.LSTM(3, 5).bias_ih_l0)


def test_a_forget_bias_is_a_number():
    with pytest.raises(InputError, match="forget_bias = 'one'\nallowed: a number"):
        LSTM(3, 5, forget_bias="one")


def test_unknown_nonlinearity_says_what_is_allowed():
    with pytest.raises(InputError, match="nonlinearity = 'tahn'\nallowed: 'tanh', 'relu'"):
        RNN(3, 5, nonlinearity="tahn")


def test_an_rnnbase_is_a_layer_and_anything_else_a_cell():
    assert isinstance(as_layer(nn.GRU(2, 3)), nn.GRU)
    assert isinstance(as_layer(nn.GRUCell(2, 3)), Unroll)
    assert isinstance(as_layer(nn.Linear(2, 3), kind="layer"), nn.Linear)
    says_so = type("SaysSo", (nn.Linear,), {"kind": "layer"})
    assert isinstance(as_layer(says_so(2, 3)), says_so)
    assert isinstance(as_layer(says_so(2, 3), kind="cell"), Unroll), "the card has the last word"
    for flag in ("batch_first", "bidirectional"):
        with pytest.raises(InputError, match=f"{flag} = True"):
            as_layer(nn.LSTM(2, 3, **{flag: True}))


def test_a_model_takes_each_layers_width_from_the_layer():
    class Wide(nn.Module):
        def __init__(self, input_size, hidden_size):
            super().__init__()
            self.linear = nn.Linear(input_size, 2 * hidden_size)

        def forward(self, x, state=None):
            return self.linear(x), torch.zeros(len(x), 1)

    model = build(Wide, input_size=3, hidden_size=4, output_size=2, layers=2)
    outputs, states = model.stack(torch.zeros(5, 6, 3))
    assert outputs.shape == (5, 6, 8)
    assert len(states) == 2
    assert model.readout(outputs).shape == (5, 6, 2)


def test_short_names_and_specs_resolve_without_importing(tmp_path):
    assert plugins.resolve("lstm", "cells") == "seqbench.cells.lstm:LSTM"
    assert plugins.resolve("torch.nn:GRUCell", "cells") == "torch.nn:GRUCell"
    (tmp_path / "mine.py").write_text("raise SystemExit('imported')")
    assert plugins.resolve("mine.py:Cell", "cells", tmp_path) == f"{tmp_path}/mine.py:Cell"
    assert plugins.load("torch.nn:GRUCell") is nn.GRUCell


def test_two_files_of_the_same_name_are_two_modules(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "cell.py").write_text(f"class Cell:\n    where = {folder!r}\n")
    found = [plugins.load(f"{tmp_path}/{folder}/cell.py:Cell").where for folder in ("a", "b")]
    assert found == ["a", "b"]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("lstn", "unknown cell 'lstn'; did you mean 'lstm'\\?\nallowed: rnn, gru, lstm"),
        ("nowhere.py:Cell", "there is no file"),
        ("no_such_module:Cell", "there is no module 'no_such_module'"),
        ("torch.nn:NoSuchCell", "no class 'NoSuchCell' in torch.nn"),
    ],
)
def test_what_is_not_there_is_said(spec, words):
    with pytest.raises(InputError, match=words):
        plugins.load(plugins.resolve(spec, "cells"))


def test_unknown_options_say_which_there_are():
    with pytest.raises(InputError, match=r"forgetbias = 1\.0\nallowed: forget_bias"):
        plugins.check_options(
            LSTM, {"forgetbias": 1.0}, ("input_size", "hidden_size"), "cells (lstm)"
        )


class Typed(nn.GRUCell):
    def __init__(
        self,
        i,
        h,
        extra=True,
        rate=0.1,
        mode="a",
        n: int = 3,
        x: float = 1.0,
        tag: str | None = None,
    ):
        super().__init__(i, h)


@pytest.mark.parametrize(
    ("options", "allowed"),
    [
        ({"extra": "no"}, "true or false"),
        ({"extra": 0}, "true or false"),
        ({"rate": ".5"}, "a number"),
        ({"n": 2.5}, "a whole number"),
        ({"n": True}, "a whole number"),
        ({"x": "1"}, "a number"),
        ({"tag": 5}, "text, in quotes"),
    ],
)
def test_a_value_of_another_type_than_the_constructors_is_refused(options, allowed):
    with pytest.raises(InputError, match=f"\nallowed: {allowed}$"):
        plugins.check_options(Typed, options, ("i", "h"), "cell")


def test_values_of_the_constructors_types_are_taken_and_so_is_what_it_does_not_declare():
    options = {"extra": False, "rate": 1, "mode": 5, "n": 2, "x": 2, "tag": "t"}
    plugins.check_options(Typed, options, ("i", "h"), "cell")
    plugins.check_options(Typed, {"rate": [0.1, 0.2]}, ("i", "h"), "cell")


@pytest.mark.parametrize("radius", [0.5, 1, 1.2])
def test_the_spectral_radius_of_an_rnn_can_be_set(radius):
    torch.manual_seed(0)
    cell = RNN(2, 30, spectral_radius=radius)
    eigenvalues = np.linalg.eigvals(cell.weight_hh_l0.detach().double().numpy())
    assert np.abs(eigenvalues).max() == pytest.approx(radius, rel=1e-5)
    torch.manual_seed(0)
    plain = RNN(2, 30).weight_hh_l0
    torch.testing.assert_close(cell.weight_hh_l0 / cell.weight_hh_l0[0, 0], plain / plain[0, 0])


@pytest.mark.parametrize("radius", [0, -1.0, "big", True])
def test_a_spectral_radius_that_can_not_be_is_refused(radius):
    with pytest.raises(InputError, match="positive number"):
        RNN(2, 3, spectral_radius=radius)


class HalvesItsInputs(nn.RNNCell):
    def forward(self, x, state=None):
        return super().forward(x.mul_(0.5), state)


def test_inputs_that_are_changed_in_place_are_named_and_left_alone():
    inputs_TBI = torch.randn(5, 3, 2)
    before = inputs_TBI.clone()
    with pytest.raises(ValueError, match="nothing changed in place: x is changed by the call"):
        as_stack(HalvesItsInputs(2, 4)).chain(inputs_TBI).start()
    assert torch.equal(inputs_TBI, before)


def test_a_part_left_out_of_cells_with_learned_starts_stays_out():
    torch.manual_seed(0)
    sizes = {"input_size": 2, "hidden_size": 4, "output_size": 1}
    model = build(LSTM, **sizes, leave_out=["c"])
    learn_starts(model)
    parts = {part.name: part.in_all for part in model.chain(torch.randn(5, 3, 2)).parts()}
    assert parts["h"]
    assert not parts["c"]
