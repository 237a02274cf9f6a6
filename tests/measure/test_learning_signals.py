"""Components, sensitivity, condition number, clipped steps: against independent figures."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from measure.moments import moment_of
from torch import nn

from seqbench import InputError
from seqbench.card import task as cards
from seqbench.cells.lstm import LSTM
from seqbench.measure.diagnostics.bound import FlowBound
from seqbench.measure.diagnostics.clipping import ClippedSteps
from seqbench.measure.diagnostics.components import TemporalComponents
from seqbench.measure.diagnostics.conditioning import ConditionNumber
from seqbench.measure.diagnostics.moment import Moment
from seqbench.measure.diagnostics.sensitivity import Sensitivity
from seqbench.problems.adding import Adding
from seqbench.problems.copy import Copy
from seqbench.sweep.check import resolve
from seqbench.training import loop as training


class Leaky(nn.Module):
    """h' = a h + b x, with a and b to be learned."""

    def __init__(self, a=0.5, b=1.0):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.tensor([a])), nn.Parameter(torch.tensor([b]))

    def forward(self, x, h=None):
        now = self.b * x[:, :1]
        return now if h is None else self.a * h + now


# --- temporal components ----------------------------------------------------------------------


def by_hand(moment):
    """Each step's part of the gradient: as many copies of the parameters as there are steps."""
    cell = moment.model.stack.layers[0].cell.double()
    readout, batch = moment.model.readout.double(), moment.batch
    copies = [
        {name: p.detach().clone().requires_grad_() for name, p in cell.named_parameters()}
        for _ in batch.inputs
    ]
    state, losses = None, 0.0
    weights_TB = batch.loss_weights().double()
    for t, x_BI in enumerate(batch.inputs.double()):
        arguments = (x_BI,) if state is None else (x_BI, state)
        state = torch.func.functional_call(cell, copies[t], arguments)
        output = state if isinstance(state, torch.Tensor) else state[0]
        for b in (weights_TB[t] > 0).nonzero().flatten().tolist():
            target = batch.targets[t : t + 1, b : b + 1]
            target = target.double() if target.is_floating_point() else target
            loss = moment.problem.loss(readout(output[None, b : b + 1]), target)
            losses = losses + weights_TB[t, b] * loss.sum() / batch.inputs.shape[1]
    flat = [p for copy in copies for p in copy.values()]
    grads = torch.autograd.grad(losses, flat, materialize_grads=True)
    size = len(copies[0])
    return torch.stack([
        torch.cat([g.flatten() for g in grads[i : i + size]]) for i in range(0, len(grads), size)
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("cell", "problem"),
    [(nn.GRUCell(2, 5), Adding(14)), (nn.LSTMCell(10, 4), Copy(6)), (Leaky(), Adding(14))],
    ids=["gru on adding", "lstm on copy", "linear"],
)
def test_components_are_those_of_parameters_of_each_steps_own(cell, problem):
    moment = moment_of(cell, problem)
    said = TemporalComponents("all")(moment)
    each_TP = by_hand(moment).flip(0)  # lag 0 first
    whole_P = each_TP.sum(0)
    shares = (each_TP @ whole_P).cumsum(0) / whole_P.square().sum()
    sizes = each_TP.norm(dim=1).log10() - whole_P.norm().log10()
    np.testing.assert_allclose(said["share up to lag"], shares.detach(), atol=1e-9)
    np.testing.assert_allclose(said["log10 size at lag"], sizes.detach(), atol=1e-9)
    assert said["share up to lag"].iloc[-1] == pytest.approx(1.0)


def test_shares_do_not_depend_on_which_lags_were_recorded():
    moment = moment_of(nn.GRU(2, 6), Adding(60))
    few, every = (TemporalComponents(lags)(moment) for lags in (4, "all"))
    assert len(few["share up to lag"]) == 15
    for name, series in few.items():
        np.testing.assert_allclose(series, every[name][series.index], atol=1e-12)


def test_lags_are_counted_from_each_sequences_own_end():
    """hochreiter1997 has sequences of several lengths: the parts of each add up by lag."""
    moment = moment_of(nn.GRUCell(2, 4), Adding(20, protocol="hochreiter1997"), examples=6)
    ends = moment.batch.last_scored_step()
    assert ends.unique().numel() > 1
    said = TemporalComponents("all")(moment)
    expected_LP = 0.0
    for b, end in enumerate(ends.tolist()):
        parts = [x[:end, b : b + 1] for x in vars(moment.batch).values()]
        one = Moment(0, moment.model, moment.problem, type(moment.batch)(*parts), moment.cotangents)
        expected_LP = expected_LP + by_hand(one).flip(0)[: int(ends.min())] / len(ends)
        moment.model.float()
    sizes = expected_LP.norm(dim=1).log10()
    np.testing.assert_allclose(
        said["log10 size at lag"].diff()[1:], sizes.diff().detach(), atol=1e-9
    )


def test_a_loss_without_a_gradient_has_no_components():
    moment = moment_of(nn.GRU(2, 3))
    with torch.no_grad():
        moment.model.readout.weight.zero_()
    assert TemporalComponents()(moment) == {}


# --- forward sensitivity ----------------------------------------------------------------------


@given(a=st.floats(-1.0, 1.0))
@settings(max_examples=15, deadline=None)
def test_sensitivity_of_a_linear_cell_is_the_closed_form(a):
    """h_t = b sum a^j x_(t-j): dh/da = b sum j a^(j-1) x_(t-j), dh/db = h / b."""
    moment = moment_of(Leaky(a, 2.0), Adding(20), examples=2)
    said = Sensitivity("all", sequences=2)(moment)["log10 size after steps"]
    assert said.index.tolist() == [1, 2, 5, 10, 20]
    a = moment.model.stack.layers[0].cell.a.item()  # as float32 has it
    for t, found in said.items():
        j = np.arange(t)
        back_tB = moment.batch.inputs[:t, :, 0].double().numpy()[::-1]
        powers = np.where(j > 0, j * np.where(j > 0, a, 1.0) ** np.maximum(j - 1, 0), 0.0)
        da, db = 2.0 * powers @ back_tB, (a**j) @ back_tB
        assert found == pytest.approx(np.log10(np.hypot(da, db)).mean(), abs=1e-6)


def test_sensitivity_of_an_lstm_is_that_of_its_whole_state():
    moment = moment_of(nn.LSTMCell(2, 3), Adding(5), examples=1)
    said = Sensitivity("all")(moment)["log10 size after steps"][5]
    cell = moment.model.stack.layers[0].cell.double()

    def whole_state(parameters):
        state = None
        for x_BI in moment.batch.inputs.double():
            state = torch.func.functional_call(cell, parameters, (x_BI, state))
        return torch.cat(state, 1)[0]

    jacobian = torch.func.jacrev(whole_state)(dict(cell.named_parameters()))
    expected = sum(block.square().sum() for block in jacobian.values()).sqrt().log10()
    assert said == pytest.approx(expected.item(), abs=1e-9)


def test_random_directions_come_near_the_exact_sensitivity():
    moment = moment_of(nn.GRU(2, 16), Adding(10))
    exact, drawn = (Sensitivity(d)(moment)["log10 size after steps"] for d in ("all", 64))
    np.testing.assert_allclose(drawn, exact, atol=0.15)
    assert (drawn != exact).any()


def test_what_remembers_grows_more_sensitive_and_another_unit_changes_only_the_level():
    class Rescaled(nn.LSTMCell):
        def forward(self, x, state=None):
            state = None if state is None else (100 * state[0], 100 * state[1])
            h, c = super().forward(x, state)
            return h / 100, c / 100

    growth = {}
    for bias in (-4.0, 4.0):
        moment = moment_of(LSTM(2, 8, forget_bias=bias), Adding(60))
        growth[bias] = Sensitivity()(moment)["growth"]
    assert growth[4.0] > growth[-4.0] + 0.5
    torch.manual_seed(1)
    plain, rescaled = nn.LSTMCell(2, 4), Rescaled(2, 4)
    rescaled.load_state_dict(plain.state_dict())
    one, other = (Sensitivity("all")(moment_of(cell)) for cell in (plain, rescaled))
    assert one["growth"] == pytest.approx(other["growth"], abs=1e-4)
    level = "log10 size after steps"
    np.testing.assert_allclose(one[level] - other[level], 2.0, atol=1e-4)


# --- condition number -------------------------------------------------------------------------


class Fixed(nn.Module):
    """h' = h A + x, whatever comes in."""

    def __init__(self, matrix):
        super().__init__()
        self.register_buffer("matrix", matrix)

    def forward(self, x, h=None):
        n = len(self.matrix)
        h = x.new_zeros(len(x), n) if h is None else h
        return h @ self.matrix + x[:, :1].expand(-1, n)


def test_condition_of_a_diagonal_matrix_is_a_power():
    moment = moment_of(Fixed(torch.diag(torch.tensor([0.9, 0.5, 0.1]))), Adding(60))
    said = ConditionNumber(steps=[1, 10, 50])(moment)
    expected = [k * math.log10(9) for k in (1, 10, 50)]
    np.testing.assert_allclose(said["log10 condition"], expected, rtol=1e-6)
    assert said["singular"].tolist() == [0, 0, 0]
    np.testing.assert_allclose(said["share of directions"], [1, 2 / 3, 1 / 3])


def test_a_rotation_has_condition_1_and_a_lost_direction_none():
    turn = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(0)))[0]
    said = ConditionNumber(steps=[20])(moment_of(Fixed(turn), Adding(60)))
    assert said["log10 condition"][20] == pytest.approx(0.0, abs=1e-5)
    flat = torch.diag(torch.tensor([1.0, 1.0, 0.0]))
    said = ConditionNumber(steps=[2])(moment_of(Fixed(flat), Adding(60)))
    assert said["singular"][2] == 4
    assert math.isnan(said["log10 condition"][2])


