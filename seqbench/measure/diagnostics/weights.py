"""What the parameters say by themselves: spectral radius, gradient norms."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqbench.card.task import Trial
from seqbench.measure.diagnostics.moment import Moment
from seqbench.measure.diagnostics.picture import Panel, Picture

MOST_GATES = 8
GATES = {nn.LSTM: "ifgo", nn.LSTMCell: "ifgo", nn.GRU: "rzn", nn.GRUCell: "rzn"}


class SpectralRadius:
    """The largest modulus of the eigenvalues of each recurrent matrix.

    A recurrent matrix is a square parameter [n, n], or the squares of [g n, n] one below another,
    whose own name has "hh" or "recurrent" in it, as torch's do, or that of the nn.Linear it belongs
    to; a gate's is named as torch's layers order them (LSTM i, f, g, o; GRU r, z, n), else
    numbered. A cell without such a name has no values, nor has an LSTM with proj_size. A layer on
    top of another has "layers.1" in its name.

    Source: Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063, section 2.
    """

    over_time = True

    def pictures(self, trial: Trial) -> list[Picture]:
        """A panel a matrix, against the training step."""
        caption = (
            "The largest modulus of the eigenvalues of each recurrent matrix; of a gated cell, of "
            "each gate's. Dotted: 1. It is a property of the weights alone: neither the slopes of "
            "the units nor the gates are in it."
        )
        return [
            Picture(
                title="Spectral radius",
                caption=caption,
                lines=(1.0,),
                prefix="layers.0.",
                y="spectral radius",
            )
        ]

    def __call__(self, moment: Moment) -> dict[str, Tensor]:
        """By matrix."""
        return {
            name: torch.linalg.eigvals(matrix_nn.detach().double()).abs().max()
            for name, matrix_nn in recurrent_matrices(moment.model.stack).items()
        }


def recurrent_matrices(stack: nn.Module) -> dict[str, Tensor]:
    """Name -> [n, n]."""
    found: dict[str, Tensor] = {}
    for path, module in stack.named_modules():
        if "parametrizations" in path:
            continue
        computed = getattr(module, "parametrizations", {})  # orthogonal weights are computed
        for name in [*(name for name, _ in module.named_parameters(recurse=False)), *computed]:
            own = path.rpartition(".")[2] + name if isinstance(module, nn.Linear) else name
            if "hh" in own or "recurrent" in own:
                found |= _squares(f"{path}.{name}", getattr(module, name), module)
    return found


def _squares(name: str, weight: Tensor, module: nn.Module) -> dict[str, Tensor]:
    letters = next((g for cls, g in GATES.items() if isinstance(module, cls)), None)
    if weight.ndim != 2 or len(weight) % weight.shape[1]:
        return {}
    blocks = weight.split(weight.shape[1])
    if (letters and len(blocks) != len(letters)) or len(blocks) > MOST_GATES:
        return {}
    if len(blocks) == 1:
        return {name: weight}
    return {
        f"{name} {gate}": block for gate, block in zip(letters or range(9), blocks, strict=False)
    }


class GradientNorm:
    """The norm of the training gradient at every step, before clipping: of all parameters, and of
    each.

    Gathered on the device, moved at the next evaluation.

    Source: Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063, section 3.2.
    """

    when = "step"

    def pictures(self, trial: Trial) -> list[Picture]:
        """The norm of all parameters, with the level of clipping."""
        clip = trial.training.clip_norm
        clipped = f" Dotted: the norm {clip:g} to which longer ones were clipped." if clip else ""
        caption = (
            "The norm of the training gradient, of all parameters together, before any clipping."
            f"{clipped} diagnostics.csv has each parameter's."
        )
        level = (clip,) if clip else ()
        panels = (Panel(quantity="all", title="all parameters", lines=level),)
        return [Picture(title="Gradient norm", caption=caption, panels=panels, y="norm", log=True)]

    def __call__(self, moment: Moment) -> dict[str, Tensor]:
        """By parameter, and "all"."""
        named = [(n, p.grad) for n, p in moment.model.named_parameters() if p.grad is not None]
        norms = [grad.norm() for _, grad in named]
        return {"all": torch.stack(norms).norm()} | dict(
            zip((name for name, _ in named), norms, strict=True)
        )
