"""The measure, against closed forms and independent float64 computations."""

import copy
import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import seqbench
from seqbench.measure.flow import gradient_flow, probe_flow
from seqbench.measure.probe import cotangents, wanted_lags
from seqbench.measure.walk import SEGMENT, cut, log10_norm, log10_root_sum_square
from seqbench.models.recurrent import Model, Stack, Unroll
from seqbench.problems.adding import Adding
from seqbench.problems.copy import Copy


class Linear(nn.Module):
    """h = W h + x: |Gamma_k| is known exactly when W is a multiple of a rotation."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x, h=None):
        h = torch.zeros_like(x) if h is None else h
        return h @ self.weight.T + x


def last_sum(outputs):
    return outputs[-1].sum(-1)


def column(table, state="all", name="log10_norm", layer=0):
    rows = table[(table.state == state) & (table.layer == layer)].sort_values("lag")
    return rows.lag.to_numpy(), rows[name].to_numpy()


@pytest.mark.parametrize("factor", [0.1, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("every", [1, 7])
def test_scalar_linear_cell_gives_its_power_of_lambda(factor, every):
    """Down to 1e-2000 and up to 1e954; the forward pass of the latter overflows, harmlessly."""
    steps = 2000
    cell = Linear(torch.tensor([[factor]]))
    lags, norms = column(gradient_flow(cell, torch.randn(steps, 2, 1), last_sum, every=every))
    exact = math.log10(float(torch.tensor(factor)))  # the cell's own float32 value
    np.testing.assert_allclose(norms - norms[0], lags * exact, atol=1e-4)
    assert lags[-1] == steps


@pytest.mark.parametrize("factor", [0.1, 3.0])
def test_losses_injected_along_5000_steps(factor):
    """A loss at every step: gamma_t is a geometric sum, dominated by its last or its first term."""
    steps = 5000
    inputs = torch.randn(steps, 2, 1)
    cell = Linear(torch.tensor([[factor]]))
    lags, norms = column(gradient_flow(cell, inputs, lambda out: out.sum((0, 2)), every=100))
    lags, norms, factor = lags[1:], norms[1:], float(torch.tensor(factor))
    if factor < 1:
        expected = np.log10(factor * (1 - factor**lags) / (1 - factor))
    else:
        expected = lags * math.log10(factor) + np.log10(
            (1 - factor ** -lags.astype(float)) / (1 - 1 / factor)
        )
    np.testing.assert_allclose(norms, expected, atol=1e-4)
    lags, norms = column(gradient_flow(cell, inputs, last_sum, every=100))
    np.testing.assert_allclose(norms, lags * math.log10(factor), atol=1e-4)


def test_a_rotation_keeps_the_norm_and_direction_does_not_matter():
    angle = 0.3
    rotation = torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    table = gradient_flow(Linear(0.9 * rotation), torch.randn(500, 3, 2), last_sum)
    lags, norms = column(table)
    np.testing.assert_allclose(norms - norms[0], lags * math.log10(0.9), atol=1e-4)


def detached_float64_loop(step, state, inputs_TBI, direct_TBH):
    """The oracle: a float64 loop with (h_t, c_t) detached at every step, chained by hand.

    Returns log10 norms, {part: [T, B]}, at the boundary *before* each step.
    """
    leaves, outputs = [], []
    for x in inputs_TBI:
        leaf = tuple(part.detach().requires_grad_() for part in state)
        state = step(x, leaf)
        leaves.append(leaf)
        outputs.append(state)
    grad = tuple(torch.zeros_like(part) for part in state)
    rows = []
    for leaf, after, direct in reversed(list(zip(leaves, outputs, direct_TBH, strict=True))):
        arriving = (grad[0] + direct, *grad[1:])
        grad = torch.autograd.grad(after, leaf, arriving)
        rows.append([part.norm(dim=1).log10() for part in grad])
    return torch.stack([torch.stack(row) for row in rows[::-1]])  # [T, parts, B]


@pytest.mark.parametrize("loss_steps", [[-1], [5, 20, 39], list(range(40))])
def test_lstm_h_and_c_against_a_float64_loop(loss_steps):
    torch.manual_seed(1)
    T, B, H = 40, 4, 6
    cell = nn.LSTMCell(2, H)
    inputs, weights = torch.randn(T, B, 2), torch.zeros(T, B, H)
    weights[loss_steps] = torch.randn(len(loss_steps), B, H)
    table = gradient_flow(cell, inputs, lambda out: (out * weights).sum((0, 2)))
    wide = nn.LSTMCell(2, H).double()
    wide.load_state_dict(cell.state_dict())
    zeros = torch.zeros(B, H, dtype=torch.float64)
    oracle_TPB = detached_float64_loop(wide, (zeros, zeros), inputs.double(), weights.double())
    for part, name in enumerate(["h", "c"]):
        lags, norms = column(table, name)
        expected = oracle_TPB[:, part].mean(1).detach().numpy()[T - lags[1:]]
        np.testing.assert_allclose(norms[1:], expected, atol=1e-4)
    joint = 0.5 * (10 ** (2 * oracle_TPB)).sum(1).log10()
    lags, norms = column(table, "all")
    np.testing.assert_allclose(norms[1:], joint.mean(1).detach().numpy()[T - lags[1:]], atol=1e-4)


def test_total_gradient_is_that_of_zeros_added_to_the_state():
    """The second oracle of the definition, in one float64 graph, at lags that float32 can't hold:
    a GRU whose gradient is at 1e-60 after 400 steps."""
    torch.manual_seed(0)
    T, B, H = 400, 2, 8
    cell = nn.GRUCell(1, H)
    inputs = torch.randn(T, B, 1)
    table = gradient_flow(cell, inputs, last_sum)
    wide = nn.GRUCell(1, H).double()
    wide.load_state_dict(cell.state_dict())
    state, zeros = torch.zeros(B, H, dtype=torch.float64), []
    for x in inputs.double():
        zeros.append(torch.zeros(B, H, dtype=torch.float64, requires_grad=True))
        state = wide(x, state + zeros[-1])
    state.sum().backward()
    expected = np.array([zero.grad.norm(dim=1).log10().mean() for zero in zeros])
    lags, norms = column(table)
    np.testing.assert_allclose(norms[1:], expected[T - lags[1:]], atol=1e-3)
    assert norms[-1] < -45, "the test is about lags where float32 says 0"
    assert (table[table.state == "h"].n_zero == 0).all()


def test_fused_layer_and_unrolled_cell_agree():
    torch.manual_seed(0)
    layer, inputs = nn.LSTM(2, 7), torch.randn(150, 3, 2)
    cell = nn.LSTMCell(2, 7)
    cell.load_state_dict({name.removesuffix("_l0"): p for name, p in layer.state_dict().items()})
    for state in ("h", "c", "all"):
        one, other = (column(gradient_flow(x, inputs, last_sum), state)[1] for x in (layer, cell))
        np.testing.assert_allclose(one, other, atol=1e-3)


def test_retain_grad_on_a_fused_layer_is_not_the_total():
    """The trap: it says exactly 0 before the last step, a fake vanishing gradient."""
    torch.manual_seed(0)
    layer, inputs = nn.LSTM(2, 7), torch.randn(20, 3, 2)
    outputs, _ = layer(inputs)
    outputs.retain_grad()
    last_sum(outputs).sum().backward()
    assert (outputs.grad[:-1] == 0).all()
    assert np.isfinite(column(gradient_flow(layer, inputs, last_sum))[1]).all()


def test_dead_units_are_true_zeros_and_counted():
    """A relu that is off for half of the examples: exact zeros, reported as what they are."""

    class Relu(nn.Module):
        def forward(self, x, h=None):
            return torch.relu((torch.zeros_like(x) if h is None else h) + x)

    inputs = torch.ones(30, 4, 1)
    inputs[10, :2] = -100.0
    table = gradient_flow(Relu(), inputs, last_sum)
    rows = table[table.state == "all"].set_index("lag")
    assert rows.n_zero[19] == 0
    assert rows.n_zero[20] == 2
    assert rows.log10_norm[30] == pytest.approx(0.0)  # of those that are not zero
    assert rows.log10_p10[30] == -math.inf
    assert rows.n_nonfinite.sum() == 0


def test_parts_of_a_state_may_differ_by_any_number_of_decades():
    """a shrinks by 0.1 a step, b stays: after 1,000 steps they are 1,000 decades apart."""

    class Two(nn.Module):
        def forward(self, x, state=None):
            a, b = (torch.zeros_like(x),) * 2 if state is None else state[1:]
            a, b = 0.1 * a + x, b + x
            return a + b, a, b

    table = gradient_flow(Two(), torch.randn(1000, 2, 1), last_sum, every=50)
    lags, norms = column(table, "c")
    tenth = math.log10(float(torch.tensor(0.1)))
    np.testing.assert_allclose(norms[1:], lags[1:] * tenth, atol=1e-4)
    np.testing.assert_allclose(column(table, "s2")[1][1:], 0.0, atol=1e-4)
    np.testing.assert_allclose(column(table)[1][1:], 0.0, atol=1e-4)


def test_layers_of_a_stack_may_differ_by_any_number_of_decades():
    slow = nn.RNN(1, 1, nonlinearity="relu")
    fast = nn.RNN(1, 1, nonlinearity="relu")
    for layer, factor in ((slow, 1.0), (fast, 0.1)):
        for parameter in layer.parameters():
            nn.init.constant_(parameter, 0.0)
        nn.init.constant_(layer.weight_hh_l0, factor)
        nn.init.constant_(layer.weight_ih_l0, 1.0)
    table = gradient_flow(Stack([slow, fast]), torch.rand(600, 2, 1), last_sum, every=100)
    lags, norms = column(table, layer=1)
    np.testing.assert_allclose(norms, lags * math.log10(float(torch.tensor(0.1))), atol=1e-4)
    assert abs(column(table, layer=0)[1][-1]) < 0.1  # 1/0.9 from the fast layer


@pytest.mark.parametrize("factor", [3e-5 + 4e-5j, 0.3 - 0.4j])
def test_a_complex_cell_in_any_range(factor):
    class Spiral(nn.Module):
        def __init__(self):
            super().__init__()
            self.factor = nn.Parameter(torch.tensor(factor, dtype=torch.complex64))

        def forward(self, x, state=None):
            z = x.new_zeros(len(x), 1) + 0j if state is None else state[1]
            z = self.factor * z + x
            return z.real, z

    lags, norms = column(gradient_flow(Spiral(), torch.randn(60, 2, 1), last_sum), "c")
    # |factor|^k; the answer is z's real part, and a real gradient stays of that size
    np.testing.assert_allclose(norms[1:], lags[1:] * math.log10(abs(factor)), atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened(dtype):
    cell = Linear(torch.tensor([[0.25]], dtype=dtype))
    lags, norms = column(gradient_flow(cell, torch.randn(100, 2, 1).to(dtype), last_sum))
    np.testing.assert_allclose(norms, lags * math.log10(0.25), atol=1e-4)


def test_saturated_units_are_measured_in_float64():
    """tanh at 10: 1 - tanh^2 = sech^2 = 8.2e-9, where float32 says that tanh is 1 and nothing
    comes back."""

    class Saturated(nn.Module):
        def forward(self, x, h=None):
            return torch.tanh((torch.zeros_like(x) if h is None else h) + x)

    inputs = torch.full((50, 2, 1), 9.0)
    inputs[0] = 10.0  # the state before it is 0, not 1
    table = gradient_flow(Saturated(), inputs, last_sum)
    lags, norms = column(table)
    np.testing.assert_allclose(norms, -2 * lags * math.log10(math.cosh(10)), rtol=1e-7)
    assert table.attrs["precision"] == "float64"


class InFloat32(nn.Module):
    """Rounds its state, whatever it is given."""

    def __init__(self, input_size=1, hidden_size=1):
        super().__init__()
        self.factor = nn.Parameter(torch.full((hidden_size,), 0.1))
        self.width = hidden_size

    def forward(self, x, h=None):
        h = x.new_zeros(len(x), self.width) if h is None else h
        return (h * self.factor + x[:, :1]).float()


def test_a_cell_that_runs_in_float32_alone_is_measured_in_that_and_it_is_said():
    """In the same range: down to 1e-2000, and where one step takes 30 decades."""
    cell = InFloat32()
    table = gradient_flow(cell, torch.randn(2000, 2, 1), last_sum)
    lags, norms = column(table)
    np.testing.assert_allclose(norms, lags * math.log10(float(torch.tensor(0.1))), atol=1e-4)
    assert table.attrs["precision"] == "float32"
    cell.factor.data.fill_(1e-30)
    lags, norms = column(gradient_flow(cell, torch.randn(30, 2, 1), last_sum))
    np.testing.assert_allclose(norms, lags * math.log10(float(torch.tensor(1e-30))), atol=1e-4)


def test_a_chaotic_cell_is_followed_along_its_float64_trajectory():
    """The logistic map at 4 loses a bit a step: after 60 steps float32 is somewhere else."""

    class Logistic(nn.Module):
        def forward(self, x, h=None):
            h = torch.zeros_like(x) if h is None else h
            return 4 * h * (1 - h) + x

    inputs = torch.zeros(100, 3, 1)
    inputs[0] = torch.tensor([0.1, 0.2, 0.3])[:, None]
    _, norms = column(gradient_flow(Logistic(), inputs, last_sum))
    h, logs = inputs[0].double().squeeze(1), []
    for _ in range(99):
        logs.append(torch.log10((4 - 8 * h).abs()))
        h = 4 * h * (1 - h)
    expected = torch.stack(logs).flip(0).cumsum(0).mean(1)
    np.testing.assert_allclose(norms[1:-1], expected.numpy(), atol=1e-9)


def test_in_inference_mode_and_with_another_default_device():
    layer, inputs = nn.GRU(2, 3), torch.randn(6, 2, 2)
    expected = gradient_flow(layer, inputs, last_sum)
    with torch.inference_mode():
        pd.testing.assert_frame_equal(gradient_flow(layer, inputs, last_sum), expected)
    with torch.device("meta"):
        pd.testing.assert_frame_equal(gradient_flow(layer, inputs, last_sum), expected)


def test_an_infinite_jacobian_is_counted_as_not_finite():
    class Root(nn.Module):
        def forward(self, x, h=None):
            return torch.sqrt(torch.zeros_like(x) if h is None else h) + x

    rows = gradient_flow(Root(), torch.zeros(3, 2, 1), last_sum)
    assert (rows[(rows.state == "all") & (rows.lag == 3)].n_nonfinite == 2).all()


def test_false_zeros_inside_a_segment_are_recomputed():
    """A factor of 1e-36 a step underflows within the ten steps of a segment."""
    cell = Linear(torch.tensor([[1e-8]]))
    lags, norms = column(gradient_flow(cell, torch.randn(200, 2, 1), last_sum, every=100))
    np.testing.assert_allclose(norms, lags * math.log10(float(torch.tensor(1e-8))), atol=1e-4)
    cell = Linear(torch.tensor([[1e-36]]))
    lags, norms = column(gradient_flow(cell, torch.randn(200, 2, 1), last_sum, every=100))
    np.testing.assert_allclose(norms, lags * math.log10(float(torch.tensor(1e-36))), atol=1e-4)


def test_layers_of_a_stack_have_rows_of_their_own():
    torch.manual_seed(0)
    inputs = torch.randn(12, 3, 2)
    fused = nn.GRU(2, 5, num_layers=2)
    table = gradient_flow(fused, inputs, last_sum)
    assert sorted(table.layer.unique()) == [0, 1]
    first, second = nn.GRU(2, 5), nn.GRU(5, 5)
    weights = fused.state_dict()
    first.load_state_dict({n: weights[n] for n in first.state_dict()})
    second.load_state_dict({n: weights[n.replace("_l0", "_l1")] for n in second.state_dict()})
    stacked = gradient_flow(Stack([first, second]), inputs, last_sum)
    for layer in (0, 1):
        np.testing.assert_allclose(
            column(table, layer=layer)[1][1:], column(stacked, layer=layer)[1][1:], atol=1e-4
        )


def test_state_parts_of_other_widths():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.mix = nn.Linear(2 + 3 + 1, 3)

        def forward(self, x, state=None):
            h, s = state or (x.new_zeros(len(x), 3), x.new_zeros(len(x), 1))
            h = torch.tanh(self.mix(torch.cat([x, h, s], 1)))
            return h, s * 0.5 + h.mean(1, keepdim=True), h.unsqueeze(2) * h.unsqueeze(1)

    class Padded(Odd):
        def forward(self, x, state=None):
            return super().forward(x, state and state[:2])

    table = gradient_flow(Padded(), torch.randn(15, 4, 2), last_sum)
    assert set(table.state) == {"h", "c", "s2", "all"}
    assert (table[(table.state == "s2")].n_zero == 4).all()  # nothing reads it


def test_the_module_is_left_as_it_was():
    layer = nn.LSTM(2, 5, num_layers=2, dropout=0.5)
    layer.train()
    layer.weight_ih_l0.requires_grad_(False)
    layer.bias_hh_l0.grad = torch.ones_like(layer.bias_hh_l0)
    before, random = [p.clone() for p in layer.parameters()], torch.get_rng_state()
    gradient_flow(layer, torch.randn(8, 2, 2, generator=torch.Generator()), last_sum)
    assert layer.training
    assert not layer.weight_ih_l0.requires_grad
    assert (layer.bias_hh_l0.grad == 1).all()
    assert layer.weight_hh_l0.grad is None
    assert all(torch.equal(p, q) for p, q in zip(layer.parameters(), before, strict=True))
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize(
    ("inputs", "loss", "every", "words"),
    [
        (torch.zeros(5, 2), last_sum, 1, r"\[T, B, I\]"),
        (torch.zeros(5, 2, 2), lambda out: out.sum(), 1, "one value an example"),
        (torch.zeros(5, 2, 2), last_sum, 0, "1 or more"),
        (torch.zeros(5, 2, 2), lambda out: torch.zeros(2), 1, "does not depend"),
        (torch.zeros(5, 2, 2), lambda out: 3.0, 1, "one value an example"),
    ],
)
def test_wrong_arguments_say_what_is_allowed(inputs, loss, every, words):
    with pytest.raises(ValueError, match=words):
        gradient_flow(nn.GRU(2, 3), inputs, loss, every=every)


def test_a_whole_sequence_layer_that_is_taken_for_a_cell_is_told_how_to_say_so():
    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.LSTM(2, 3)

        def forward(self, x, state=None):
            return self.inner(x, state)

    with pytest.raises(ValueError, match="kind='layer'"):
        gradient_flow(Wrapped(), torch.zeros(5, 2, 2), last_sum)
    assert len(gradient_flow(Wrapped(), torch.randn(5, 2, 2), last_sum, kind="layer"))
    with pytest.raises(ValueError, match="allowed: cell, layer"):
        gradient_flow(Wrapped(), torch.zeros(5, 2, 2), last_sum, kind="lyer")


def test_a_cell_that_does_not_start_from_zeros_is_refused():
    class Learned(nn.Module):
        def forward(self, x, h=None):
            return (torch.ones_like(x) if h is None else h) * 0.5 + x

    with pytest.raises(ValueError, match="state of zeros"):
        gradient_flow(Learned(), torch.zeros(5, 2, 2), last_sum)


class MixesState(nn.GRUCell):
    def forward(self, x, h=None):
        return super().forward(x, None if h is None else h - h.mean(0))


class DropsState(nn.GRUCell):
    def forward(self, x, h=None):
        return super().forward(x, None if h is None else nn.functional.dropout(h, 0.5, True))


class CountsSteps(nn.GRUCell):
    seen = 0

    def forward(self, x, h=None):
        self.seen += 1
        return super().forward(x, h) / self.seen


@pytest.mark.parametrize(
    ("cell", "words"),
    [(MixesState, "alone in its batch"), (DropsState, "run twice"), (CountsSteps, "run twice")],
)
def test_what_a_cell_does_to_its_state_only_is_seen_too(cell, words):
    with pytest.raises(ValueError, match=words):
        gradient_flow(cell(2, 3), torch.randn(5, 4, 2), last_sum)


def test_buffers_are_left_as_they_were():
    class Counting(nn.GRUCell):
        def __init__(self, *sizes):
            super().__init__(*sizes)
            self.register_buffer("seen", torch.zeros(()))

        def forward(self, x, h=None):
            self.seen += 1
            return super().forward(x, h)

    cell = Counting(2, 3)
    gradient_flow(cell, torch.randn(5, 4, 2), last_sum)
    assert cell.seen == 0


def test_hooks_see_the_forward_pass_and_stay():
    layer, calls = nn.LSTM(2, 5), []
    handle = layer.register_forward_hook(lambda *_: calls.append("forward"))
    table = gradient_flow(layer, torch.randn(8, 2, 2), last_sum)
    assert calls
    assert len(layer._forward_hooks) == 1
    handle.remove()
    assert len(table)


# --- on a probe batch -----------------------------------------------------------------------


def make_model(problem, layer):
    torch.manual_seed(0)
    return Model(Stack([layer]), nn.Linear(6, problem.output_size))


def test_output_flow_of_copy_from_both_anchors_against_plain_autograd():
    """The root mean square over the cotangents, each from each anchor, in one float64 graph."""
    problem = Copy(5)
    model = make_model(problem, Unroll(nn.GRUCell(10, 6)))
    draws = torch.Generator().manual_seed(0)
    batch = problem.sample(3, draws)
    u_CO = cotangents(9, draws)
    table = probe_flow(model, problem, batch, u_CO, "all")
    wide = copy.deepcopy(model).double()
    state, zeros, outputs = torch.zeros(3, 6, dtype=torch.float64), [], []
    for x in batch.inputs.double():
        zeros.append(torch.zeros(3, 6, dtype=torch.float64, requires_grad=True))
        state = wide.stack.layers[0].cell(x, state + zeros[-1])
        outputs.append(wide.readout(state))
    for anchor in (16, 25):
        squares = 0
        for u in u_CO.double():
            grads = torch.autograd.grad(
                (outputs[anchor - 1] @ u).sum(), zeros, retain_graph=True, allow_unused=True
            )
            squares = squares + torch.stack([(g**2).sum(1) for g in grads[:anchor]])
        expected = 0.5 * (squares / len(u_CO)).log10().mean(1)
        rows = table[(table.source == "output") & (table.anchor == anchor) & (table.state == "h")]
        rows = rows[rows.lag > 0]
        assert sorted(rows.lag) == list(range(1, anchor + 1))
        np.testing.assert_allclose(rows.log10_norm, expected.numpy()[rows.time], atol=1e-4)


def test_loss_flow_is_each_examples_own_loss():
    problem = Copy(5)
    model = make_model(problem, nn.LSTM(10, 6))
    batch = problem.sample(3, torch.Generator().manual_seed(0))
    table = probe_flow(model, problem, batch, cotangents(9, torch.Generator()), "all")
    weights = batch.loss_weights()

    def loss(outputs):
        return (problem.loss(model.readout(outputs), batch.targets) * weights).sum(0)

    own = gradient_flow(model.stack, batch.inputs, loss)
    for state in ("h", "c", "all"):
        rows = table[(table.source == "loss") & (table.state == state)]
        np.testing.assert_allclose(rows.log10_norm, column(own, state)[1], atol=1e-4)


def test_a_trained_model_against_an_independent_float64_loop():
    """An LSTM that has begun to learn copy: loss flow through its readout, h and c."""
    problem = Copy(12)
    model = make_model(problem, nn.LSTM(10, 6))
    draws = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        batch = problem.sample(20, draws)
        outputs = model.readout(model.stack(batch.inputs, None)[0])
        optimizer.zero_grad()
        problem.loss(outputs, batch.targets).mean().backward()
        optimizer.step()
    batch = problem.sample(4, draws)

    def loss(outputs):
        return problem.loss(outputs, batch.targets).mean(0)

    table = gradient_flow(model, batch.inputs, loss)
    wide, cell = copy.deepcopy(model).double(), nn.LSTMCell(10, 6).double()
    weights = wide.stack.layers[0].state_dict()
    cell.load_state_dict({name.removesuffix("_l0"): p for name, p in weights.items()})
    outputs = wide.stack(batch.inputs.double(), None)[0].detach().requires_grad_()
    direct = torch.autograd.grad(loss(wide.readout(outputs)).sum(), outputs)[0]
    zeros = torch.zeros(4, 6, dtype=torch.float64)
    oracle_TPB = detached_float64_loop(cell, (zeros, zeros), batch.inputs.double(), direct)
    for part, name in enumerate(["h", "c"]):
        lags, norms = column(table, name)
        expected = oracle_TPB[:, part].mean(1).detach().numpy()[32 - lags[1:]]
        np.testing.assert_allclose(norms[1:], expected, atol=1e-4)


def test_anchors_of_their_own_are_aligned_by_lag():
    """hochreiter1997: sequences end at different steps; each example's lags count from its end."""
    problem = Adding(20, protocol="hochreiter1997")
    model = make_model(problem, nn.GRU(2, 6))
    batch = problem.sample(5, torch.Generator().manual_seed(3))
    ends = batch.last_scored_step()
    assert len(ends.unique()) > 1
    table = probe_flow(model, problem, batch, torch.ones(1, 1), "all")
    rows = table[(table.source == "output") & (table.state == "all")].set_index("lag")
    each = []
    for b, end in enumerate(ends.tolist()):
        one = gradient_flow(
            model.stack, batch.inputs[:end, b : b + 1], lambda out: model.readout(out[-1])[:, 0]
        )
        each.append(column(one)[1][: len(rows)])
    np.testing.assert_allclose(rows.log10_norm, np.mean(each, 0), atol=1e-4)
    assert rows.index.max() == ends.min()
    assert (rows.anchor == ends.max().item()).all()


