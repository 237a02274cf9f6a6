"""A model: layer(s) over a sequence and a linear readout; its chain is the sequence in time.

Shapes: T steps, B examples, I inputs, H outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_args

import torch
from torch import Tensor, nn

from seqbench.card.tables import Kind
from seqbench.engine import kernels
from seqbench.engine.chain import Chain, Link, Part, State, flatten, rebuild
from seqbench.errors import InputError, reason
from seqbench.models.demands import (
    INDEPENDENT,
    LOOK,
    NOT_RANDOM,
    REPEATABLE,
    STARTS_FROM_ZEROS,
    UNCHANGED,
    watched,
)


class Unroll(nn.Module):
    """A step cell run over a sequence: torch's cell contract in, its layer contract out.

    Args:
        cell: (x [B, I], state or None) -> state, a tensor or a tuple whose first part is the
            output; all parts batch first.
    """

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x_TBI: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        outputs = []
        for x_BI in x_TBI.unbind(0):
            state = self.cell(x_BI, state)
            outputs.append(state if isinstance(state, Tensor) else state[0])
        return torch.stack(outputs), state


class Stack(nn.Module):
    """Layers on top of each other; the state is a tuple of the layers' own states.

    Args:
        layers: bottom first.
        embedding: what inputs that are tokens, [T, B], become before the first layer.
    """

    def __init__(self, layers: list[nn.Module], embedding: nn.Embedding | None = None) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.embedding = embedding

    def embed(self, inputs: Tensor) -> Tensor:
        """What the first layer is given, [T, B, I]: tokens embedded, anything else as it is."""
        return inputs if self.embedding is None else self.embedding(inputs)

    def forward(self, inputs: Tensor, states: Any = None) -> tuple[Tensor, tuple]:
        x_TBI, after = self.embed(inputs), []
        for i, layer in enumerate(self.layers):
            x_TBI, state = kernels.run(layer, x_TBI, None if states is None else states[i])
            after.append(state)
        return x_TBI, tuple(after)

    def chain(self, inputs_TBI: Tensor, run: Callable[..., Any] | None = None) -> TimeChain:
        """The layers over these inputs, to be cut anywhere in time.

        Args:
            run: what is run in their place: their compiled form.
        """
        return TimeChain(self, inputs_TBI, run or self)


class TimeChain:
    """Layers over a sequence, as a chain (`seqbench.engine.chain.Chain`) whose links are its steps.

    Args:
        stack: the layers.
        inputs_TBI: [T, B, I].
        run: by torch's layer contract, what is run: the stack, or its compiled form.
    """

    mixes = False

    def __init__(self, stack: Stack, inputs_TBI: Tensor, run: Callable[..., Any]) -> None:
        self.stack, self.inputs, self.run = stack, inputs_TBI, run
        self.length = len(inputs_TBI)

    def link(self, start: int, stop: int) -> Link:
        """The layers over steps start..stop-1."""
        return lambda state: self.run(self.inputs[start:stop], state)

    def shown(self, start: int, stop: int) -> slice:
        """The same steps."""
        return slice(start, stop)

    def place(self, step_B: Tensor) -> Tensor:
        """The same steps."""
        return step_B

    def repeated(self, copies: int) -> TimeChain:
        """The same over its sequences several times, copy after copy."""
        return TimeChain(self.stack, torch.cat([self.inputs] * copies, 1), self.run)

    def start(self) -> State:
        """The state of zeros that the layers start from.

        Looks at the first few steps: what a cell does to a state shows from the second one on.

        Raises:
            ValueError: the layers can't be run, start from something else when they are given no
                state, give other numbers when run twice, change what they are given, or let the
                examples of a batch mix; see `seqbench.models.demands`.
        """
        few, draws = self.inputs[:LOOK].clone(), torch.get_rng_state()
        with torch.no_grad():
            try:
                first, written = watched(lambda: self.run(few, None), {"x": few})
                drew = not torch.equal(torch.get_rng_state(), draws)
                again = self.run(few, None)
                zeros = rebuild(first[1], [torch.zeros_like(x) for x in flatten(first[1])])
            except (AttributeError, IndexError, RecursionError, RuntimeError, TypeError) as error:
                raise ValueError(self._can_not_run(error)) from error
            states = {f"state, part {i + 1}": x for i, x in enumerate(flatten(zeros))}
            given, also_written = watched(lambda: self.run(few, zeros), states)
            alone = self.run(few[:, :1], None)[0]
        if told := written or also_written:
            raise UNCHANGED.unmet(told)
        if not _same_numbers(first, again):
            raise (NOT_RANDOM if drew else REPEATABLE).unmet(
                "it gives other numbers when it is run twice, in eval mode too, so that no "
                "gradient can be measured"
            )
        if not _same_numbers(first, given):
            raise STARTS_FROM_ZEROS.unmet("without a state it does not start from a state of zeros")
        if not torch.allclose(alone, first[0][:, :1], rtol=1e-3, atol=1e-5, equal_nan=True):
            raise INDEPENDENT.unmet(
                "it gives an example other numbers when it is alone in its batch (is the batch "
                "taken for time or features?)"
            )
        return zeros

    def _can_not_run(self, error: Exception) -> str:
        told = f"the cell can't be run: {reason(error)}"
        if any(isinstance(layer, Unroll) for layer in self.stack.layers):
            told += "; a cell takes x [B, I] and a state, a whole-sequence layer needs kind='layer'"
        return told

    def parts(self) -> list[Part]:
        """h, c, s2, ... of every layer; what its class or the card leaves out is not in "all".

        Raises:
            ValueError: a part to be left out that is not there, or all of them.
        """
        with torch.no_grad():
            state = self.run(self.inputs[:1], None)[1]
        parts: list[Part] = []
        tensor = below = 0
        for layer, its_state in zip(self.stack.layers, state, strict=True):
            deep, first = 1, len(parts)
            left_out = getattr(_inner(layer), "leave_out", ())
            for number, x in enumerate(flatten(its_state)):
                name: str | None = ("h", "c")[number] if number < 2 else f"s{number}"
                if not (x.is_floating_point() or x.is_complex()):
                    name = None
                if isinstance(layer, Unroll) or x.ndim < 3:
                    parts.append(Part(below, name, tensor, None, 0, name not in left_out))
                else:  # torch's layers keep [layers, B, n] in one tensor
                    deep = x.shape[0]
                    parts += [
                        Part(below + row, name, tensor, row, 1, name not in left_out)
                        for row in range(deep)
                    ]
                tensor += 1
            _check_left_out(left_out, {part.name for part in parts[first:] if part.name})
            below += deep
        return parts


def _inner(layer: nn.Module) -> nn.Module:
    return layer.cell if isinstance(layer, Unroll) else layer


def _check_left_out(left_out: Sequence[str], names: set[str]) -> None:
    if left_out and (set(left_out) - names or not names - set(left_out)):
        raise ValueError(
            f"leave_out = {list(left_out)}: allowed: some, not all, of the state's parts, "
            f"{', '.join(sorted(names))}"
        )


def _same_numbers(one: Any, other: Any) -> bool:
    pairs = zip(flatten(one), flatten(other), strict=True)  # outputs, and all parts of the state
    return all(torch.allclose(x, y, equal_nan=True) for x, y in pairs)


class Model(nn.Module):
    """A stack and its readout, kept apart: the readout is applied only where a loss looks.

    Any other model that has a readout, and a method `chain(inputs)` that gives a
    `seqbench.engine.chain.Chain`, is trained and measured in the same way.

    Attributes:
        stack: inputs [T, B, I] -> (outputs [T, B, H], state).
        readout: [..., H] -> [..., O].
    """

    stack: Any  # a Stack, or Layers in depth

    def __init__(self, stack: nn.Module, readout: nn.Linear) -> None:
        super().__init__()
        self.stack = stack
        self.readout = readout

    def chain(self, inputs_TBI: Tensor, run: Callable[..., Any] | None = None) -> Chain:
        """Everything below the readout; see `Stack.chain`."""
        return self.stack.chain(inputs_TBI, run)


def is_layer(cls: type, kind: str | None = None) -> bool:
    """Whether a class takes whole sequences, by torch's layer contract, or a step at a time.

    Args:
        kind: "layer" or "cell", as a card may say; None: what the class says itself in an attribute
            `kind`, else an nn.RNNBase is a layer and anything else a cell.

    Raises:
        InputError: another kind.
    """
    if kind not in (None, *get_args(Kind)):
        raise InputError(f"kind = {kind!r}\nallowed: {', '.join(get_args(Kind))}")
    by_base = "layer" if isinstance(cls, type) and issubclass(cls, nn.RNNBase) else "cell"
    return (kind or getattr(cls, "kind", by_base)) == "layer"


def as_layer(module: nn.Module, kind: str | None = None) -> nn.Module:
    """Give a cell the layer contract; leave a layer alone.

    Args:
        module: a layer or a step cell.
        kind: which of the two, as for `is_layer`.

    Raises:
        InputError: a layer with batch_first or bidirectional set.
    """
    if not is_layer(type(module), kind):
        return Unroll(module)
    for name in ("batch_first", "bidirectional"):
        if getattr(module, name, False):
            raise InputError(
                f"{type(module).__name__}: {name} = True\n"
                "allowed: layers that take time first, [T, B, I], and run forwards"
            )
    return module


def build(
    cls: type,
    *,
    input_size: int,
    hidden_size: int,
    output_size: int,
    vocabulary: int = 0,
    layers: int = 1,
    kind: str | None = None,
    leave_out: Sequence[str] | None = None,
    options: dict[str, Any] | None = None,
) -> Model:
    """Layers of one class, each as wide as it says itself, and a readout for the last.

    Args:
        cls: called as cls(input_size, hidden_size, **options) for each layer.
        leave_out: parts of the state that are not in "all"; None: those that the class names.
        vocabulary: inputs are so many tokens, each embedded as a vector of hidden_size; 0: they are
            vectors of input_size.

    Raises:
        InputError: an option's value that a bundled cell refuses, or a layer that can't be run.
    """
    embedding = nn.Embedding(vocabulary, hidden_size) if vocabulary else None
    built, width = [], hidden_size if vocabulary else input_size
    for _ in range(layers):
        layer = as_layer(cls(width, hidden_size, **(options or {})), kind)
        if leave_out is not None:
            _inner(layer).leave_out = tuple(leave_out)  # type: ignore[assignment]
        layer.eval()  # a batch of one is enough to see how wide the outputs are
        with torch.no_grad():
            width = layer(torch.zeros(1, 1, width), None)[0].shape[-1]
        built.append(layer.train())
    return Model(Stack(built, embedding), nn.Linear(width, output_size))
