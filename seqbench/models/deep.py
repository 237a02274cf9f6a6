"""A deep feedforward network: layers that are shown their input once; its chain is the layers.

Shapes: B examples, I inputs, n entries of a layer's output, O outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.engine.chain import Link, Part
from seqbench.errors import InputError, reason
from seqbench.models.recurrent import Model

NORMS_OF_BATCHES = nn.modules.batchnorm._BatchNorm


class Layers(nn.Module):
    """Layers on top of each other, each [B, n] -> [B, its own n]; the state is what one gives.

    Args:
        layers: first to last; one that comes again shares its weights with itself.
    """

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x_1BI: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """By torch's layer contract, for what is shown once."""
        return self.chain(x_1BI).link(0, len(self.layers))(state)

    def chain(self, inputs_1BI: Tensor, run: Callable[..., Any] | None = None) -> LayerChain:
        """The layers over these inputs, to be cut between any two.

        Raises:
            ValueError: more steps than one, or layers that are to be run in a compiled form.
        """
        if len(inputs_1BI) != 1:
            raise ValueError(f"{len(inputs_1BI)} steps; a chain of layers is shown its input once")
        return LayerChain(list(self.layers), inputs_1BI[0])

    def measured_in_training(self) -> list[nn.Module]:
        """Batch norms: by running statistics that have seen nothing yet they would do nothing."""
        return batch_norms(self.layers)


class LayerChain:
    """Layers as a chain (`seqbench.engine.chain.Chain`); its one step comes out at the end.

    A lag counts layers from the output. Before the first layer the state is the input.

    Args:
        layers: each [B, n] -> [B, its own n].
        x_BI: the inputs, [copies * B, I].
        copies: how many times the examples are there, each time apart from the others: a batch norm
            sees one copy.
    """

    def __init__(self, layers: list[nn.Module], x_BI: Tensor, copies: int = 1) -> None:
        self.layers, self.x_BI, self.copies = layers, x_BI, copies
        self.length = len(layers)
        self.mixes = any(norm.training for norm in batch_norms(layers))

    def repeated(self, copies: int) -> LayerChain:
        """The same with its examples so many times over."""
        return LayerChain(self.layers, torch.cat([self.x_BI] * copies), copies)

    def link(self, start: int, stop: int) -> Link:
        """Layers start..stop-1."""

        def through(h_Bn: Tensor) -> Tensor:
            for layer in self.layers[start:stop]:
                h_Bn = layer(h_Bn)
            return h_Bn

        def run(state: Tensor | None) -> tuple[Tensor, Tensor]:
            h_Bn = self.x_BI if state is None else state
            after_Bn = torch.cat([through(one_Bn) for one_Bn in h_Bn.chunk(self.copies)])
            return after_Bn[None][self.shown(start, stop)], after_Bn

        return run

    def shown(self, start: int, stop: int) -> slice:
        """The one step, where the last layer is among them."""
        return slice(0, int(stop == self.length))

    def place(self, step_B: Tensor) -> Tensor:
        """The end."""
        return torch.full_like(step_B, self.length)

    def start(self) -> Tensor:
        """The inputs.

        Raises:
            ValueError: the layers can't be run, give other numbers when run twice, or let the
                examples of a batch mix, but by a batch norm.
        """
        whole = self.link(0, self.length)
        with torch.no_grad():
            try:
                first, again = whole(None)[1], whole(None)[1]
            except (AttributeError, IndexError, RuntimeError, TypeError) as error:
                raise ValueError(f"the layers can't be run: {reason(error)}") from error
            if not torch.allclose(first, again, equal_nan=True):
                raise ValueError(
                    "the layers give other numbers when they are run twice, in eval mode too, "
                    "so that no gradient can be measured"
                )
            alone = None if self.mixes else whole(self.x_BI[:1])[1]
        if alone is not None and not torch.allclose(
            alone, first[:1], rtol=1e-3, atol=1e-5, equal_nan=True
        ):
            raise ValueError(
                "the layers give an example other numbers when it is alone in its batch, so that "
                "no example has a gradient of its own"
            )
        return self.x_BI

    def parts(self) -> list[Part]:
        """What a layer gives, or the inputs: h."""
        return [Part(layer=0, name="h", tensor=0, row=None, batch_dim=0)]


def batch_norms(layers: Iterable[nn.Module]) -> list[nn.Module]:
    """Those among the layers' modules."""
    return [x for layer in layers for x in layer.modules() if isinstance(x, NORMS_OF_BATCHES)]


def build(
    cls: type,
    *,
    input_size: int,
    hidden_size: int,
    output_size: int,
    depth: int,
    options: dict[str, Any] | None = None,
) -> Model:
    """A network of a class, and its readout.

    Args:
        cls: called as cls(input_size, hidden_size, depth, **options), gives an nn.Sequential, each
            of whose modules is a layer; may have a method `readout(output_size)` that gives the
            linear readout.

    Raises:
        InputError: an option's value that a bundled class refuses, or no nn.Sequential.
    """
    network = cls(input_size, hidden_size, depth, **(options or {}))
    stack = as_layers(network)
    if hasattr(network, "readout"):
        return Model(stack, network.readout(output_size))
    network.eval()  # a batch of one is enough to see how wide the outputs are
    with torch.no_grad():
        width = network(torch.zeros(1, input_size)).shape[-1]
    network.train()
    return Model(stack, nn.Linear(width, output_size))


def as_layers(network: nn.Module) -> Layers:
    """The layers of a network, its own.

    Raises:
        InputError: it is no nn.Sequential, so that nobody knows where to cut it.
    """
    if not isinstance(network, nn.Sequential):
        raise InputError(
            f"{type(network).__name__}: kind = 'chain'\nallowed: an nn.Sequential of layers"
        )
    return Layers(network)
