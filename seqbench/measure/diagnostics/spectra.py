"""What a product of Jacobians does to volumes and directions: Lyapunov exponents, singular values.

Both come from QR factors. The product itself is of no use: after a few steps its small singular
values are rounding errors of its large ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor

from seqbench.card.task import Trial
from seqbench.errors import InputError
from seqbench.measure.diagnostics.jacobian import jacobians, last_steps
from seqbench.measure.diagnostics.moment import Moment
from seqbench.measure.diagnostics.picture import Panel, Picture

SWEEPS = 100  # at most; a long product needs two or three
CLOSE = 1e-8  # decades
SVD_RANGE = 4.0  # decades of singular values that an SVD in float64 has to 1e-10


class Lyapunov:
    """Finite-time conditional Lyapunov exponents, natural log, per step: how fast nearby states
    part (positive) or meet (negative) under the same inputs.

    Forward QR of J_t = d s_t / d s_(t-1), the full state (h, c), in float64, every step of the
    window: the last `window` steps of the sequence (copy: of the blanks). Quantities: "exponent"
    (mean over sequences, by rank), "spread" (their standard deviation), "zeros" (sequences whose
    exponent is -inf: a zero on R's diagonal, to rounding; they are in neither of the others).

    Args:
        window: steps.
        sequences: of the probe batch.
        exponents: how many, the largest first, or "all".

    Source: Benettin et al. 1980, Meccanica 15; for recurrent networks: Vogt et al. 2022,
    arXiv:2006.14123.
    """

    over_time = True

    def __init__(
        self, window: int = 100, sequences: int = 4, exponents: int | Literal["all"] = "all"
    ) -> None:
        check_counts("lyapunov", window=window, sequences=sequences)
        if exponents != "all":
            check_counts("lyapunov", exponents=exponents)
        self.window, self.sequences, self.exponents = window, sequences, exponents

    def pictures(self, trial: Trial) -> list[Picture]:
        """The spectrum at both ends of training, and its largest against the step."""
        where = (
            f"natural log per step, mean over {self.sequences} probe sequences, over their last "
            f"{self.window} steps (of the blanks where the problem has them; fewer where there "
            "are fewer)"
        )
        spectrum = Picture(
            title="Lyapunov exponents",
            caption="How fast nearby states part (above 0) or meet (below) under the same inputs, "
            f"{where}; the largest first. Dotted: 0.",
            panels=(Panel(quantity="exponent", title="exponents", lines=(0.0,)),),
            over="index",
            x="rank",
            y="exponent, per step",
            offset=1,
            infinite="zeros",
        )
        largest = Picture(
            name="largest",
            title="The largest Lyapunov exponent over training",
            caption=f"The first of the exponents, {where}. Dotted: 0.",
            panels=(Panel(quantity="exponent", title="largest exponent", lines=(0.0,), index=0),),
            y="exponent, per step",
            infinite="zeros",
        )
        return [spectrum, largest]

    def __call__(self, moment: Moment) -> dict[str, Tensor]:
        """The exponents of the model's layers at this moment."""
        steps = last_steps(moment, self.window)
        inputs_TBI = moment.batch.inputs[:, : self.sequences]
        if not steps:
            return {}  # copy with T = 1 has no blanks
        count = None if self.exponents == "all" else self.exponents
        found_Bk = exponents(jacobians(moment.model, inputs_TBI, steps), count)
        finite = found_Bk.isfinite()
        known = torch.where(finite, found_Bk, torch.nan)
        mean_k = known.nanmean(0)
        return {
            "exponent": mean_k,
            "spread": (known - mean_k).square().nanmean(0).sqrt(),
            "zeros": (~finite).sum(0),
        }


class SingularValues:
    """Singular values of d s_T / d s_(T-k), log10, the largest first: in how many directions of
    the state a gradient survives k steps.

    From the QR factors of the single steps' Jacobians, in float64; the mean over sequences (-inf
    where one of them is exactly 0). T is the last step of the sequence (copy: of the blanks).

    Args:
        steps: the k, each a quantity of its own; those that the sequence is too short for are
            left out.
        sequences: of the probe batch.

    Source: D. E. Stewart 1997, A new algorithm for the SVD of a long product of matrices,
    Electronic Transactions on Numerical Analysis 5, in its plainest form.
    """

    over_time = True

    def __init__(self, steps: Sequence[int] = (1, 10, 50), sequences: int = 4) -> None:
        self.steps = check_steps("singular_values", steps, sequences)
        self.sequences = sequences

    def pictures(self, trial: Trial) -> list[Picture]:
        """The values by rank, a panel for each k, at both ends of training."""
        caption = (
            "log10 of the singular values of d s_T / d s_(T−k), the largest first: in how many "
            "directions of the state a gradient survives k steps, and how much of it. Mean over "
            f"{self.sequences} probe sequences. T: the last step (of the blanks where the problem "
            "has them). Dotted: 0, neither grown nor shrunk."
        )
        panels = tuple(
            Panel(quantity=f"over {k} steps", title=f"k = {k}", lines=(0.0,)) for k in self.steps
        )
        return [
            Picture(
                title="Singular values",
                caption=caption,
                panels=panels,
                over="index",
                x="rank",
                y="log10, decades",
                floor=-20.0,
                offset=1,
            )
        ]

    def __call__(self, moment: Moment) -> dict[str, Tensor]:
        """The singular values of the model's layers at this moment."""
        inputs_TBI = moment.batch.inputs[:, : self.sequences]
        window = last_steps(moment, self.steps[-1])
        each = list(jacobians(moment.model, inputs_TBI, window))
        return {
            f"over {count} steps": log10_singular_values(each[-count:]).mean(0)
            for count in self.steps
            if count <= len(each)
        }


def check_counts(name: str, **given: int) -> None:
    """Raises InputError for an option that is no whole number above 0."""
    for key, value in given.items():
        if type(value) is not int or value < 1:
            raise InputError(f"{name}: {key} = {value!r}\nallowed: a whole number, 1 or more")


def check_steps(name: str, steps: Sequence[int], sequences: int) -> list[int]:
    """The steps in ascending order; raises InputError if they, or the sequences, are no counts."""
    if not isinstance(steps, Sequence) or isinstance(steps, str) or not steps:
        raise InputError(f"{name}: steps = {steps!r}\nallowed: a list, as in [1, 10]")
    for count in steps:
        check_counts(name, steps=count)
    check_counts(name, sequences=sequences)
    return sorted(steps)


def exponents(each_Bnn: Iterable[Tensor], count: int | None = None) -> Tensor:
    """Lyapunov exponents of a sequence of Jacobians, [B, count], natural log per step.

    Args:
        each_Bnn: first step first.
        count: the largest so many; None: all n.
    """
    frame_Bnk, logs_TBk = None, []
    for jacobian_Bnn in each_Bnn:
        if frame_Bnk is None:
            n = jacobian_Bnn.shape[-1]
            frame_Bnk = _start(jacobian_Bnn, min(count or n, n))
        frame_Bnk, _, diagonal_Bk = _factors(jacobian_Bnn @ frame_Bnk)
        logs_TBk.append(diagonal_Bk.log())
    return torch.stack(logs_TBk).mean(0).sort(-1, descending=True)[0]


def _factors(image_Bnk: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Q, R and the sizes on R's diagonal: 0 where a column lies in the span of those before it, to
    rounding: a direction that the step has lost."""
    frame_Bnk, factor_Bkk = torch.linalg.qr(image_Bnk)
    diagonal_Bk = factor_Bkk.diagonal(dim1=-2, dim2=-1).abs()
    rounding = image_Bnk.shape[-2] * torch.finfo(image_Bnk.dtype).eps
    lost_Bk = diagonal_Bk <= rounding * torch.linalg.vector_norm(image_Bnk, dim=-2)
    return frame_Bnk, factor_Bkk, torch.where(lost_Bk, 0.0, diagonal_Bk)


def _start(like_Bnn: Tensor, count: int) -> Tensor:
    # A random frame: the unit vectors may be special (an LSTM's h and c).
    draws = torch.randn(
        like_Bnn.shape[-1], count, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    return torch.linalg.qr(draws)[0].to(like_Bnn.device).expand(len(like_Bnn), -1, -1)


def log10_singular_values(factors_Bnn: Sequence[Tensor]) -> Tensor:
    """log10 of the singular values of factors[-1] @ ... @ factors[0], [B, n], largest first.

    QR factors of the product, then of its transpose, back and forth until they are diagonal: the
    product itself is formed only where its singular values differ so little that an SVD has them
    all. Directions that are lost on the way are -inf.
    """
    factors = list(factors_Bnn)
    logs_Bn: Tensor | None = None
    rank_B: Tensor | None = None
    for _ in range(SWEEPS):
        frame_Bnn, triangles, diagonals = torch.eye(factors[0].shape[-1]).to(factors[0]), [], []
        for factor_Bnn in factors:
            frame_Bnn, triangle_Bnn, diagonal_Bn = _factors(factor_Bnn @ frame_Bnn)
            triangles.append(triangle_Bnn)
            diagonals.append(diagonal_Bn)
        if rank_B is None:  # a direction once lost stays lost
            rank_B = (torch.stack(diagonals) > 0).all(0).sum(-1, keepdim=True)
            close = _close_together(factors, diagonals)
            if close is not None:
                return close
        each = (t.diagonal(dim1=-2, dim2=-1).abs().log10() for t in triangles)
        before, logs_Bn = logs_Bn, sum(each, start=torch.zeros(()))
        if before is not None and torch.allclose(logs_Bn, before, rtol=0, atol=CLOSE):
            break
        factors = [triangle.mT for triangle in reversed(triangles)]
    assert logs_Bn is not None  # there is at least one sweep
    assert rank_B is not None
    ordered_Bn = logs_Bn.sort(-1, descending=True)[0]
    ranks_n = torch.arange(ordered_Bn.shape[-1], device=ordered_Bn.device)
    return torch.where(ranks_n < rank_B, ordered_Bn, -torch.inf)


def _close_together(factors: Sequence[Tensor], diagonals: list[Tensor]) -> Tensor | None:
    """By an SVD of the product, if all singular values lie within SVD_RANGE decades."""
    logs_Bn = torch.stack(diagonals).log10().sum(0)
    if not (logs_Bn.amax(-1) - logs_Bn.amin(-1) < SVD_RANGE).all():
        return None
    product_Bnn, log_B1 = torch.eye(factors[0].shape[-1]).to(factors[0]), 0.0
    for factor_Bnn in factors:
        product_Bnn = factor_Bnn @ product_Bnn
        size_B11 = torch.linalg.matrix_norm(product_Bnn, keepdim=True)
        product_Bnn, log_B1 = product_Bnn / size_B11, log_B1 + size_B11[..., 0].log10()
    return torch.linalg.svdvals(product_Bnn).log10() + log_B1