# --- what credit demands of the flow ----------------------------------------------------------


def test_in_a_state_of_one_number_the_flow_is_what_the_slope_demands():
    moment = moment_of(Leaky(0.8, 0.5), Adding(20), examples=6)
    said = FlowBound()(moment)
    first_B = moment.problem.value_gradient(moment.batch).argmax(0)
    weight = moment.model.readout.weight.item()
    expected = np.mean([math.log10(abs(weight) * 0.8 ** (19 - t)) for t in first_B.tolist()])
    assert said["flow"] == pytest.approx(expected, abs=1e-6)
    assert said["demanded by the slope"] == pytest.approx(expected, abs=1e-6)
    assert said["room"] == pytest.approx(0.0, abs=1e-6)
    assert said["demanded by the ideal"] == pytest.approx(math.log10(1 / 0.5), abs=1e-6)


@given(seed=st.integers(0, 1000), use=st.sampled_from([nn.RNN, nn.GRU, nn.LSTM]))
@settings(max_examples=12, deadline=None)
def test_the_flow_is_never_below_what_the_slope_demands(seed, use):
    torch.manual_seed(seed)
    said = FlowBound()(moment_of(use(2, 5), Adding(15), seed=seed))
    assert said["room"] >= -1e-8


def test_room_is_the_angle_between_the_gradient_and_what_the_value_changed():
    moment = moment_of(nn.LSTMCell(2, 4), Adding(9), examples=1)
    cell, readout = moment.model.stack.layers[0].cell.double(), moment.model.readout.double()
    step = int(moment.problem.value_gradient(moment.batch)[:, 0].argmax())
    inputs = moment.batch.inputs.double()

    def state_after(value):
        state = None
        for t in range(step):
            state = cell(inputs[t], state)
        x_BI = torch.cat([value.view(1, 1), inputs[step, :, 1:]], 1)
        return torch.cat(cell(x_BI, state), 1)[0]

    def answer(flat):
        state = flat.view(2, 1, 4).unbind(0)
        for x_BI in inputs[step + 1 :]:
            state = cell(x_BI, state)
        return readout(state[0])[0, 0]

    value = inputs[step, 0, 0]
    moved = torch.func.jacrev(state_after)(value)
    gradient = torch.func.grad(answer)(state_after(value).detach())
    cosine = (moved @ gradient).abs() / (moved.norm() * gradient.norm())
    moment.model.float()
    assert FlowBound()(moment)["room"] == pytest.approx(-cosine.log10().item(), abs=1e-6)


