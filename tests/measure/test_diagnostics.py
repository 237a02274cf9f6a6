"""Further diagnostics, each against a closed form or an independent float64 computation."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from measure.moments import moment_of
from torch import nn
from torch.special import digamma

from seqbench import InputError
from seqbench.card import task as cards
from seqbench.cells.lstm import LSTM
from seqbench.cells.rnn import RNN
from seqbench.measure.diagnostics import instruments
from seqbench.measure.diagnostics.credit import Credit
from seqbench.measure.diagnostics.jacobian import jacobians
from seqbench.measure.diagnostics.saturation import Saturation
from seqbench.measure.diagnostics.signal import SignalToNoise
from seqbench.measure.diagnostics.spectra import (
    Lyapunov,
    SingularValues,
    exponents,
    log10_singular_values,
)
from seqbench.measure.diagnostics.weights import GradientNorm, SpectralRadius
from seqbench.measure.flow import gradient_flow
from seqbench.models.recurrent import Stack, Unroll, as_layer
from seqbench.problems.adding import Adding
from seqbench.problems.copy import Copy
from seqbench.sweep.check import checked, resolve
from seqbench.training import loop as training

# --- the Jacobian of a step ------------------------------------------------------------------


def test_jacobians_of_an_lstm_are_those_of_its_whole_state():
    torch.manual_seed(0)
    layer, cell = nn.LSTM(2, 3), nn.LSTMCell(2, 3).double()
    cell.load_state_dict({n.removesuffix("_l0"): p for n, p in layer.state_dict().items()})
    inputs_TBI = torch.randn(5, 2, 2)
    found = list(jacobians(Stack([layer]), inputs_TBI, range(2, 5)))
    state = (torch.zeros(2, 3, dtype=torch.float64),) * 2
    for t, x_BI in enumerate(inputs_TBI.double()):
        if t >= 2:
            for b in range(2):

                def step(flat, b=b, x_BI=x_BI):
                    return torch.cat(cell(x_BI[b : b + 1], flat.view(2, 1, 3).unbind(0)), 1)[0]

                whole = torch.cat([part[b] for part in state])
                expected = torch.autograd.functional.jacobian(step, whole)
                torch.testing.assert_close(found[t - 2][b], expected)
        state = cell(x_BI, state)


def test_a_complex_state_counts_as_two_real_coordinates():
    class Spiral(nn.Module):
        def forward(self, x, z=None):
            z = torch.zeros(len(x), 1, dtype=torch.promote_types(x.dtype, torch.complex64)) \
                if z is None else z  # fmt: skip
            return z * (0.3 + 0.4j) + x

    (found,) = jacobians(Stack([Unroll(Spiral())]), torch.zeros(1, 1, 1), range(1))
    expected = torch.tensor([[0.3, -0.4], [0.4, 0.3]], dtype=torch.float64)
    torch.testing.assert_close(found[0], expected)


def test_a_counter_among_the_states_parts_has_no_coordinates():
    class Counting(nn.Module):
        def forward(self, x, state=None):
            h, n = state or (torch.zeros_like(x), torch.zeros(len(x), dtype=torch.long))
            return 0.5 * h + x, n + 1

    (found,) = jacobians(Stack([Unroll(Counting())]), torch.zeros(3, 2, 1), range(2, 3))
    assert found.tolist() == [[[0.5]], [[0.5]]]


# --- Lyapunov exponents, singular values -----------------------------------------------------


def test_exponents_of_gaussian_products_are_the_closed_form():
    """lambda_i = ln sigma + (ln 2 + psi((N - i + 1)/2)) / 2 (Newman 1986)."""
    sigma, N = 0.7, 4
    draws = torch.Generator().manual_seed(0)
    each = sigma * torch.randn(2000, 40, N, N, generator=draws, dtype=torch.float64)
    i = torch.arange(1, N + 1)
    expected = math.log(sigma) + (math.log(2) + digamma((N - i + 1) / 2)) / 2
    np.testing.assert_allclose(exponents(each).mean(0), expected, atol=0.01)
    np.testing.assert_allclose(exponents(each, 2).mean(0), expected[:2], atol=0.01)


class Henon(nn.Module):
    """x' = 1 - 1.4 x^2 + y, y' = 0.3 x."""

    def forward(self, inputs, state=None):
        x, y = (torch.zeros_like(inputs[:, :1]),) * 2 if state is None else state
        return 1 - 1.4 * x**2 + y, 0.3 * x


def test_exponents_of_the_henon_map():
    """lambda_1 = 0.419 (Sprott 2003, appendix A), lambda_1 + lambda_2 = ln 0.3 exactly."""
    inputs = torch.zeros(4000, 1, 1)
    (found,) = exponents(jacobians(Stack([as_layer(Henon())]), inputs, range(50, 4000)))
    assert found[0].item() == pytest.approx(0.419, abs=0.01)
    assert found.sum().item() == pytest.approx(math.log(0.3), abs=1e-9)


@pytest.mark.parametrize("layer", [nn.RNN(2, 12), nn.LSTM(2, 8)], ids=["rnn", "lstm"])
def test_the_largest_exponent_is_the_rate_of_the_flow(layer):
    """A gradient shrinks by 10^-rate a step, and lambda_1 = -rate ln 10."""
    torch.manual_seed(3)
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -0.8, 0.8)
    inputs = torch.randn(400, 3, 2)
    found = exponents(jacobians(Stack([layer]), inputs, range(400)), 1).mean()
    flow = gradient_flow(layer, inputs, lambda out: out[-1].sum(-1))
    s = flow[flow.state == "all"].set_index("lag").log10_norm
    rate = (s[1] - s[400]) / 399
    assert found.item() == pytest.approx(-rate * math.log(10), abs=0.03)


def test_exact_zeros_are_counted_and_left_out():
    """Two of three relu units are dead."""
    layer = RNN(2, 3, nonlinearity="relu")
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.bias_ih_l0[:] = torch.tensor([1.0, -1.0, -1.0])
        layer.weight_hh_l0[0, 0] = 0.5
    said = Lyapunov(window=20)(moment_of(layer))
    assert said["zeros"].tolist() == [0, 4, 4]
    # The first step turns the frame, which 20 steps still show.
    assert said["exponent"][0].item() == pytest.approx(math.log(0.5), abs=0.02)
    assert said["exponent"][1:].isnan().all()


def test_singular_values_of_a_short_product_are_those_of_an_svd():
    draws = torch.Generator().manual_seed(0)
    factors = list(torch.randn(4, 2, 5, 5, generator=draws, dtype=torch.float64))
    product = factors[3] @ factors[2] @ factors[1] @ factors[0]
    expected = torch.linalg.svdvals(product).log10()
    torch.testing.assert_close(log10_singular_values(factors), expected, atol=1e-4, rtol=0)


def test_singular_values_where_an_svd_of_the_product_has_only_rounding_errors():
    """25 steps of an LSTM: the logs' sum must be that of the steps' determinants."""
    torch.manual_seed(0)
    factors = list(jacobians(Stack([nn.LSTM(2, 24)]), torch.randn(25, 1, 2), range(25)))
    exact = sum(torch.linalg.slogdet(factor)[1] for factor in factors).item() / math.log(10)
    assert log10_singular_values(factors).sum().item() == pytest.approx(exact, abs=1e-6)
    product = factors[0]
    for factor in factors[1:]:
        product = factor @ product
    assert torch.linalg.svdvals(product).log10().sum().item() > exact / 2


def test_singular_values_of_a_power_are_exact_far_below_float64():
    scales = torch.tensor([0.9, 1e-3, 1e-12], dtype=torch.float64)
    turn = torch.linalg.qr(
        torch.randn(3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    )[0]
    factors = [(turn @ torch.diag(scales) @ turn.T)[None]] * 40
    found = log10_singular_values(factors)[0]
    torch.testing.assert_close(found, 40 * scales.log10(), atol=1e-3, rtol=0)


def test_directions_that_are_lost_are_minus_infinity_and_not_rounding():
    """A state part that nothing reads, and a relu layer with dead units in its last step."""

    class Unread(nn.Module):
        def __init__(self):
            super().__init__()
            self.mix = nn.Linear(2, 4)

        def forward(self, x, state=None):
            y = x.new_zeros(len(x), 4) if state is None else state[0]
            return torch.tanh(y + self.mix(x)), y * 0.5

    torch.manual_seed(0)
    factors = list(jacobians(Stack([as_layer(Unread())]), torch.randn(6, 2, 2), range(6)))
    assert exponents(factors).isneginf().sum(1).tolist() == [4, 4]
    assert log10_singular_values(factors).isneginf().sum(1).tolist() == [4, 4]
    torch.manual_seed(0)
    each = list(
        jacobians(Stack([nn.RNN(2, 8, nonlinearity="relu")]), torch.randn(9, 1, 2), range(4, 9))
    )
    rank = min(int(torch.linalg.matrix_rank(factor)) for factor in each)
    assert rank < 8
    assert int(log10_singular_values(each).isfinite().sum()) <= rank


@given(st.integers(0, 10_000))
def test_singular_values_that_lie_close_together(seed):
    draws = torch.Generator().manual_seed(seed)
    noise = torch.randn(3, 1, 4, 4, generator=draws, dtype=torch.float64)
    factors = list(torch.eye(4, dtype=torch.float64) + 0.02 * noise)
    expected = torch.linalg.svdvals(factors[2] @ factors[1] @ factors[0]).log10()
    torch.testing.assert_close(log10_singular_values(factors), expected, atol=1e-9, rtol=0)


def test_copy_is_measured_over_its_blanks_only():
    problem, seen = Copy(30), []

    class Watching(nn.GRUCell):
        def forward(self, x, h=None):
            seen.append(x.argmax(-1))
            return super().forward(x, h)

    moment = moment_of(Watching(10, 6), problem)
    SingularValues(steps=[5])(moment)
    assert (seen[-1] == 0).all()  # the last step looked at is a blank
    assert problem.blank_steps == range(10, 39)
    delimiter = moment.batch.inputs[problem.blank_steps.stop].argmax(-1)
    assert (delimiter == 9).all()
    assert Lyapunov()(moment_of(nn.GRU(10, 3), Copy(1))) == {}  # there are none


# --- weights, gates, units -------------------------------------------------------------------


def test_spectral_radius_of_each_recurrent_matrix():
    gru = nn.GRU(2, 4)
    rotation = torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    with torch.no_grad():
        for i, radius in enumerate((0.5, 1.0, 2.0)):
            gru.weight_hh_l0[4 * i : 4 * i + 4] = radius * torch.block_diag(rotation, rotation)
    said = SpectralRadius()(moment_of(gru))
    named = {name: value.item() for name, value in said.items()}
    prefix = "layers.0.weight_hh_l0 "
    assert named == pytest.approx({prefix + "r": 0.5, prefix + "z": 1.0, prefix + "n": 2.0})


def test_spectral_radius_of_a_computed_matrix_and_of_a_cell_that_has_none():
    class Orthogonal(nn.RNNCell):
        def __init__(self, input_size, hidden_size):
            super().__init__(input_size, hidden_size)
            nn.utils.parametrizations.orthogonal(self, "weight_hh")

    (value,) = SpectralRadius()(moment_of(Orthogonal(2, 5))).values()
    assert value.item() == pytest.approx(1.0, abs=1e-5)

    class Plain(nn.Module):
        def forward(self, x, h=None):
            return x if h is None else 0.5 * h + x

    assert SpectralRadius()(moment_of(Plain())) == {}
    assert SpectralRadius()(moment_of(nn.LSTM(2, 6, proj_size=3))) == {}


def test_a_recurrent_matrix_is_known_by_its_own_name():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.recurrent = nn.LSTMCell(2, 2)  # its input matrices are none

        def forward(self, x, state=None):
            return self.recurrent(x, state)

    names = SpectralRadius()(moment_of(Named()))
    assert {name.rpartition(".")[2] for name in names} == {f"weight_hh {g}" for g in "ifgo"}


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (LSTM(2, 4, forget_bias=50.0), {"forget gate > 0.9": 1.0, "forget gate < 0.1": 0.0}),
        (LSTM(2, 4, forget_bias=-500.0), {"forget gate < 0.1": 1.0, "forget gate > 0.9": 0.0}),
    ],
)
def test_saturated_gates(layer, expected):
    said = Saturation()(moment_of(layer))
    assert {name: said[name] for name in expected} == expected


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_gates_are_those_of_the_formulas(name):
    """From a step cell that writes the formulas out and hands out its gates."""

    class Written(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer = layer

        def gates(self, x, state):
            w = self.layer
            h = state[0] if isinstance(state, tuple) else state
            a = x @ w.weight_ih_l0.T + w.bias_ih_l0 + h @ w.weight_hh_l0.T + w.bias_hh_l0
            parts = a.sigmoid().split(w.hidden_size, 1)
            if name == "gru":
                return {"reset gate": parts[0], "update gate": parts[1]}
            return {"input gate": parts[0], "forget gate": parts[1], "output gate": parts[3]}

        def forward(self, x, state=None):
            if state is not None:
                state = tuple(s[None] for s in state) if name == "lstm" else state[None]
            after = self.layer(x[None], state)[1]
            return tuple(part[0] for part in after) if name == "lstm" else after[0]

    torch.manual_seed(0)
    layer = {"lstm": nn.LSTM, "gru": nn.GRU}[name](2, 5)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(4)  # so that some gates shut
    expected = Saturation()(moment_of(Written(layer)))
    assert Saturation()(moment_of(layer)) == pytest.approx(expected)
    assert len(expected) == {"lstm": 6, "gru": 4}[name]


def test_dead_rectifiers_and_flat_tanh_units():
    relu = RNN(2, 4, nonlinearity="relu")
    with torch.no_grad():
        relu.bias_ih_l0[:] = torch.tensor([-50.0, 5.0, 5.0, 5.0])
        relu.weight_hh_l0.zero_()
    assert Saturation()(moment_of(relu)) == {"output dead": 0.25}
    flat = RNN(2, 4)
    with torch.no_grad():
        flat.bias_ih_l0[:] = torch.tensor([-50.0, 50.0, 0.0, 0.0])
        flat.weight_hh_l0.zero_()
        flat.weight_ih_l0.zero_()
        flat.bias_hh_l0.zero_()
    assert Saturation()(moment_of(flat)) == {"output beyond ±0.9": 0.5}


def test_layers_of_a_stack_are_told_apart():
    said = Saturation()(moment_of(Stack([nn.RNN(2, 3), nn.RNN(3, 4)])))
    assert set(said) == {"layer 0, output beyond ±0.9", "layer 1, output beyond ±0.9"}


# --- examples --------------------------------------------------------------------------------


def test_signal_to_noise_against_per_example_gradients_in_float64():
    problem = Adding(12)
    moment = moment_of(nn.GRUCell(2, 5), problem, examples=6)
    said = SignalToNoise()(moment)
    wide = moment.model.double()
    state, zeros = torch.zeros(6, 5, dtype=torch.float64), []
    for x in moment.batch.inputs.double():
        zeros.append(torch.zeros(6, 5, dtype=torch.float64, requires_grad=True))
        state = wide.stack.layers[0].cell(x, state + zeros[-1])
    answers = wide.readout(state)
    losses = (answers - moment.batch.targets[-1].double()).square()
    for name, objective in (("output, anchor 12", answers), ("loss", losses)):
        grads = torch.autograd.grad(objective.sum(), zeros, retain_graph=True)
        for lag in range(1, 13):
            g_Bn = grads[12 - lag]
            mean_n = g_Bn.mean(0)
            noise = (g_Bn - mean_n).square().sum(1).mean().sqrt()
            assert said[name][lag] == pytest.approx(
                float((mean_n.norm() / noise).log10()), abs=1e-4
            )
    wide.float()


def test_signal_to_noise_in_any_range():
    """h = 0.1 h + x at lag 400: every example's gradient is 1e-400, and all agree."""

    class Linear(nn.Module):
        def forward(self, x, h=None):
            return (torch.zeros_like(x) if h is None else h) * 0.1 + x

    said = SignalToNoise(boundaries=4)(moment_of(Linear(), Adding(400), examples=3))
    assert said["output, anchor 400"][400] > 5  # noise: rounding of 400 steps


