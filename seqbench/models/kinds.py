"""A class and what it takes become a model: in time, or in depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from torch import nn

from seqbench.card.tables import Kind
from seqbench.errors import InputError
from seqbench.models import deep, recurrent
from seqbench.models.deep import Layers
from seqbench.models.recurrent import Model, Stack


def is_chain(cls: type, kind: str | None = None) -> bool:
    """Whether a class is a network in depth, not in time.

    Args:
        kind: as a card may say; None: what the class says itself in an attribute `kind`, else an
            nn.Sequential is one.

    Raises:
        InputError: another kind.
    """
    if kind not in (None, *get_args(Kind)):
        raise InputError(f"kind = {kind!r}\nallowed: {', '.join(get_args(Kind))}")
    by_base = "chain" if isinstance(cls, type) and issubclass(cls, nn.Sequential) else "cell"
    return (kind or getattr(cls, "kind", by_base)) == "chain"


def as_stack(module: nn.Module, kind: str | None = None) -> Stack | Layers:
    """What can be measured, of any module.

    Args:
        module: a step cell, a whole-sequence layer, or an nn.Sequential of layers.
        kind: which of these; None: as it says itself.

    Raises:
        InputError: a layer with batch_first or bidirectional set, or a chain that is no Sequential.
    """
    if isinstance(module, Stack | Layers):
        return module
    if is_chain(type(module), kind):
        return deep.as_layers(module)
    return Stack([recurrent.as_layer(module, kind)])


def build(
    cls: type,
    *,
    length: int,
    steps: int | None = None,
    input_size: int,
    hidden_size: int,
    output_size: int,
    vocabulary: int = 0,
    layers: int = 1,
    kind: str | None = None,
    leave_out: Sequence[str] | None = None,
    options: dict[str, Any] | None = None,
) -> Model:
    """A model of a class.

    Args:
        cls: a step cell, a whole-sequence layer, or a network in depth.
        length: the trial's: of a network in depth, how many layers it has.
        steps: of the problem; None: it is none's. A network in depth is shown one.
        vocabulary: as for `recurrent.build`; a network in depth takes no tokens.
        layers: of cells on top of each other.
        leave_out: as for `recurrent.build`; of a network in depth, nothing.

    Raises:
        InputError: an option's value that a bundled class refuses, or what can't be run.
    """
    sizes = {"input_size": input_size, "hidden_size": hidden_size, "output_size": output_size}
    if not is_chain(cls, kind):
        if steps == 1:
            raise InputError(
                f"{cls.__name__} is a recurrent cell, and the problem shows all in one step: there "
                "is nothing to remember\nallowed: a network in depth, such as dense, or another "
                "problem, such as images"
            )
        return recurrent.build(
            cls,
            **sizes,
            vocabulary=vocabulary,
            layers=layers,
            kind=kind,
            leave_out=leave_out,
            options=options,
        )
    if vocabulary or steps not in (None, 1):
        told = "tokens" if vocabulary else f"{steps} steps"
        raise InputError(
            f"a network in depth is shown one vector once, and the problem has {told}\n"
            "allowed: a problem of one step, such as flat_images"
        )
    if layers != 1:
        raise InputError(f"layers = {layers}\nallowed: 1; the length says how deep a network is")
    return deep.build(cls, **sizes, depth=length, options=options)