# --- clipped steps ----------------------------------------------------------------------------


def test_clipped_steps_are_those_whose_gradient_is_too_long():
    clipped, moment = ClippedSteps(window=4), moment_of(nn.GRU(2, 3))
    parameters = list(moment.model.parameters())
    for step, size in enumerate((0.5, 2.0, 3.0, 1.5), 1):
        for p in parameters:
            p.grad = torch.zeros_like(p)
        parameters[0].grad.view(-1)[0] = size
        now = Moment(step, *list(vars(moment).values())[1:5], clip_norm=1.0)
        said = clipped(now)
        assert (said == {}) == (step < 4)
    assert {name: value.item() for name, value in said.items()} == {"by norm": 0.75}
    assert not clipped.seen


def test_clipping_by_value_counts_steps_and_entries():
    clipped, moment = ClippedSteps(window=1), moment_of(nn.GRU(2, 3))
    for p in moment.model.parameters():
        p.grad = torch.full_like(p, 0.1)
    next(moment.model.parameters()).grad.fill_(-2.0)
    now = Moment(1, *list(vars(moment).values())[1:5], clip_value=1.0)
    entries = sum(p.numel() for p in moment.model.parameters())
    said = clipped(now)
    assert said["by value"].item() == 1.0
    assert said["entries"].item() == pytest.approx(18 / entries)
    assert ClippedSteps(window=1)(moment) == {}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: TemporalComponents(0), "whole number, 1 or more"),
        (lambda: Sensitivity("some"), "a whole number, or 'all'"),
        (lambda: ConditionNumber(steps=[]), "a list"),
        (lambda: ClippedSteps(window=0), "whole number, 1 or more"),
    ],
)
def test_options_that_can_not_be_are_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()


