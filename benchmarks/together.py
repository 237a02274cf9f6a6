"""Seeds together: one training step of several seeds with stacked weights, against one after the
other. A prototype, here alone: what it would gain decides whether training should have it.

Shapes: S seeds, T steps, B sequences, I inputs, H outputs, O outputs of the readout.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.sides import KINDS, Work
from benchmarks.timing import Row, Table, interleaved, one_thread, ratio
from seqbench.engine import kernels
from seqbench.models.recurrent import Model, build
from seqbench.training.objective import gradient_of_loss

WORKS = [(40, 32, 32), (100, 64, 64), (200, 50, 128)]  # T, B, H
SEEDS = 5
CLIP, RATE = 1.0, 1e-3


def measure(quick: bool) -> Table:
    """Drawing, forward, loss, backward, norm, clip and Adam, for each work and kind."""
    table = Table(f"{SEEDS} seeds together against one after the other")
    for T, B, H in [(10, 4, 8)] if quick else WORKS:
        for kind in KINDS:
            table.rows.append(_row(Work(kind, T, B, H, 0), quick))
    table.notes.append(
        "A training step of each seed, drawing and Adam included, evaluation and records not. "
        "Together: the kernels' products are one a seed, all else is done for all at once. CPU "
        "time, one thread; before timing, both give the same gradients."
    )
    return table


def _row(work: Work, quick: bool) -> Row:
    models = [_model(work, seed) for seed in range(SEEDS)]
    together = Together(work, models)
    _check(work, models, together)
    alone = [_alone(work, model, seed) for seed, model in enumerate(models)]
    each = {"alone": lambda: [step() for step in alone], "together": together.step}
    with one_thread():
        taken = interleaved(
            each, seconds=0 if quick else 8, fewest=2 if quick else 15, clock=time.process_time
        )
    value, spread = ratio(taken["alone"], taken["together"])
    return Row(str(work), "together", "one after the other", value, None if quick else 1.5,
               "x (steps per second)", at_least=True, spread=spread)  # fmt: skip


def _model(work: Work, seed: int) -> Model:
    torch.manual_seed(seed)
    return build(KINDS[work.kind], input_size=2, hidden_size=work.H, output_size=1)


def _alone(work: Work, model: Model, seed: int) -> Callable[[], None]:
    """A step as `seqbench.training.loop` takes it."""
    generator, cut = torch.Generator().manual_seed(seed), work.cut()
    parameters = list(model.parameters())
    adam = torch.optim.Adam(parameters, lr=RATE, fused=True)

    def step() -> None:
        batch = work.problem.sample(work.B, generator)
        for p in parameters:
            p.grad = None
        gradient_of_loss(model, work.problem, batch, cut)
        norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        nn.utils.clip_grads_with_norm_(parameters, CLIP, norm)
        adam.step()

    return step


class Together:
    """The same for all seeds at once; a seed's parameters are a row of the stacked ones."""

    def __init__(self, work: Work, models: list[Model]) -> None:
        self.work = work
        self.kernel = kernels.MODES[models[0].stack.layers[0].mode]
        self.parameters = [  # the layer's four, the readout's two
            torch.stack([p.detach() for p in of_all]).requires_grad_()
            for of_all in zip(*(model.parameters() for model in models), strict=True)
        ]
        self.generators = [torch.Generator().manual_seed(seed) for seed in range(len(models))]
        self.adam = torch.optim.Adam(self.parameters, lr=RATE, fused=True)

    def step(self) -> None:
        """Draw, differentiate, clip each seed by its own norm, and move."""
        batches = [self.work.problem.sample(self.work.B, g) for g in self.generators]
        self.differentiate(batches)
        grads = [p.grad for p in self.parameters if p.grad is not None]
        squares_S = sum(g.square().flatten(1).sum(1) for g in grads)
        factor_S = (CLIP / (torch.as_tensor(squares_S).sqrt() + 1e-6)).clamp(max=1.0)
        for g in grads:
            g.mul_(factor_S.view(-1, *[1] * (g.ndim - 1)))
        self.adam.step()

    def differentiate(self, batches: list[Any]) -> None:
        """The gradient of the sum of all seeds' losses."""
        for p in self.parameters:
            p.grad = None
        *layer, weight_SOH, bias_SO = self.parameters
        inputs = [batch.inputs for batch in batches]
        last_SBH = _Layers.apply(self.kernel, inputs, *layer)
        targets_SBO = torch.stack([batch.targets[-1] for batch in batches])
        outputs_SBO = torch.baddbmm(bias_SO[:, None], last_SBH, weight_SOH.mT)
        (outputs_SBO - targets_SBO).square().mean((1, 2)).sum().backward()


class _Layers(torch.autograd.Function):
    """Each seed's layer over its own inputs: the last outputs, [S, B, H]."""

    @staticmethod
    def forward(ctx: Any, kernel: str, inputs: list[Tensor], *weights: Tensor) -> Tensor:
        ctx.kept, last = [], []
        for x_TBI, *own in zip(inputs, *(w.detach().numpy() for w in weights), strict=True):
            zeros_BH = np.zeros((x_TBI.shape[1], own[1].shape[1]), np.float32)
            cell_BH = zeros_BH if kernel == "lstm" else None
            kept, state = kernels._forward(kernel, x_TBI.numpy(), zeros_BH, cell_BH, *own)
            ctx.kept.append(kept)
            last.append(torch.from_numpy(state[0]))
        return torch.stack(last)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        found = [
            kernels._backward(
                kept, None, grad_BH.numpy(), None, need_x=False, examples=len(grad_BH)
            )
            for kept, grad_BH in zip(ctx.kept, grads[0].contiguous(), strict=True)
        ]
        stacked = [torch.stack([torch.from_numpy(g[i]) for g in found]) for i in (3, 4, 5, 6)]
        return None, None, *stacked


def _check(work: Work, models: list[Model], together: Together) -> None:
    """Raises AssertionError unless both give the same gradients."""
    batches = [
        work.problem.sample(work.B, torch.Generator().manual_seed(s)) for s in range(len(models))
    ]
    together.differentiate(batches)
    for seed, (model, batch) in enumerate(zip(models, batches, strict=True)):
        gradient_of_loss(model, work.problem, batch, work.cut())
        for p, stacked in zip(model.parameters(), together.parameters, strict=True):
            torch.testing.assert_close(p.grad, stacked.grad[seed], rtol=1e-3, atol=1e-5)