class Exact(nn.Module):
    """Adds what is marked: the answer, and so the credit, is exact."""

    def forward(self, x, total=None):
        now = x[:, :1] * x[:, 1:]
        return now if total is None else total + now


@pytest.mark.parametrize("factor", [1.0, 0.25])
def test_credit_of_a_cell_that_adds(factor):
    moment = moment_of(Exact(), Adding(30))
    with torch.no_grad():
        moment.model.readout.weight.fill_(factor)
    assert Credit()(moment) == {"at marked steps": factor, "size at unmarked steps": 0.0}


def test_credit_for_multiplication_is_relative_to_the_other_factor():
    class Multiplication(Adding):
        def value_gradient(self, batch):
            values_TB, marked_TB = batch.inputs[..., 0], batch.inputs[..., 1] > 0
            product_B = torch.where(marked_TB, values_TB, 1.0).prod(0)
            return torch.where(marked_TB, product_B / values_TB, 0.0)

    class Product(nn.Module):
        def forward(self, x, state=None):
            before = torch.zeros_like(x[:, :1]) if state is None else state
            value, mark = x[:, :1], x[:, 1:]
            first = before == 0  # the state is 0 until the first mark
            return torch.where(mark > 0, torch.where(first, value, before * value), before)

    moment = moment_of(Product(), Multiplication(30))
    with torch.no_grad():
        moment.model.readout.weight.fill_(1.0)
    said = Credit()(moment)
    assert said["at marked steps"] == pytest.approx(1.0, abs=1e-6)
    assert said["size at unmarked steps"] == 0.0


