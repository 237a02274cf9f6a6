"""The flow of a whitened state: the same whatever units, or order, a cell keeps its state in."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from measure.moments import moment_of
from torch import nn

from seqbench.analysis import curve
from seqbench.analysis.shapes import whitened
from seqbench.measure.coordinates import deviations
from seqbench.measure.flow import probe_flow
from seqbench.models.recurrent import Model, Stack, Unroll
from seqbench.problems.adding import Adding
from seqbench.problems.copy import Copy


class Kept(nn.Module):
    """An LSTM that keeps c as a factor times c, its units in another order."""

    def __init__(self, cell, factor=1.0, order=None):
        super().__init__()
        self.cell, self.factor = cell, factor
        self.order = list(range(cell.hidden_size)) if order is None else order
        self.back = np.argsort(self.order).tolist()

    def forward(self, x, state=None):
        if state is not None:
            state = state[0], state[1][:, self.back] / self.factor
        h, c = self.cell(x, state)
        return h, c[:, self.order] * self.factor


def flow_of(cell, problem, seed=3):
    moment = moment_of(cell, problem, width=6, examples=8, seed=seed)
    return probe_flow(moment.model, problem, moment.batch, moment.cotangents, "all")


def joint(table):
    return table[(table.source == "output") & (table.state == "all")]


def s_of(rows):
    return curve.from_rows(rows[rows.anchor == rows.anchor.max()], 8)


@pytest.mark.parametrize("problem", [Adding(30), Copy(10)], ids=["adding", "copy"])
def test_what_is_read_off_does_not_change_with_the_units_of_the_state(problem):
    torch.manual_seed(0)
    plain = nn.LSTMCell(problem.input_size, 6)
    with torch.no_grad():
        plain.bias_ih[6:12] = 3.0  # remembers, so that c carries the flow
    tables = {
        "plain": flow_of(Kept(plain), problem),
        "c as 100 c": flow_of(Kept(plain, 100.0), problem),
        "c as c / 100": flow_of(Kept(plain, 0.01), problem),
        "in another order": flow_of(Kept(plain, order=[3, 1, 5, 0, 2, 4]), problem),
    }
    white = {name: s_of(whitened(joint(table))) for name, table in tables.items()}
    for one in white.values():
        np.testing.assert_allclose(one.s, white["plain"].s, atol=1e-8)
    own = {name: s_of(joint(table)) for name, table in tables.items()}
    for name in ("c as 100 c", "c as c / 100"):
        assert np.abs(own[name].s - own["plain"].s).max() > 0.1, "in its own units it does change"
    np.testing.assert_allclose(own["in another order"].s, own["plain"].s, atol=1e-8)


def test_the_whitened_norm_is_that_of_the_gradient_with_respect_to_the_whitened_state():
    """Against a cell whose state is whitened itself, by deviations that numpy found."""
    problem = Adding(12)
    torch.manual_seed(0)
    cell = nn.GRUCell(2, 6).double()
    moment = moment_of(nn.GRUCell(2, 6), problem, width=6, examples=8)
    moment.model.stack.layers[0].cell.load_state_dict(cell.state_dict())
    states, h = [], torch.zeros(8, 6, dtype=torch.float64)
    for x in moment.batch.inputs.double():
        h = cell(x, h).detach()
        states.append(h.numpy())
    units_n = np.std(np.concatenate(states), axis=0)
    found = deviations(
        Stack([Unroll(cell)]).chain(moment.batch.inputs.double()), torch.full((8,), 12)
    )
    np.testing.assert_allclose(found[0], units_n, rtol=1e-12)

    class White(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.units_n = cell, nn.Parameter(torch.tensor(units_n))

        def forward(self, x, z=None):
            return self.inner(x, None if z is None else z * self.units_n) / self.units_n

    readout = nn.Linear(6, 1).double()
    readout.weight.data = moment.model.readout.weight.detach().double() * torch.tensor(units_n)
    readout.bias.data = moment.model.readout.bias.detach().double()
    white = Model(Stack([Unroll(White())]), readout)
    of_white = probe_flow(white, problem, moment.batch, moment.cotangents, "all")
    of_plain = probe_flow(moment.model, problem, moment.batch, moment.cotangents, "all")
    columns = ["source", "lag", "log10_norm", "log10_p10", "log10_p90", "n_zero", "n_nonfinite"]
    expected = of_white[(of_white.state == "all") & (of_white.lag > 0)][columns]
    said = whitened(of_plain[of_plain.state == "all"])[columns]
    pd.testing.assert_frame_equal(said.reset_index(drop=True), expected.reset_index(drop=True))


def test_a_unit_that_never_varies_passes_no_flow():
    class Half(nn.Module):
        """h' = 0.9 h + x in the first unit; the second is 1, whatever happens."""

        def forward(self, x, h=None):
            h = x.new_zeros(len(x), 2) if h is None else h
            return torch.stack([0.9 * h[:, 0] + x[:, 0], 1.0 + 0.0 * h[:, 1]], 1)

    problem = Adding(10)
    moment = moment_of(Half(), problem, width=2)
    units = deviations(moment.model.chain(moment.batch.inputs), torch.full((4,), 10))
    assert units[0][1] == 0 < units[0][0]
    table = probe_flow(moment.model, problem, moment.batch, moment.cotangents, "all")
    s = s_of(whitened(joint(table)))
    np.testing.assert_allclose(s.s, (s.lags - 1) * math.log10(0.9), atol=1e-7)


def test_states_count_up_to_each_sequences_own_anchor():
    """Sequences that end sooner are padded; what is done to the padding is nobody's state."""

    class Counts(nn.Module):
        def forward(self, x, h=None):
            return (x[:, :1] * 0.0 if h is None else h) + 1.0

    inputs = torch.zeros(6, 2, 1)
    chain = Stack([Unroll(Counts())]).chain(inputs)
    (units,) = deviations(chain, torch.tensor([6, 3]))
    assert units.item() == pytest.approx(np.std([1, 2, 3, 4, 5, 6, 1, 2, 3]))


def test_the_deviations_of_what_varies_little_about_a_large_value_are_exact():
    class Far(nn.Module):
        def forward(self, x, h=None):
            return 1e8 + x[:, :1]

    inputs = torch.rand(50, 4, 1, dtype=torch.float64)
    (units,) = deviations(Stack([Unroll(Far())]).chain(inputs), torch.full((4,), 50))
    assert units.item() == pytest.approx(float(inputs.std(correction=0)), rel=1e-6)