def test_flow_does_not_touch_the_training_gradients():
    problem = Adding(10)
    model = make_model(problem, nn.GRU(2, 6))
    batch = problem.sample(5, torch.Generator())
    probe_flow(model, problem, batch, torch.ones(1, 1), 4)
    assert all(p.grad is None for p in model.parameters())
    assert model.training


# --- pieces ---------------------------------------------------------------------------------


def test_cotangents_are_orthonormal_and_ignore_what_a_softmax_ignores():
    u_CO = cotangents(9, torch.Generator().manual_seed(0))
    assert u_CO.shape == (4, 9)
    torch.testing.assert_close(u_CO @ u_CO.T, torch.eye(4), atol=1e-6, rtol=0)
    torch.testing.assert_close(u_CO.sum(1), torch.zeros(4), atol=1e-6, rtol=0)
    assert cotangents(2, torch.Generator()).shape == (1, 2)


def test_wanted_lags():
    assert wanted_lags(5, 64) == [0, 1, 2, 3, 4, 5]
    assert wanted_lags(100, "all") == list(range(101))
    lags = wanted_lags(400, 8)
    assert lags[:11] == list(range(11))
    assert lags[-1] == 400
    assert len(lags) == 11 + 8


def test_cut_is_short_enough_and_has_all_times():
    edges = cut({3, 57, 58}, 80)
    assert edges[0] == 0
    assert edges[-1] == 80
    assert {3, 57, 58} <= set(edges)
    assert max(b - a for a, b in pairwise(edges)) <= SEGMENT


def test_norms_in_any_range():
    tiny = torch.tensor([[3e-200, 4e-200], [0.0, 0.0]], dtype=torch.float64)
    assert log10_norm(tiny).tolist() == pytest.approx([math.log10(5e-200), -math.inf])
    logs = torch.tensor([[-3000.0, -math.inf], [-3000.0, -math.inf]], dtype=torch.float64)
    expected = [-3000 + math.log10(math.sqrt(2)), -math.inf]
    assert log10_root_sum_square(logs).tolist() == pytest.approx(expected)


def test_public_name():
    assert seqbench.gradient_flow is gradient_flow
