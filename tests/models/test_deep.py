"""Networks in depth: trained and measured by the engine as one autograd graph would have it."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import seqbench
from seqbench import InputError
from seqbench.card import task as cards
from seqbench.cells.dense import Dense
from seqbench.engine.cut import Cut
from seqbench.models.deep import Layers
from seqbench.models.kinds import build
from seqbench.models.recurrent import Model
from seqbench.problems.batch import Batch
from seqbench.problems.kinds import Classification
from seqbench.sweep.check import resolve
from seqbench.training import loop
from seqbench.training.objective import gradient_of_loss

SIZES = {"input_size": 5, "hidden_size": 6, "output_size": 3}
VARIANTS = [
    {},
    {"activation": "tanh", "init": "orthogonal"},
    {"activation": "relu", "init": "he", "residual": True},
    {"activation": "prelu", "init": "glorot", "norm": "layer"},
    {"activation": "elu", "norm": "batch"},
    {"activation": "leaky_relu", "init": "unscaled", "tied": True},
    {"init": "constant", "weight_scale": 0.3, "bias_scale": 0.1},
]


class Classes(Classification):
    output_size = 3


def network(depth=7, **options):
    torch.manual_seed(0)
    return build(Dense, length=depth, **SIZES, options=options).double()


def batch(size=8):
    torch.manual_seed(1)
    x = torch.randn(1, size, 5, dtype=torch.float64)
    return Batch(x, torch.randint(3, (1, size)), torch.ones(1, size, dtype=torch.float64))


def one_graph(model, data):
    """The loss, the states of all layers, by plain autograd."""
    states = [data.inputs[0].requires_grad_()]
    for layer in model.stack.layers:
        states.append(layer(states[-1]))
    losses = nn.functional.cross_entropy(
        model.readout(states[-1]), data.targets[0], reduction="none"
    )
    return losses, states


@pytest.mark.parametrize("options", VARIANTS, ids=str)
@pytest.mark.parametrize("cut", [Cut(1), Cut(3), Cut(7)], ids=lambda cut: f"every {cut.segment}")
def test_the_gradient_of_every_parameter_is_that_of_one_autograd_graph(options, cut):
    model, data = network(**options), batch()
    other = copy.deepcopy(model)
    loss = gradient_of_loss(model, Classes(), data, cut)
    expected = one_graph(other, data)[0].mean()
    expected.backward()
    torch.testing.assert_close(loss, expected.detach())
    for one, (name, p) in zip(model.parameters(), other.named_parameters(), strict=True):
        torch.testing.assert_close(one.grad, p.grad, msg=name)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_the_flow_is_the_gradient_at_every_layer(options):
    model, data = network(**options), batch()

    def loss(outputs):
        return nn.functional.cross_entropy(outputs, data.targets[0], reduction="none")

    found = seqbench.gradient_flow(model, data.inputs[0], loss)
    found = found[found.state == "h"].sort_values("lag")
    losses, states = one_graph(model, data)  # a batch norm's examples mix: the sum is what is meant
    grads = torch.autograd.grad(losses.sum(), states)[::-1]
    expected = [grad.norm(dim=1).log10().mean().item() for grad in grads]
    np.testing.assert_allclose(found.log10_norm, expected, atol=1e-9)
    assert found.lag.tolist() == list(range(8))  # layers, counted from the output
    assert found.attrs["summed"] == (options.get("norm") == "batch")


def test_directions_measured_together_do_not_mix_in_a_batch_norm():
    from seqbench.measure.flow import probe_flow

    model, data = network(norm="batch"), batch()
    together = probe_flow(model, Classes(), data, torch.eye(3, dtype=torch.float64)[:2], "all")
    losses, states = one_graph(model, data)
    alone = torch.autograd.grad(losses.sum(), states)[::-1]
    rows = together[(together.source == "loss") & (together.state == "h")].sort_values("lag")
    expected = [grad.norm(dim=1).log10().mean().item() for grad in alone]
    np.testing.assert_allclose(rows.log10_norm, expected, atol=1e-9)


def test_measuring_leaves_running_statistics_and_modes_alone():
    model, data = network(norm="batch"), batch()
    before = {name: x.clone() for name, x in model.state_dict().items()}
    seqbench.gradient_flow(model, data.inputs[0], lambda outputs: outputs.sum(-1))
    assert all(torch.equal(x, before[name]) for name, x in model.state_dict().items())
    assert all(part.training for part in model.modules())


@pytest.mark.parametrize("depth", [1, 2, 1000])
def test_any_depth_is_measured_beyond_what_a_float_can_hold(depth):
    torch.manual_seed(0)
    net = Dense(20, 20, depth)
    flow = seqbench.gradient_flow(net, torch.randn(4, 20), lambda outputs: outputs.sum(-1))
    last = flow[flow.lag == depth]
    assert last.log10_norm.notna().all()
    assert (last.n_zero == 0).all()
    assert (last.log10_norm < -0.5 * depth + 1).all()  # at 1,000 layers: 1e-700


def test_widths_may_change_from_layer_to_layer():
    model = network(3, widths=[9, 2, 4])
    assert [x.linear.out_features for x in model.stack.layers] == [9, 2, 4]
    assert model.readout.in_features == 4
    with pytest.raises(InputError, match=r"(?s)widths = \[9, 2\].*each of the 3 layers"):
        network(3, widths=[9, 2])


def test_tied_layers_are_a_recurrent_network_that_is_shown_its_input_once():
    torch.manual_seed(0)
    depth, width = 12, 6
    deep = Dense(width, width, depth, activation="tanh", tied=True)
    rnn = nn.RNN(1, width)
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(deep[0].linear.weight)
        rnn.bias_hh_l0.copy_(deep[0].linear.bias)
        rnn.bias_ih_l0.zero_()
    assert len(list(deep.parameters())) == 2
    h_BH, target = torch.randn(4, width), torch.randn(width)
    flow = seqbench.gradient_flow(deep, h_BH, lambda outputs: outputs @ target)
    state = h_BH[None].requires_grad_()
    out, _ = rnn(torch.zeros(depth, 4, 1), state)
    (grad,) = torch.autograd.grad((out[-1] @ target).sum(), state)
    first = flow[(flow.lag == depth) & (flow.state == "h")]
    assert first.log10_norm.item() == pytest.approx(
        grad[0].norm(dim=1).log10().mean().item(), abs=1e-4
    )


def test_a_sequential_of_ones_own_is_measured_layer_by_layer():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 9), nn.Tanh(), nn.Linear(9, 2))
    x_BI = torch.randn(5, 4)
    for kind in (None, "chain"):
        flow = seqbench.gradient_flow(net, x_BI, lambda outputs: outputs[:, 0], kind=kind)
        assert flow[flow.state == "h"].lag.tolist() == [0, 1, 2, 3]
    given = x_BI.clone().requires_grad_()
    (grad,) = torch.autograd.grad(net(given)[:, 0].sum(), given)
    inputs = flow[(flow.lag == 3) & (flow.state == "h")].log10_norm.item()
    assert inputs == pytest.approx(grad.norm(dim=1).log10().mean().item(), abs=1e-6)


class Mixing(nn.Module):
    def forward(self, x):
        return x - x.mean(0)


def test_layers_that_mix_examples_are_refused_unless_by_a_batch_norm():
    with pytest.raises(ValueError, match="alone in its batch"):
        seqbench.gradient_flow(nn.Sequential(Mixing()), torch.randn(4, 2), lambda o: o.sum(-1))


def test_what_is_no_network_in_depth_is_told():
    with pytest.raises(InputError, match=r"allowed: an nn\.Sequential"):
        seqbench.gradient_flow(nn.Linear(2, 2), torch.randn(4, 2), lambda o: o, kind="chain")
    with pytest.raises(InputError, match=r"layers = 2\nallowed: 1"):
        build(Dense, length=3, **SIZES, layers=2)
    with pytest.raises(ValueError, match="5 steps"):
        Layers(Dense(2, 2, 3)).chain(torch.zeros(5, 1, 2))


@pytest.mark.parametrize(
    ("option", "value"),
    [("activation", "cube"), ("init", "zero"), ("norm", "group"), ("tied", 1)],
)
def test_what_an_option_can_not_be_is_told_in_two_lines(option, value):
    with pytest.raises(InputError, match=f"{option} = .*\nallowed: "):
        Dense(2, 2, 2, **{option: value})


@pytest.mark.parametrize(
    ("init", "weight", "bias"),
    [("normal", 1.0, 1.0), ("unscaled", 300.0, 1.0), ("glorot", 1.0, 0.0), ("he", 2.0, 0.0),
     ("orthogonal", 1.0, 0.0)],
)  # fmt: skip
def test_weights_and_readout_are_drawn_with_the_variance_that_an_initialisation_is_known_for(
    init, weight, bias
):
    torch.manual_seed(0)
    net = Dense(300, 300, 1, init=init)
    for linear in (net[0].linear, net.readout(300)):
        assert linear.weight.var().item() * 300 == pytest.approx(weight, rel=0.02)
        assert linear.bias.std().item() == pytest.approx(bias, rel=0.15)


def test_a_model_of_a_sequential_without_a_readout_gets_torchs_own():
    class Plain(nn.Sequential):
        def __init__(self, input_size, hidden_size, depth):
            super().__init__(*(nn.Linear(input_size, input_size) for _ in range(depth)))

    model = build(Plain, length=4, **SIZES)
    assert isinstance(model, Model)
    assert model.readout.in_features == 5


def test_a_card_in_depth_runs_from_end_to_end(tmp_path):
    results = seqbench.run(
        "depth-mnist", out=tmp_path, lengths=[1, 3], seeds=1, steps=2,
        overrides={"recording.every": 1},
    )  # fmt: skip
    assert results.trials.status.tolist() == ["done", "done"]
    deep = results.flow[results.flow.length == 3]
    assert sorted(deep.lag.unique()) == [0, 1, 2, 3]
    speed = results.diagnostics[results.diagnostics.length == 3]
    assert sorted(speed["index"].unique()) == [1, 2, 3, 4]  # the output layer last
    assert sorted(speed.step.unique()) == [0, 1, 2]
    assert (tmp_path / "trials").is_dir()


def test_a_problem_of_many_steps_is_refused_in_depth(tmp_path):
    with pytest.raises(InputError, match=r"(?s)dense.*shown .* once"):
        seqbench.run("adding", out=tmp_path, cells=["dense"], lengths=[50], seeds=1, steps=1)


DEEP = """
name = "deep"
lengths = [6]
seeds = 1
cells = [{{ use = "dense", norm = "batch" }}]
[problem]
name = "flat_images"
train_images = 50
[training]
steps = 2
hidden_size = 5
eval_size = 20
[recording]
boundaries = "all"
diagnostics = {uses}
"""


def trained(uses):
    trial = resolve(cards.parse(DEEP.format(uses=uses), "card")).trials()[0]
    return loop.run(trial)


def test_diagnostics_leave_the_statistics_of_a_batch_norm_alone():
    plain, watched = (
        trained("[]"),
        trained('["learning_speed", "gradient_norm", "signal_to_noise"]'),
    )
    assert watched.curves["loss"].tolist() == plain.curves["loss"].tolist()
    assert watched.diagnostics["diagnostic"].nunique() == 3
    assert watched.diagnostics["value"].notna().any()


@pytest.mark.parametrize(
    "use", ["lyapunov", "singular_values", "spectral_radius", "saturation", "temporal_components",
            "sensitivity", "condition_number"],
)  # fmt: skip
def test_what_looks_at_steps_of_time_is_refused_in_depth(use):
    with pytest.raises(InputError, match=f"{use}.*steps of time.*\nallowed: .*learning_speed"):
        trained(f'["{use}"]')