def test_credit_against_finite_differences():
    moment = moment_of(nn.GRU(2, 6), Adding(9), examples=3)
    wide, inputs = moment.model.double(), moment.batch.inputs.double()
    numbers = torch.zeros(9, 3)
    for t in range(9):
        for b in range(3):
            up, down = inputs.clone(), inputs.clone()
            up[t, b, 0] += 1e-5
            down[t, b, 0] -= 1e-5
            y = [wide.readout(wide.stack(x, None)[0][-1])[b, 0] for x in (up, down)]
            numbers[t, b] = (y[0] - y[1]).detach() / 2e-5
    marked = inputs[..., 1] > 0
    wide.float()
    said = Credit()(moment)
    assert said["at marked steps"] == pytest.approx(numbers[marked].mean().item(), rel=1e-3)
    expected = numbers[~marked].abs().mean().item()
    assert said["size at unmarked steps"] == pytest.approx(expected, rel=1e-3)


def test_value_gradient_of_hochreiters_form_is_that_of_its_target():
    problem = Adding(20, protocol="hochreiter1997")
    batch = problem.sample(200, torch.Generator().manual_seed(0))
    gradient_TB = problem.value_gradient(batch)
    answer_B = 0.5 + (gradient_TB * batch.inputs[..., 0]).sum(0)
    torch.testing.assert_close(answer_B, batch.targets.sum((0, 2)))


