"""The engine's own kernels give what torch's layers give, and step back where they can't."""

import builtins
import copy
import sys
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrizations

from seqbench.cells.gru import GRU
from seqbench.cells.lstm import LSTM
from seqbench.cells.rnn import IRNN, RNN
from seqbench.engine import kernels, steps_numpy
from seqbench.models.recurrent import Stack, Unroll

try:
    from seqbench.engine import steps_numba

    FORMS = [steps_numba, steps_numpy]
except ImportError:
    FORMS = [steps_numpy]
LAYERS = {
    "rnn": nn.RNN,
    "relu": lambda *sizes, **options: nn.RNN(*sizes, nonlinearity="relu", **options),
    "gru": nn.GRU,
    "lstm": nn.LSTM,
}


@pytest.fixture(params=FORMS, ids=lambda form: form.__name__.rpartition("_")[2])
def form(request, monkeypatch):
    monkeypatch.setattr(kernels, "form", lambda: request.param)
    return request.param


def everything(run, layer, x_TBI, state):
    """Outputs, last state, and the gradients of inputs, initial state and parameters."""
    layer.zero_grad()
    x_TBI = x_TBI.clone().requires_grad_()
    leaves = [part.clone().requires_grad_() for part in state]
    given = None if not leaves else tuple(leaves) if leaves[1:] else leaves[0]
    outputs, after = run(x_TBI, given)
    after = after if isinstance(after, tuple) else (after,)
    loss = outputs.sin().sum() + sum((part * part.cos()).sum() for part in after)
    loss.backward()
    grads = [leaf.grad for leaf in (x_TBI, *leaves, *layer.parameters())]
    return [outputs.detach(), *(part.detach() for part in after), *grads]


def drawn(layer, T, B, dtype, with_state=True):
    x_TBI = torch.randn(T, B, layer.input_size, dtype=dtype)
    shape = (layer.num_layers, B, layer.hidden_size)
    count = 2 if isinstance(layer, nn.LSTM) else 1
    return x_TBI, [torch.randn(shape, dtype=dtype) for _ in range(count if with_state else 0)]


def compare(layer, T, B, with_state=True):
    layer = layer.double()
    x_TBI, state = drawn(layer, T, B, torch.float64, with_state)
    found = everything(lambda x, s: kernels.run(layer, x, s), layer, x_TBI, state)
    expected = everything(layer, layer, x_TBI, state)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(list(LAYERS)),
    T=st.integers(1, 40),
    B=st.sampled_from([1, 2, 7, 33, 600]),
    width=st.integers(1, 9),
    layers=st.integers(1, 3),
    bias=st.booleans(),
    with_state=st.booleans(),
    seed=st.integers(0, 100),
    number=st.integers(0, len(FORMS) - 1),
)
def test_float64_is_torchs_to_twelve_digits(
    name, T, B, width, layers, bias, with_state, seed, number
):
    torch.manual_seed(seed)
    layer = LAYERS[name](3, width, num_layers=layers, bias=bias)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "form", lambda: FORMS[number])
        compare(layer, T, B, with_state)


@pytest.mark.parametrize(("T", "B", "H"), [(75, 20, 40), (12, 10, 256), (9, 100, 128)])
@pytest.mark.parametrize("name", LAYERS)
def test_shapes_that_fill_no_tile_and_shapes_that_leave_the_caches(form, name, T, B, H):
    torch.manual_seed(0)
    compare(LAYERS[name](2, H), T, B)


@pytest.mark.parametrize(
    "layer",
    [
        RNN(2, 5, nonlinearity="sigmoid", gain=3.0),
        RNN(2, 5, nonlinearity="identity", spectral_radius=0.9),
        RNN(2, 5, nonlinearity="relu", recurrent="orthogonal"),
        RNN(2, 5, nonlinearity="leaky_relu", spectral_radius=0.9),
        RNN(2, 5, nonlinearity="elu", spectral_radius=0.9),
        IRNN(2, 5),
        GRU(2, 5, chrono=20.0),
        LSTM(2, 5, forget_bias=4.0),
    ],
    ids=lambda layer: f"{type(layer).__name__} {kernels._kernel(layer)}",
)
def test_options_of_the_bundled_cells(form, layer):
    assert kernels._kernel(layer)
    compare(layer, T=12, B=3)


@pytest.mark.parametrize("name", LAYERS)
def test_float32_errs_no_more_than_torchs_own_two_paths(form, name):
    """The fused layer and the cell step by step, each against float64, over 100 steps."""
    torch.manual_seed(0)
    layer = LAYERS[name](2, 32)
    x_TBI, state = drawn(layer, 100, 16, torch.float32)
    wide = copy.deepcopy(layer).double()
    exact = everything(wide, wide, x_TBI.double(), [part.double() for part in state])

    def far(found):
        errors = [(x - y).abs().max() / y.abs().max() for x, y in zip(found, exact, strict=True)]
        return torch.stack(errors).max().item()

    cls = {"gru": nn.GRUCell, "lstm": nn.LSTMCell}.get(name, nn.RNNCell)
    options = {"nonlinearity": layer.nonlinearity} if cls is nn.RNNCell else {}
    cell = cls(2, 32, **options)
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in layer.state_dict().items()})

    def by_cell(x_TBI, state):
        state = tuple(x[0] for x in state) if isinstance(state, tuple) else state[0]
        outputs, after = Unroll(cell)(x_TBI, state)
        return outputs, tuple(x[None] for x in after) if isinstance(after, tuple) else after[None]

    ours = far(everything(lambda x, s: kernels.run(layer, x, s), layer, x_TBI, state))
    torchs = [far(everything(layer, layer, x_TBI, state))]
    torchs.append(far(everything(by_cell, cell, x_TBI, state)))
    assert ours < 2 * max(torchs)


