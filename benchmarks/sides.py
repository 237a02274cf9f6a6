"""The sides of a comparison: one training step without optimiser, loss at the last step.

Every side adds up the same gradient; `check` says so before anything is timed. All but the bare
layer and jax also give the gradient's norm, for each sequence, in float64, at boundaries.

Shapes: T steps, B sequences, I inputs, H outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seqbench.card.task import Training
from seqbench.engine.chain import backpropagate
from seqbench.engine.cut import Cut, choose
from seqbench.models.recurrent import Model, build
from seqbench.problems.adding import Adding
from seqbench.training.objective import ScoredLoss, gradient_of_loss

KINDS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}

Step = Callable[[], Tensor]  # -> the loss


@dataclass
class Work:
    """A model, and a batch of the adding problem for it.

    Attributes:
        boundaries: at how many at least the norm is wanted, the initial state's among them.
        start: the initial state, zeros.
    """

    kind: str
    T: int
    B: int
    H: int
    boundaries: int = 8
    device: str = "cpu"

    def __post_init__(self) -> None:
        torch.manual_seed(0)
        self.problem = Adding(self.T)
        self.model: Model = build(
            KINDS[self.kind], input_size=2, hidden_size=self.H, output_size=1
        ).to(self.device)
        self.batch = self.problem.sample(self.B, torch.Generator().manual_seed(0))
        self.inputs = self.batch.inputs.to(self.device)
        self.targets = self.batch.targets[-1].to(self.device)
        self.layer: nn.RNNBase = self.model.stack.layers[0]
        with torch.no_grad():
            _, (state,) = self.model.stack(self.inputs[:1])
        lstm = isinstance(state, tuple)
        zeros = tuple(map(torch.zeros_like, state)) if lstm else torch.zeros_like(state)
        self.start = (zeros,)  # given, so that it is the first boundary

    def __str__(self) -> str:
        return f"{self.kind} T={self.T} B={self.B} H={self.H}"

    def cut(self, **training) -> Cut:
        """What the rule says, but with as many boundaries as are wanted."""
        chosen = choose(self.model, self.inputs, Training(**training))
        shorter = min(chosen.segment, self.T // max(self.boundaries, 1))
        return Cut(shorter, recompute=chosen.recompute)


def ours_without_norms(work: Work, cut: Cut) -> Step:
    """seqbench's own step, as a trial takes it."""

    def step() -> Tensor:
        work.model.zero_grad(set_to_none=True)
        return gradient_of_loss(work.model, work.problem, work.batch, cut)

    return step


def ours(work: Work, cut: Cut) -> Step:
    """The same, with the norms."""

    def step() -> Tensor:
        grads: list[Tensor] = []

        def keep(i: int, grad_state: tuple[Tensor, ...]) -> None:
            grads.extend(grad_state)

        work.model.zero_grad(set_to_none=True)
        loss = ScoredLoss(work.model, work.problem, work.batch, cut)
        backpropagate(
            loss.links, loss.term, state=work.start, recompute=cut.recompute, at_boundary=keep
        )
        work.norms = _norms(torch.stack(grads))
        return loss.total

    return step


def _norms(grad: Tensor) -> Tensor:
    return torch.linalg.vector_norm(grad, dim=-1, dtype=torch.float64)


def bare(work: Work) -> Step:
    """torch's layer, one graph, no norms."""

    def step() -> Tensor:
        work.model.zero_grad(set_to_none=True)
        outputs, _ = work.layer(work.inputs)
        loss = (work.model.readout(outputs[-1]) - work.targets).square().mean()
        loss.backward()
        return loss.detach()

    return step


def jax_scan(work: Work) -> Step | None:
    """jax.lax.scan of the same cell under jit, value and gradient; None without jax."""
    try:
        import jax
        import jax.numpy as jnp
    except ImportError:
        return None
    jax.config.update("jax_platforms", "cpu")
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    weights = [jnp.asarray(getattr(work.layer, name).detach().numpy()) for name in names]
    readout = [jnp.asarray(p.detach().numpy()) for p in work.model.readout.parameters()]
    inputs, targets = jnp.asarray(work.inputs.numpy()), jnp.asarray(work.targets.numpy())
    cell = {"rnn": _jax_rnn, "gru": _jax_gru, "lstm": _jax_lstm}[work.kind](jnp, jax.nn)
    zeros = jnp.zeros((work.B, work.H))
    start = (zeros, zeros) if work.kind == "lstm" else (zeros,)

    def loss(parameters):
        (w_ih, w_hh, b_ih, b_hh), (w, b) = parameters

        def step(state, from_x):
            return cell(from_x, state[0] @ w_hh.T + b_hh, *state), None

        last, _ = jax.lax.scan(step, start, inputs @ w_ih.T + b_ih)
        return jnp.square(last[0] @ w.T + b - targets).mean()

    gradient = jax.jit(jax.value_and_grad(loss))

    def run() -> Tensor:
        value, gradients = gradient((weights, readout))
        jax.block_until_ready(gradients)
        return torch.tensor(float(value))

    return run


def _jax_rnn(jnp, nn) -> Callable:
    return lambda x, from_h, h: (jnp.tanh(x + from_h),)


def _jax_gru(jnp, nn) -> Callable:
    def cell(x, from_h, h):
        (xr, xz, xn), (hr, hz, hn) = jnp.split(x, 3, 1), jnp.split(from_h, 3, 1)
        z = nn.sigmoid(xz + hz)
        n = jnp.tanh(xn + nn.sigmoid(xr + hr) * hn)
        return (n + z * (h - n),)

    return cell


def _jax_lstm(jnp, nn) -> Callable:
    def cell(x, from_h, h, c):
        i, f, g, o = jnp.split(x + from_h, 4, 1)
        c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
        return nn.sigmoid(o) * jnp.tanh(c), c

    return cell


def check(work: Work, one: Step, other: Step) -> None:
    """Raises AssertionError unless two sides give the same loss and the same gradient."""
    losses, gradients = [], []
    for step in (one, other):
        losses.append(step())
        gradients.append([p.grad.clone() for p in work.model.parameters()])
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-4, atol=1e-6)
    for x, y in zip(*gradients, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-3, atol=1e-5)