# --- in a trial ------------------------------------------------------------------------------

CARD = """
name = "tiny"
lengths = [8]
seeds = 1
cells = ["gru"]
[problem]
name = "adding"
[training]
steps = 40
batch_size = 16
hidden_size = 4
learning_rate = 1e-2
clip_norm = 0.01
eval_every = 20
eval_size = 20
[recording]
every = 20
boundaries = 4
diagnostics = [
    "spectral_radius", "gradient_norm",
    { use = "spectral_radius", label = "seldom", every = 25 },
    { use = "gradient_norm", label = "now and then", every = 15 },
]
"""


def run(card=CARD, **changes):
    return training.run(resolve(cards.parse(card, "tiny.toml", changes)).trials()[0])


def test_each_diagnostic_has_its_schedule():
    table = run().diagnostics
    steps = table.groupby("diagnostic").step.agg(lambda s: sorted(set(s)))
    assert steps["spectral_radius"] == [0, 10, 20, 30, 40]  # where the flow is recorded
    assert steps["seldom"] == [0, 25, 40]  # its own, and the end
    assert steps["gradient_norm"] == list(range(1, 41))
    assert steps["now and then"] == [15, 30]
    assert not table.duplicated(["step", "diagnostic", "quantity", "index"]).any()


def test_the_gradient_norm_of_every_step_is_the_one_before_clipping():
    outcome = run()
    table = outcome.diagnostics.query("diagnostic == 'gradient_norm'")
    total = table[table.quantity == "all"].set_index("step").value
    mean = total[total.index <= 20].mean()
    assert outcome.curves.set_index("step").gradient_norm[20] == pytest.approx(mean, rel=1e-5)
    assert total.min() > 0.01
    each = table[table.quantity != "all"].groupby("step").value.agg(lambda x: (x**2).sum() ** 0.5)
    np.testing.assert_allclose(each, total, rtol=1e-5)