def test_large_small_and_undefined_numbers(form):
    """Saturated gates, and what diverges stays what it is."""
    for make in (nn.RNN, nn.GRU, nn.LSTM, partial(RNN, nonlinearity="elu")):
        layer = make(1, 4).double()
        x_TBI = torch.tensor([1e3, -1e3, 1e-30, 0.0], dtype=torch.float64).view(4, 1, 1)
        found, expected = kernels.run(layer, x_TBI, None)[0], layer(x_TBI)[0]
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
        x_TBI[1] = torch.nan
        assert kernels.run(layer, x_TBI, None)[0][1:].isnan().all()


class Custom(nn.LSTM):
    def forward(self, x, state=None):
        return super().forward(x * 2, state)


def _hooked():
    layer = nn.GRU(2, 3)
    layer.register_forward_hook(lambda *_: None)
    return layer


@pytest.mark.parametrize(
    "layer",
    [
        nn.LSTM(2, 3, proj_size=2),
        nn.GRU(2, 3, num_layers=2, dropout=0.5),
        _hooked(),
        Custom(2, 3),
        LSTM(2, 3, layer_norm=True),
        RNN(2, 3, nonlinearity="gelu"),
        RNN(2, 3, residual=0.5),
        nn.RNN(2, 3, nonlinearity="relu").half(),
    ],
    ids=["projection", "dropout", "hook", "subclass", "layer norm", "gelu", "residual", "half"],
)
def test_what_has_no_kernel_runs_as_it_is(layer, monkeypatch):
    monkeypatch.setattr(kernels._Segment, "apply", None)
    x_TBI = torch.randn(5, 2, 2, dtype=next(layer.parameters()).dtype)
    torch.manual_seed(1)
    found = kernels.run(layer, x_TBI, None)[0]
    torch.manual_seed(1)
    assert torch.equal(found, layer(x_TBI)[0])


@pytest.mark.parametrize("name", LAYERS)
def test_a_parametrized_weight_is_the_parametrized_one_and_its_originals_learn(name):
    torch.manual_seed(0)
    layer = LAYERS[name](2, 4)
    parametrizations.weight_norm(layer, "weight_hh_l0")
    with torch.no_grad():  # what stands in the layer's list of weights is another one now
        layer.parametrizations.weight_hh_l0.original0.mul_(0.5)
    compare(layer, 6, 3)


def test_somebody_s_attribute_named_damping_is_their_own_affair():
    plain = nn.LSTM(2, 3)
    theirs = copy.deepcopy(plain)
    theirs.damping = 0.5
    x_TBI = torch.randn(6, 2, 2)
    found, expected = (everything(partial(kernels.run, x), x, x_TBI, []) for x in (theirs, plain))
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_a_second_derivative_is_refused_in_words():
    layer, x_TBI = nn.GRU(2, 3), torch.randn(4, 2, 2, requires_grad=True)
    outputs = Stack([layer])(x_TBI)[0]
    with pytest.raises(RuntimeError, match=r"second derivative .* allowed: first derivatives"):
        torch.autograd.grad(outputs.sum(), x_TBI, create_graph=True)


def test_columns_that_fill_up_a_tile_stay_zero_where_states_grow_without_bound(form):
    """Three examples beside an empty column or more: infinity there would be NaN in the weights."""
    layer = nn.RNN(1, 4, nonlinearity="relu")
    with torch.no_grad():
        layer.weight_hh_l0.copy_(1e3 * torch.eye(4))
        layer.bias_ih_l0.fill_(1.0)
        layer.weight_ih_l0.fill_(-1e3)
    outputs, _ = kernels.run(layer, torch.ones(60, 3, 1), None)
    outputs.sum().backward()
    assert not outputs.any(), "an input of 1 keeps the states of all three at 0"
    assert all(p.grad.isfinite().all() for p in layer.parameters())


def test_outputs_can_not_be_changed_in_place():
    """The kernel would take them for its own states."""
    outputs = Stack([nn.RNN(2, 3)])(torch.randn(4, 2, 2))[0]
    with pytest.raises(RuntimeError, match="modified inplace"):
        outputs.mul_(2)


def test_without_numba_numpy_does_it(monkeypatch):
    real = builtins.__import__

    def no_numba(name, *rest):
        if name.partition(".")[0] in ("numba", "llvmlite"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.delitem(sys.modules, "seqbench.engine.steps_numba", raising=False)
    monkeypatch.delattr("seqbench.engine.steps_numba", raising=False)
    monkeypatch.setattr(builtins, "__import__", no_numba)
    assert kernels.form.__wrapped__() is steps_numpy


@pytest.mark.skipif(len(FORMS) == 1, reason="numba is not installed")
def test_what_is_warm_has_nothing_left_to_compile():
    kernels.warm()
    for make in (torch.nn.RNN, torch.nn.GRU, torch.nn.LSTM):
        for dtype in (torch.float32, torch.float64):
            layer = make(2, 6, dtype=dtype)
            x_TBI = torch.randn(7, 5, 2, dtype=dtype, requires_grad=True)
            outputs, state = kernels.run(layer, x_TBI, None)
            (outputs.sum() + sum(part.sum() for part in state)).backward()
    for kind in ("rnn", "gru", "lstm"):
        for step in (f"_forward_{kind}", f"_back_{kind}"):
            assert len(getattr(steps_numba, step).signatures) == 2, step  # one a precision