# --- in a trial -------------------------------------------------------------------------------


def test_in_a_trial_the_share_of_clipped_steps_is_that_of_the_recorded_norms():
    """Against the norms of every step, with a bound of the cell's own."""
    card = """
name = "tiny"
lengths = [8]
seeds = 1
cells = [{ use = "gru", clip_norm = 0.6 }]
[problem]
name = "adding"
[training]
steps = 60
batch_size = 4
hidden_size = 4
clip_norm = 100.0
eval_every = 30
[recording]
diagnostics = ["gradient_norm", { use = "clipped_steps", window = 20 },
               "temporal_components", "sensitivity", { use = "condition_number", steps = [1, 4] }]
"""
    table = training.run(resolve(cards.parse(card, "tiny.toml")).trials()[0]).diagnostics
    norms = table.query("diagnostic == 'gradient_norm' and quantity == 'all'").value.to_numpy()
    clipped = table[table.diagnostic == "clipped_steps"].set_index("step").value
    expected = (norms.reshape(3, 20) > 0.6).mean(1)
    assert clipped.index.tolist() == [20, 40, 60]
    np.testing.assert_allclose(clipped, expected)
    assert 0 < expected.max() <= 1
    assert table.groupby("diagnostic").size().min() > 0
    assert set(table.diagnostic) > {"temporal_components", "sensitivity", "condition_number"}
