"""The bundled cells against independent formulas, in float64."""

import inspect
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from seqbench import InputError, gradient_flow, plugins
from seqbench.cells.delta import DeltaNet
from seqbench.cells.gru import GRU
from seqbench.cells.linear import LRU, MinGRU, MinLSTM, loop, scan
from seqbench.cells.lstm import LSTM, LSTMWithoutForgetGate
from seqbench.cells.mamba import Mamba
from seqbench.cells.rnn import IRNN, NONLINEARITIES, RNN, STAY_ORTHOGONAL, Orthogonal
from seqbench.cells.slstm import SLSTM
from seqbench.engine.chain import flatten, rebuild
from seqbench.models.recurrent import as_layer
from seqbench.testing.examination import examine

T, B, IN, H = 9, 3, 2, 5
FORMULAS = {
    "tanh": torch.tanh, "relu": F.relu, "sigmoid": torch.sigmoid, "leaky_relu": F.leaky_relu,
    "prelu": lambda x: F.leaky_relu(x, 0.25), "elu": F.elu, "selu": F.selu, "gelu": F.gelu,
    "silu": F.silu, "softplus": F.softplus, "softsign": F.softsign, "hardtanh": F.hardtanh,
    "identity": lambda x: x, "modrelu": lambda x: x.sign() * F.relu(x.abs() - 0.3),
}  # fmt: skip
IN_TIME = [name for name in plugins.bundled("cells") if name != "dense"]  # tests/models/test_deep
VARIANTS = [(name, {}) for name in IN_TIME] + [
    ("rnn", {"nonlinearity": "prelu"}),
    ("rnn", {"nonlinearity": "elu", "layer_norm": True, "residual": 0.3, "recurrent": "he"}),
    ("orthogonal", {"nonlinearity": "leaky_relu"}),
    ("orthogonal", {"nonlinearity": "modrelu", "recurrent": "henaff", "rate": 0.1}),
    ("lstm", {"layer_norm": True, "chrono": 50}),
    ("gru", {"chrono": 50}),
    ("slstm", {"forget_bias": 3.0}),
    ("lru", {"mix": False, "r_min": 0.5, "parallel": False}),
    ("mingru", {"parallel": False}),
    ("minlstm", {"forget_bias": 2.0}),
    ("mamba", {"state_size": 3, "expand": 1, "conv": 2, "parallel": False}),
    ("deltanet", {"heads": 1, "gated": True, "negative": True}),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def sequence():
    return torch.randn(T, B, IN, dtype=torch.float64)


def run(step, x, *state):
    """Outputs of a formula: step(x_t, *state) -> state, the first part is the output."""
    outputs = []
    for x_t in x:
        state = step(x_t, *state)
        outputs.append(state[0])
    return torch.stack(outputs)


def zeros(n=1):
    return [torch.zeros(B, H, dtype=torch.float64)] * n


# --- vanilla ---


@pytest.mark.parametrize("name", NONLINEARITIES)
def test_every_nonlinearity_of_the_rnn(name):
    cell, x = RNN(IN, H, nonlinearity=name).double(), sequence()
    if name == "modrelu":
        assert cell.activation.bias.abs().max() <= 0.01
        nn.init.constant_(cell.activation.bias, -0.3)
    W, U = cell.weight_ih_l0, cell.weight_hh_l0
    b = cell.bias_ih_l0 + cell.bias_hh_l0
    expected = run(lambda x_t, h: (FORMULAS[name](x_t @ W.T + h @ U.T + b),), x, *zeros())
    torch.testing.assert_close(cell(x)[0], expected)
    torch.testing.assert_close(cell(x)[1][0], expected[-1])


def test_variants_of_the_rnn_start_from_the_same_draws():
    def drawn(**options):
        torch.manual_seed(3)
        return RNN(IN, H, **options)

    for other in ("relu", "sigmoid", "prelu"):
        assert torch.equal(drawn().weight_hh_l0, drawn(nonlinearity=other).weight_hh_l0)
    assert torch.equal(drawn(gain=3).weight_hh_l0, 3 * drawn().weight_hh_l0)


def test_layer_norm_and_residual_of_the_rnn():
    cell, x = RNN(IN, H, layer_norm=True, residual=0.3).double(), sequence()
    nn.init.normal_(cell.norm.weight)
    nn.init.normal_(cell.norm.bias)

    def step(x_t, h):
        a = x_t @ cell.weight_ih_l0.T + h @ cell.weight_hh_l0.T
        a = (a - a.mean(1, keepdim=True)) / (a.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
        return (0.7 * h + 0.3 * torch.tanh(a * cell.norm.weight + cell.norm.bias),)

    torch.testing.assert_close(cell(x)[0], run(step, x, *zeros()))


def test_recurrent_initialisations():
    U = {name: RNN(IN, 300, recurrent=name).weight_hh_l0.detach().double() for name in (
        "default", "glorot", "he", "orthogonal", "identity")}  # fmt: skip
    identity = torch.eye(300, dtype=torch.float64)
    torch.testing.assert_close(U["orthogonal"].T @ U["orthogonal"], identity, atol=1e-5, rtol=0)
    assert torch.equal(U["identity"], identity)
    for name, deviation in (("default", 1 / 3), ("glorot", 1), ("he", 2)):
        assert U[name].std().item() == pytest.approx(math.sqrt(deviation / 300), rel=0.02)
    assert U["glorot"].abs().max() <= math.sqrt(3 / 300)


def test_the_irnn_starts_at_the_identity():
    cell = IRNN(IN, 100)
    assert torch.equal(cell.weight_hh_l0, torch.eye(100))
    assert not cell.bias_ih_l0.any()
    assert not cell.bias_hh_l0.any()
    assert 0.0008 < cell.weight_ih_l0.std() < 0.0012
    assert torch.equal(IRNN(IN, 4, gain=0.5).weight_hh_l0, 0.5 * torch.eye(4))


@pytest.mark.parametrize(("name", "least", "most"), [("henaff", -math.pi, math.pi),
                                                     ("cayley", 0.0, math.pi / 2)])  # fmt: skip
@pytest.mark.parametrize("of", [RNN, Orthogonal])
def test_rotations_are_orthogonal_and_have_their_angles_as_eigenvalues(name, least, most, of):
    cell = of(IN, 401, recurrent=name)
    U = (cell.recurrent.weight if of is Orthogonal else cell.weight_hh_l0).detach().double()
    torch.testing.assert_close(U.T @ U, torch.eye(401, dtype=torch.float64), atol=1e-5, rtol=0)
    angles = torch.linalg.eigvals(U).angle().sort().values
    assert angles.abs().max() <= max(abs(least), most) + 1e-5
    modulus = angles.abs()[angles.abs() > 1e-6]
    assert modulus.mean().item() == pytest.approx(most / 2, rel=0.1)  # of U(0, most)


@pytest.mark.parametrize("recurrent", STAY_ORTHOGONAL)
def test_the_orthogonal_rnn_stays_orthogonal_and_learns(recurrent):
    cell, x = Orthogonal(IN, H, recurrent=recurrent).double(), sequence()
    before = cell.recurrent.weight.detach()
    optimizer = torch.optim.Adam(cell.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        cell(x)[0].square().sum().backward()
        optimizer.step()
    U = cell.recurrent.weight.detach()
    torch.testing.assert_close(U.T @ U, torch.eye(H, dtype=torch.float64))
    assert (U - before).abs().max() > 0.01
    W, b = cell.drive.weight, cell.drive.bias
    expected = run(lambda x_t, h: (torch.tanh(x_t @ W.T + h @ U.T + b),), x, *zeros())
    torch.testing.assert_close(cell(x)[0], expected)


def test_a_rate_of_a_tenth_moves_the_orthogonal_matrix_a_tenth_as_far():
    def moved(rate):
        torch.manual_seed(0)
        cell, x = Orthogonal(IN, H, rate=rate).double(), sequence()
        before = cell.recurrent.weight.detach()
        optimizer = torch.optim.Adam(cell.parameters(), lr=1e-4)
        cell(x)[0].square().sum().backward()
        optimizer.step()
        return before, cell.recurrent.weight.detach() - before

    (start, far), (same, near) = moved(1.0), moved(0.1)
    torch.testing.assert_close(same, start)
    torch.testing.assert_close(near, far / 10, atol=1e-3 * far.abs().max().item(), rtol=0)


# --- gated ---


def test_layer_norm_of_the_lstm():
    cell, x = LSTM(IN, H, layer_norm=True).double(), sequence()
    for norm in cell.norms:
        nn.init.normal_(norm.weight)

    def norm(a, gain, bias=0.0):
        a = a - a.mean(1, keepdim=True)
        return gain * a / (a.square().mean(1, keepdim=True) + 1e-5).sqrt() + bias

    def step(x_t, h, c):
        gates = norm(x_t @ cell.weight_ih_l0.T, cell.norms[0].weight)
        gates = gates + norm(h @ cell.weight_hh_l0.T, cell.norms[1].weight)
        i, f, g, o = (gates + cell.bias_ih_l0 + cell.bias_hh_l0).split(H, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * norm(c, cell.norms[2].weight, cell.norms[2].bias).tanh(), c

    torch.testing.assert_close(cell(x)[0], run(step, x, *zeros(2)))


def test_the_lstm_of_1997_is_todays_with_an_open_forget_gate():
    cell, today, x = LSTMWithoutForgetGate(IN, H).double(), nn.LSTMCell(IN, H).double(), sequence()
    rows = torch.cat([torch.arange(H), torch.arange(2 * H, 4 * H)])  # i, g, o of i, f, g, o
    with torch.no_grad():
        for theirs in today.parameters():
            theirs.zero_()
        today.weight_ih[rows], today.weight_hh[rows] = cell.drive.weight, cell.recurrent.weight
        today.bias_ih[rows] = cell.drive.bias
        today.bias_ih[H : 2 * H] = 1e3
    torch.testing.assert_close(as_layer(cell)(x)[0], as_layer(today)(x)[0])


def test_chrono_biases_forget_within_one_to_t_max_steps():
    lstm, gru = LSTM(IN, 2000, chrono=100), GRU(IN, 2000, chrono=100)
    i, f, _, _ = (lstm.bias_ih_l0 + lstm.bias_hh_l0).split(2000)
    _, z, _ = (gru.bias_ih_l0 + gru.bias_hh_l0).split(2000)
    torch.testing.assert_close(i, -f)
    for bias in (f, z):
        drawn = bias.detach().exp().numpy()
        assert 1 <= drawn.min() < 1.5
        assert 98.5 < drawn.max() <= 99.001
        assert np.quantile(drawn, 0.5) == pytest.approx(50, abs=4), "uniform"


def test_the_slstm_is_its_unstabilised_form():
    cell, x = SLSTM(IN, H).double(), sequence()

    def step(x_t, h, c, n):
        i, f, z, o = (cell.drive(x_t) + cell.recurrent(h)).split(H, 1)
        c = f.sigmoid() * c + i.exp() * z.tanh()
        n = f.sigmoid() * n + i.exp()
        return o.sigmoid() * c / n, c, n

    torch.testing.assert_close(as_layer(cell)(x)[0], run(step, x, *zeros(3)))


def test_the_slstms_gates_do_not_overflow():
    cell = SLSTM(IN, H)
    outputs = as_layer(cell)(1000 * torch.randn(50, B, IN))[0]
    assert outputs.isfinite().all()
    assert outputs.abs().max() <= 1


def test_the_slstms_forget_bias_falls_by_a_power_law():
    bias = SLSTM(IN, 11).drive.bias.view(4, 11)
    assert bias[1, [0, 10]].tolist() == [5, -7]
    assert bias[1, 5].item() == pytest.approx(5 - 12 * 0.5**0.3)
    assert not bias[[0, 2, 3]].any()
    assert (SLSTM(IN, 3, forget_bias=2).drive.bias.view(4, 3)[1] == 2).all()


# --- linear ---


def test_mingru_and_minlstm_are_their_formulas():
    x = sequence()
    gru, lstm = MinGRU(IN, H).double(), MinLSTM(IN, H).double()

    def gru_step(x_t, h):
        z, new = gru.drive(x_t).split(H, 1)
        return ((1 - z.sigmoid()) * h + z.sigmoid() * new,)

    def lstm_step(x_t, h):
        f, i, new = lstm.drive(x_t).split(H, 1)
        f, i = f.sigmoid(), i.sigmoid()
        return (f / (f + i) * h + i / (f + i) * new,)

    torch.testing.assert_close(gru(x)[0], run(gru_step, x, *zeros()))
    torch.testing.assert_close(lstm(x)[0], run(lstm_step, x, *zeros()))


def test_the_lru_is_a_sum_over_the_past():
    """y_t = sum over k of Re(C lambda^k gamma B x_(t-k)) + D x_t, and its mixing."""
    cell, x = LRU(IN, H).double(), sequence()
    value = {name: p.detach().numpy() for name, p in cell.named_parameters()}
    eigenvalues = np.exp(-np.exp(value["nu"]) + 1j * np.exp(value["theta"]))
    gamma = np.sqrt(1 - np.abs(eigenvalues) ** 2)
    drive = gamma[:, None] * (value["B"][:H] + 1j * value["B"][H:])
    read = value["C"][:, :H] - 1j * value["C"][:, H:]
    expected = np.stack([
        x.numpy()[t] @ value["D"].T + sum(
            (x.numpy()[t - k] @ (read @ np.diag(eigenvalues**k) @ drive).T).real
            for k in range(t + 1)
        )
        for t in range(T)
    ])  # fmt: skip
    mixed = cell.mix(F.gelu(torch.from_numpy(expected)))
    torch.testing.assert_close(cell(x)[0], mixed[..., :H] * mixed[..., H:].sigmoid(),
                               rtol=1e-5, atol=1e-6)  # fmt: skip


def test_the_lrus_eigenvalues_lie_in_the_ring():
    moduli = LRU(IN, 4000, r_min=0.6, r_max=0.9).eigenvalues().abs().detach().numpy()
    assert moduli.min() == pytest.approx(0.6, abs=0.01)
    assert moduli.max() == pytest.approx(0.9, abs=0.01)
    assert np.mean(moduli**2) == pytest.approx((0.36 + 0.81) / 2, abs=0.01), "uniform in area"
    assert LRU(IN, 500, max_phase=0.1).eigenvalues().angle().max() <= 0.1


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.booleans(), st.booleans(), st.integers(0, 99))
def test_the_scan_is_the_loop(steps, broadcast, whole_complex, seed):
    torch.manual_seed(seed)
    dtype = torch.complex128 if whole_complex else torch.float64
    a = torch.randn(steps, 1 if broadcast else 2, 3, dtype=dtype)
    a[torch.rand(steps) < 0.2] = 0  # a memory that is wiped
    given = [a, torch.randn(steps, 2, 3, dtype=dtype), torch.randn(2, 3, dtype=dtype)]
    found = []
    for recur in (scan, loop):
        leaves = [x.clone().requires_grad_() for x in given]
        h = recur(*leaves)
        cotangent = torch.linspace(-1, 2, h.numel(), dtype=torch.float64).view(h.shape).to(dtype)
        found.append([h, *torch.autograd.grad(h, leaves, cotangent)])
    for by_scan, by_loop in zip(*found, strict=True):
        torch.testing.assert_close(by_scan, by_loop, rtol=1e-9, atol=1e-9)


def test_the_scan_can_be_differentiated_twice():
    leaves = [torch.randn(5, 2, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    before = torch.randn(2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(scan, (*leaves, before))


@pytest.mark.parametrize("cls", [LRU, MinGRU, MinLSTM, Mamba])
def test_the_parallel_form_is_the_sequential_one_at_a_thousand_steps_and_in_segments(cls):
    parallel, sequential = cls(IN, H), cls(IN, H, parallel=False)
    sequential.load_state_dict(parallel.state_dict())
    x = torch.randn(1000, B, IN)
    whole = sequential(x)[0]
    torch.testing.assert_close(parallel(x)[0], whole, rtol=1e-5, atol=1e-5)
    pieces, state = [], None
    for piece in x.split(150):
        outputs, state = parallel(piece, state)
        pieces.append(outputs)
    torch.testing.assert_close(torch.cat(pieces), whole, rtol=1e-5, atol=1e-5)
    for layer in (parallel, sequential):
        layer(x)[0].square().mean().backward()
    for ours, theirs in zip(parallel.parameters(), sequential.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-5)


def silu(x):
    return x / (1 + np.exp(-x))


def softplus(x):
    return np.log1p(np.exp(x))


@pytest.mark.parametrize("parallel", [True, False])
def test_mamba_is_its_algorithm_number_by_number(parallel):
    """A loop over examples, steps, channels and states in float64: no tensors."""
    cell, x = Mamba(IN, H, state_size=3, conv=3, parallel=parallel).double(), sequence()
    value = {name: p.detach().numpy() for name, p in cell.named_parameters()}
    D, N, rank = 2 * H, 3, 1
    expected = np.zeros((T, B, H))
    for b in range(B):
        drive = x.numpy()[:, b] @ value["drive.weight"].T
        u_in, gate = drive[:, :D], drive[:, D:]
        s = np.zeros((D, N))
        for t in range(T):
            u = value["conv_bias"].copy()
            for back in range(3):  # the convolution's last weight meets the newest input
                if t - back >= 0:
                    u += value["conv"][2 - back] * u_in[t - back]
            u = silu(u)
            chosen = value["select.weight"] @ u
            dt = softplus(value["dt.weight"] @ chosen[:rank] + value["dt.bias"])
            write, read = chosen[rank : rank + N], chosen[rank + N :]
            y = np.zeros(D)
            for d in range(D):
                for n in range(N):
                    A = -np.exp(value["log_A"][d, n])
                    s[d, n] = np.exp(dt[d] * A) * s[d, n] + dt[d] * write[n] * u[d]
                    y[d] += read[n] * s[d, n]
                y[d] += value["D"][d] * u[d]
            expected[t, b] = value["out.weight"] @ (y * silu(gate[t]))
    torch.testing.assert_close(cell(x)[0], torch.from_numpy(expected))


def test_mambas_memory_lasts_between_one_step_and_a_thousand():
    """dt from 1e-3 to 0.1 and A from -1 to -N: a state keeps exp(dt A) a step."""
    cell = Mamba(IN, 500)
    dt = F.softplus(cell.dt.bias)
    assert dt.min().item() == pytest.approx(1e-3, rel=0.05)
    assert dt.max().item() == pytest.approx(0.1, rel=0.05)
    assert (cell.log_A.exp() - torch.arange(1.0, 17)).abs().max() < 1e-5


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("negative", [False, True])
def test_the_deltanet_is_a_sum_over_what_was_written(gated, negative):
    """S_t = sum over i of b_i v_i k_i' (product over j > i of a_j (I - b_j k_j k_j')), by head."""
    cell = DeltaNet(IN, 6, heads=2, gated=gated, negative=negative).double()
    x = sequence()
    value = {name: p.detach().numpy() for name, p in cell.named_parameters()}
    expected = np.zeros((T, B, 6))
    for b in range(B):
        driven = silu(x.numpy()[:, b] @ value["drive.weight"].T).reshape(T, 3, 2, 3)
        rate = x.numpy()[:, b] @ value["write.weight"].T
        b_Th = (2 if negative else 1) / (1 + np.exp(-rate))
        a_Th = np.ones((T, 2))
        if gated:
            forget = softplus(x.numpy()[:, b] @ value["forget.weight"].T + value["forget.bias"])
            a_Th = np.exp(-np.exp(value["log_A"]) * forget)
        q, k, v = driven[:, 0], driven[:, 1], driven[:, 2]
        q, k = (z / np.sqrt((z**2).sum(-1, keepdims=True) + 1e-6) for z in (q, k))
        for t in range(T):
            read = []
            for h in range(2):
                S = np.zeros((3, 3))
                for i in range(t + 1):
                    term = b_Th[i, h] * np.outer(v[i, h], k[i, h])
                    for j in range(i + 1, t + 1):
                        key = np.outer(k[j, h], k[j, h])
                        term = a_Th[j, h] * term @ (np.eye(3) - b_Th[j, h] * key)
                    S += term
                o = S @ q[t, h]
                read.append(o / np.sqrt((o**2).mean() + 1e-5))
            expected[t, b] = value["out.weight"] @ np.concatenate(read)
    torch.testing.assert_close(cell(x)[0], torch.from_numpy(expected))


def test_a_key_of_the_deltanet_holds_its_last_value_and_others_theirs():
    """b = 1: two keys at right angles, the first written twice."""
    cell = DeltaNet(3, 3).double()
    with torch.no_grad():
        cell.write.weight.copy_(torch.tensor([[0.0, 0.0, 60.0]]))
        cell.drive.weight.zero_()
        cell.drive.weight[3, 0] = cell.drive.weight[4, 1] = 40.0  # keys: unit 0, unit 1
        cell.drive.weight[6:, 2] = torch.tensor([40.0, 20.0, 10.0])  # values: by the third input
    x = torch.tensor([[[1.0, 0, 0.5]], [[0, 1.0, 1.0]], [[1.0, 0, 2.0]]], dtype=torch.float64)
    S = cell(x)[1].view(3, 3)
    values = F.silu(x[:, 0, 2:] * torch.tensor([40.0, 20.0, 10.0], dtype=torch.float64))
    torch.testing.assert_close(S[:, 0], values[2], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(S[:, 1], values[1], rtol=1e-5, atol=1e-5)


# --- all ---


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_the_flow_at_the_initial_state_is_autograds(name, options):
    """And with it that state=None is a state of zeros, which the measure insists on."""
    cls, x = plugins.load(plugins.resolve(name, "cells")), sequence()
    layer = as_layer(cls(IN, H, **options).double())
    after = layer(x)[1]
    start = [torch.zeros_like(part).requires_grad_() for part in flatten(after)]
    layer(x, rebuild(after, start))[0][-1].sum().backward()
    by_example = [part.grad.movedim(-2, 0).flatten(1).square().sum(1) for part in start]
    logs = 0.5 * torch.stack(by_example).sum(0).log10()
    expected = logs[logs.isfinite()].mean().item()  # an example whose rectifiers are all dead
    flow = gradient_flow(layer, x, lambda outputs: outputs[-1].sum(1), kind="layer")
    row = flow[(flow["time"] == 0) & (flow["state"] == "all")]
    assert row["log10_norm"].item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_the_contract_is_kept(name, options):
    """Every check of `seqbench check`, float64 differences against gradients among them."""
    failed = [str(result) for result in examine(name, options=options) if result.status == "failed"]
    assert not failed


def test_every_cell_and_option_is_documented():
    page = (Path(__file__).parents[2] / "docs" / "cells.md").read_text()
    for name in plugins.bundled("cells"):
        row = re.search(rf"^\| {name} \|.*$", page, re.M)
        assert row, name
        options = inspect.signature(plugins.load(plugins.resolve(name, "cells"))).parameters
        for option in list(options)[3 if name == "dense" else 2 :]:  # the sizes are the suite's
            assert f"`{option}`" in row[0], (name, option)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: RNN(2, 3, recurrent="glorrot"), "recurrent = 'glorrot'\nallowed: 'default', "),
        (lambda: RNN(2, 3, gain=-1), "gain = -1\nallowed: a positive number"),
        (lambda: RNN(2, 3, gain=1.0, spectral_radius=1.0), "gain = 1.0, spectral_radius = 1.0"),
        (lambda: RNN(2, 3, layer_norm=1), "layer_norm = 1\nallowed: true or false"),
        (lambda: RNN(2, 3, residual=1.0), "residual = 1.0\nallowed: a number between 0 and 1"),
        (lambda: LSTM(2, 3, chrono=2), "chrono = 2\nallowed: a number of steps above 2"),
        (lambda: LSTM(2, 3, chrono=9, forget_bias=1.0), "they exclude each other\nallowed: one of"),
        (lambda: GRU(2, 3, chrono="long"), "chrono = 'long'"),
        (lambda: SLSTM(2, 3, forget_bias="power"), "forget_bias = 'power'\nallowed: 'powerlaw' or"),
        (lambda: SLSTM(2, 3, forget_bias=None), "forget_bias = None"),
        (lambda: LRU(2, 3, r_min=0.9, r_max=0.5), "r_min = 0.9\nallowed: 0 or more, below r_max"),
        (lambda: LRU(2, 3, r_max=1.1), "r_max = 1.1\nallowed: above 0, at most 1"),
        (lambda: Mamba(2, 3, conv=1), "conv = 1\nallowed: a whole number, 2 or more"),
        (lambda: Mamba(2, 3, expand=1.5), "expand = 1.5\nallowed: a whole number, 1 or more"),
        (lambda: DeltaNet(2, 6, heads=4), "heads = 4\nallowed: a divisor of hidden_size, which"),
        (lambda: MinGRU(2, 3, parallel="yes"), "parallel = 'yes'\nallowed: true or false"),
    ],
)
def test_what_an_option_can_not_be_is_said_in_two_lines(make, words):
    with pytest.raises(InputError, match="(?s)" + words) as caught:
        make()
    assert str(caught.value).count("\n") == 1