def test_diagnostics_change_no_number_of_the_trial():
    names = ["lyapunov", "singular_values", "saturation", "signal_to_noise", "credit"]
    with_all = run(**{"recording.diagnostics": names})
    without = run(**{"recording.diagnostics": []})
    pd.testing.assert_frame_equal(with_all.curves, without.curves, check_exact=True)
    pd.testing.assert_frame_equal(with_all.flow, without.flow, check_exact=True)
    assert set(with_all.diagnostics.diagnostic) == set(names)
    assert not len(without.diagnostics)


OWN = """
class Widest:
    '''The largest entry of the readout.'''

    def __init__(self, power=1):
        self.power = power

    def __call__(self, moment):
        return {"largest": moment.model.readout.weight.abs().max() ** self.power}


class Talks:
    def __call__(self, moment):
        return "nothing"
"""


def test_somebodys_own_diagnostic(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    card = tmp_path / "card.toml"
    own = '[{ use = "own.py:Widest", power = 2 }]'
    head, _, _ = CARD.partition("diagnostics = [")
    card.write_text(f"{head}diagnostics = {own}\n")
    table = training.run(resolve(cards.load(str(card))).trials()[0]).diagnostics
    assert set(table.diagnostic) == {"Widest"}
    assert (table.quantity == "largest").all()
    assert sorted(table.step) == [0, 10, 20, 30, 40]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("lyapunow", "did you mean 'lyapunov'"),
        ({"use": "credit", "depth": 3}, "unknown option depth"),
        ({"use": "lyapunov", "window": 0}, "whole number, 1 or more"),
        ({"use": "lyapunov", "exponents": "some"}, "whole number, 1 or more"),
        ({"use": "singular_values", "steps": []}, "a list"),
        ({"use": "lyapunov", "every": 0}, "every"),
    ],
)
def test_what_can_not_be_is_said_before_anything_runs(asked, words):
    def check():
        task = cards.parse(CARD, "c", {"recording.diagnostics": [asked]})
        checked(task, task.cells[0])

    with pytest.raises(InputError, match=words):
        check()


def test_credit_is_refused_where_nothing_is_to_be_credited():
    task = resolve(cards.parse(CARD, "c", {"recording.diagnostics": ["credit"]}))
    asked = task.recording.diagnostics
    with pytest.raises(InputError, match="value_gradient"):
        instruments.make(asked, Copy(5))


def test_a_diagnostic_that_returns_something_else_is_named(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    with pytest.raises(TypeError, match="Talks returned str"):
        run(**{"recording.diagnostics": [f"{tmp_path}/own.py:Talks"]})


def test_gradient_norm_sees_each_parameter():
    moment = moment_of(nn.GRU(2, 3))
    moment.model.readout(moment.model.stack(moment.batch.inputs, None)[0]).sum().backward()
    said = GradientNorm()(moment)
    for name, parameter in moment.model.named_parameters():
        assert said[name].item() == pytest.approx(parameter.grad.norm().item())
