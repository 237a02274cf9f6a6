"""Does what is shown at the needed lags decide the target? Asked of the data alone.

Sequences that show the same there must have the same target. Where inputs are real values nothing
is ever shown twice; there a fit stands in: quadratic, or by the nearest neighbour.

Shapes: B sequences, n needed lags, f columns of an input, D values of a target.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqbench.problems.batch import Batch

ALL = 0.98  # of the target explained: a fit is not exact
MOST = 12  # needs; of more the inputs hardly ever repeat
ENOUGH = 100  # sequences that show what another one has shown


def shown_at(batch: Batch, anchors_B: Tensor, lags_Bn: Tensor) -> Tensor:
    """The inputs at the needed lags, [B, n, f]."""
    steps_Bn = anchors_B[:, None] - lags_Bn - 1
    inputs = batch.inputs if batch.inputs.ndim == 3 else batch.inputs[..., None]
    return inputs[steps_Bn, torch.arange(len(anchors_B))[:, None]].double()


def explained(inputs_Bnf: Tensor, target: Tensor) -> float | None:
    """Share of the target ([B] classes or [B, D] values) that the inputs decide, 0 to 1; None where
    it can't be told.

    Of sequences that show what another one has shown, the share with the target that most of these
    have.
    """
    x_Bf = inputs_Bnf.flatten(1)
    real = target.is_floating_point()
    if x_Bf.shape[1] == 0:
        return 0.0
    if bool((x_Bf == x_Bf.round()).all()):
        return _same_shown_same_asked(x_Bf, target)
    if not real:
        return _by_neighbour(x_Bf, torch.nn.functional.one_hot(target).double())
    return max(_by_neighbour(x_Bf, target.double()), _by_quadratic(x_Bf, target.double()))


def chance(target: Tensor) -> float:
    """What `explained` would say of inputs that tell nothing."""
    if target.is_floating_point():
        return 0.0
    return target.bincount().max().item() / len(target)


def _same_shown_same_asked(x_Bf: Tensor, target: Tensor) -> float | None:
    _, group_B, counts_G = x_Bf.unique(dim=0, return_inverse=True, return_counts=True)
    repeated = int((counts_G - 1).sum())
    if repeated < ENOUGH:
        return None
    _, kind_B = target.reshape(len(target), -1).unique(dim=0, return_inverse=True)
    both_K2, counts_K = torch.stack([group_B, kind_B], 1).unique(dim=0, return_counts=True)
    most_G = torch.zeros_like(counts_G).scatter_reduce_(0, both_K2[:, 0], counts_K, "amax")
    return int((most_G - 1).sum()) / repeated


def _r2(guess_BD: Tensor, target_BD: Tensor) -> float:
    left = (guess_BD - target_BD).square().sum()
    return 1 - (left / (target_BD - target_BD.mean(0)).square().sum().clamp_min(1e-12)).item()


def _halves(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[: len(x) // 2], x[len(x) // 2 :]


def _by_neighbour(x_Bf: Tensor, target_BD: Tensor) -> float:
    """R2 of the nearest neighbour's target."""
    (known, new), (told, asked) = _halves(x_Bf), _halves(target_BD)
    return _r2(told[torch.cdist(new, known).argmin(1)], asked)


def _by_quadratic(x_Bf: Tensor, target_BD: Tensor) -> float:
    """R2 of a quadratic function, fitted on one half of the sequences, on the other half."""
    pairs = torch.triu_indices(x_Bf.shape[1], x_Bf.shape[1])
    ones = torch.ones(len(x_Bf), 1, dtype=x_Bf.dtype)
    features = torch.cat([ones, x_Bf, x_Bf[:, pairs[0]] * x_Bf[:, pairs[1]]], 1)
    (known, new), (told, asked) = _halves(features), _halves(target_BD)
    weights = torch.linalg.lstsq(known, told, driver="gelsd").solution
    return _r2(new @ weights, asked)
