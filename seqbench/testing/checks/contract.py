"""Checks of the contract: what goes in, what comes out, and that nothing else is touched.

Shapes: T steps, B examples, I inputs, H = hidden_size, n whatever width the cell has.
"""

from __future__ import annotations

import copy
import random
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seqbench import plugins
from seqbench.engine.chain import flatten, rebuild
from seqbench.models.demands import (
    INDEPENDENT,
    NOT_RANDOM,
    REPEATABLE,
    ROUNDING,
    STARTS_FROM_ZEROS,
    UNCHANGED,
    depends_on_neighbours,
    largest_difference,
    mixed,
    watched,
)
from seqbench.testing.checks.subject import (
    EXAMPLES,
    STEPS,
    Fault,
    NotApplicable,
    Subject,
    check,
    clone,
    leaves,
    outline,
)


@check(
    "construction",
    "the class is called as MyCell(input_size, hidden_size, **options) and is a torch.nn.Module; "
    "if it wants other sizes, say --input and --hidden",
    needs=(),
)
def construction(subject: Subject) -> str:
    """MyCell(input_size, hidden_size) makes a module."""
    if not isinstance(subject.cls, type):
        raise Fault(f"{subject.cls!r} is no class")
    if not issubclass(subject.cls, nn.Module):
        raise Fault(f"{subject.cls.__name__} is no torch.nn.Module")
    layer = subject.layer()  # refuses batch_first and bidirectional
    count = sum(p.numel() for p in layer.parameters())
    return f"a {'layer' if subject.is_layer else 'cell'} with {count:,} parameters"


@check(
    "shapes",
    "forward(x, state=None) with x [B, I] returns the new state: a tensor [B, n], or a tuple of "
    "tensors whose first is the output, batch first, also for a batch of one",
    needs=("state's nesting",),
)
def shapes(subject: Subject) -> str:
    """Outputs and state at batch 1 and 4."""
    widths = set()
    advice = LAYER_CONTRACT if subject.is_layer else None
    for examples in (1, EXAMPLES):
        try:
            outputs, state = _first_step(subject, examples)
        except Fault:
            raise
        except Exception as error:
            _say_if_it_is_a_layer(subject)
            _say_if_it_needs_a_state(subject)
            told = f"at batch {examples}, without a state: {plugins.own_words(error)}"
            raise Fault(told, advice) from None
        steps = STEPS if subject.is_layer else 1
        if outputs.ndim != 3 or outputs.shape[:2] != (steps, examples):
            _say_if_it_is_a_layer(subject)
            wanted, found = [steps, examples], list(outputs.shape)
            if not subject.is_layer:
                wanted, found = wanted[1:], found[1:]
            raise Fault(
                f"at batch {examples} the output has shape {found}, not {str(wanted)[:-1]}, n]",
                advice,
            )
        for where, part in leaves(state):
            batch_dim = 1 if subject.is_layer and part.ndim > 2 else 0
            if part.ndim <= batch_dim or part.shape[batch_dim] != examples:
                _say_if_it_is_a_layer(subject)
                _say_if_it_returns_output_and_state(subject)
                raise Fault(
                    f"at batch {examples} state{where} has shape {list(part.shape)}: "
                    f"axis {batch_dim} is not the batch",
                    advice,
                )
        widths.add(outputs.shape[2])
    if len(widths) > 1:
        raise Fault(f"the output's width changes with the batch: {widths}")
    if (width := widths.pop()) != subject.hidden_size:
        return f"mind: the output is {width} wide, hidden_size was {subject.hidden_size}"
    return f"output {outline(outputs if subject.is_layer else outputs[0])}"


def _first_step(subject: Subject, examples: int) -> tuple[Tensor, Any]:
    x_TBI = subject.inputs(examples=examples)
    with torch.no_grad():
        if not subject.is_layer:
            after = subject.module()(x_TBI[0], None)
            return next(flatten(after))[None], after
        after = subject.module()(x_TBI, None)
    if not (isinstance(after, tuple) and len(after) == 2 and isinstance(after[0], Tensor)):
        what = str(list(after.shape)) if isinstance(after, Tensor) else type(after).__name__
        raise Fault(f"it returns {what}, not (outputs, state)", LAYER_CONTRACT)
    return after


LAYER_CONTRACT = (
    "a layer takes x [T, B, I] and a state or None, and returns (outputs [T, B, n], state); "
    "the state's tensors are [layers, B, n] or [B, n]; one that takes the batch first, [B, T, I], "
    "needs a wrapper that transposes x and the outputs"
)


def _say_if_it_is_a_layer(subject: Subject) -> None:
    """A class that was meant to take whole sequences, taken for a step cell."""
    if subject.is_layer:
        return
    try:
        with torch.no_grad():
            after = subject.module()(subject.inputs(), None)
    except Exception:
        return
    pair = isinstance(after, tuple) and len(after) == 2 and isinstance(after[0], Tensor)
    if pair and after[0].ndim == 3 and after[0].shape[:2] == (STEPS, EXAMPLES):
        raise Fault(
            "it takes whole sequences and returns (outputs, state): a layer, not a cell",
            'say so: --kind layer, and kind = "layer" in a card',
        )


def _say_if_it_needs_a_state(subject: Subject) -> None:
    """A cell that runs when it is given zeros, but not with state=None."""
    if subject.is_layer:
        return
    x_BI = subject.inputs()[0]
    h_BH = x_BI.new_zeros(len(x_BI), subject.hidden_size)
    for zeros in (h_BH, (h_BH, h_BH)):
        try:
            with torch.no_grad():
                after = subject.module()(x_BI, zeros)
        except Exception:
            continue
        also = "; it also returns (output, state), not the state alone"
        pair = isinstance(after, tuple) and len(after) == 2 and outline(after[1]) == outline(zeros)
        raise Fault(
            "it runs with a state of zeros, but not with state=None"
            + (also if pair and outline(after) != outline(zeros) else ""),
            "forward(self, x, state=None), and in it: if state is None, start from zeros, "
            "x.new_zeros(len(x), n), on the device and in the dtype of x",
        )


@check(
    "state fed back",
    "what forward returns is handed to it as `state` at the next step: return the same nesting of "
    "tensors, of the same shapes and types, at every step",
    needs=("shapes",),
)
def state_fed_back(subject: Subject) -> str:
    """The returned state is accepted as the next one, and looks like it, step after step."""
    layer, x_TBI, state, first = subject.layer(), subject.inputs(), None, None
    for t in range(STEPS):
        try:
            with torch.no_grad():
                _, state = layer(x_TBI[t : t + 1], clone(state))
            seen = outline(state)
        except Exception as error:
            _say_if_it_returns_output_and_state(subject)
            raise Fault(f"at step {t + 1}: {plugins.own_words(error)}") from None
        if first is not None and seen != first:
            _say_if_it_returns_output_and_state(subject)
            raise Fault(f"after step 1 the state is {first}, after step {t + 1} it is {seen}")
        first = seen
    return f"state {first}"


def _say_if_it_returns_output_and_state(subject: Subject) -> None:
    """A cell that returns (output, state), as many packages' cells do."""
    if subject.is_layer:
        return
    x_TBI, cell = subject.inputs(), subject.module()
    try:
        with torch.no_grad():
            first = cell(x_TBI[0], None)
            output, state = first
            second = cell(x_TBI[1], state)
            again = cell(x_TBI[0], None)
    except Exception:
        return
    if outline(second) != outline(first):
        return
    inner = next(flatten(state))
    name = subject.cls.__name__
    same = inner.shape == output.shape and torch.equal(next(flatten(again[1])), output)
    how = (
        ["        return super().forward(x, state)[1]"]
        if same
        else ["        return super().forward(x, None if state is None else state[1])"]
    )
    adapter = [
        f"class {name}Adapted({name}):",
        '    """The state alone; its first part is the output."""',
        "",
        "    def forward(self, x, state=None):",
        *how,
    ]
    raise Fault(
        "it returns (output, state): a cell returns the new state alone, "
        "whose first part is the output",
        "put this below it and bring the adapter instead:\n" + "\n".join(adapter),
    )


@check(*UNCHANGED, needs=("state fed back",))
def nothing_changed(subject: Subject) -> None:
    """Inputs and the state are the same after the call."""
    layer, x_TBI = subject.layer(), subject.inputs()
    with torch.no_grad():
        state = clone(layer(x_TBI[:1], None)[1])
        for given in (None, state):
            handed = {"x": x_TBI[1:2].clone()}
            if given is not None:
                handed |= {f"state{where}": part for where, part in leaves(given)}
            _, told = watched(partial(layer, handed["x"], given), handed)
            if told:
                raise Fault(told)


@check(*NOT_RANDOM, needs=(UNCHANGED.name,))
def random_state(subject: Subject) -> None:
    """A forward pass in eval mode draws nothing; a seed alone decides what is built."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1234)
        subject.cls(subject.input_size, subject.hidden_size, **subject.options)
        if torch.initial_seed() != 1234:
            raise Fault("the constructor seeds torch's global generator")
    one, other = subject.module(1234), subject.module(1234)
    for name, values in one.state_dict().items():
        if isinstance(values, Tensor) and largest_difference(values, other.state_dict()[name]) > 0:
            raise Fault(f"{name} differs between two cells that were built from the same seed")
    layer, x_TBI = subject.layer(), subject.inputs()
    for mode in ("eval", "training"):
        layer.train(mode == "training")
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            before = _random_states()
            layer(x_TBI, None)
            for whose, state in _random_states().items():
                if state != before[whose] and (mode == "eval" or whose != "torch"):
                    raise Fault(f"forward changes {whose}'s global random state in {mode} mode")


def _random_states() -> dict[str, Any]:
    _, keys, position, *rest = np.random.get_state(legacy=True)
    return {
        "torch": torch.get_rng_state().tolist(),
        "numpy": (list(keys), position, rest),
        "Python": random.getstate(),
    }


@check(*REPEATABLE, needs=(NOT_RANDOM.name,))
def nothing_kept(subject: Subject) -> None:
    """The same step gives the same numbers whatever was run before."""
    for mode in ("eval", "training"):
        layer, x_TBI = subject.layer().train(mode == "training"), subject.inputs()
        buffers = copy.deepcopy(layer.state_dict())
        before: list[Any] = []
        found: list[Any] = []
        state = None
        for t in range(STEPS):
            before.append(state)
            found.append(clone(_step(layer, x_TBI[t : t + 1], state, buffers)))
            state = found[-1][1]
        for t in reversed(range(STEPS)):
            again = _step(layer, x_TBI[t : t + 1], before[t], buffers)
            if (apart := largest_difference(found[t], again)) > ROUNDING:
                raise Fault(
                    f"in {mode} mode step {t + 1}, run again from the same state, differs "
                    f"by up to {apart:.2g}"
                )


def _step(layer: nn.Module, x_1BI: Tensor, state: Any, buffers: dict[str, Any]) -> Any:
    """One step, what it draws always the same; in training with the buffers as they were."""
    if layer.training:
        layer.load_state_dict(buffers)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return layer(x_1BI, clone(state))


@check(*STARTS_FROM_ZEROS)
def none_is_zeros(subject: Subject) -> None:
    """No state and a state of zeros give the same numbers."""
    layer, x_TBI = subject.layer(), subject.inputs()
    with torch.no_grad():
        from_none = layer(x_TBI, None)
        zeros = [torch.zeros_like(part) for part in flatten(from_none[1])]
        from_zeros = layer(x_TBI, rebuild(from_none[1], zeros))
    if (apart := largest_difference(from_none, from_zeros)) > ROUNDING:
        raise Fault(f"outputs or states differ by up to {apart:.2g}")


@check(
    "in pieces",
    "a layer takes time first, [T, B, I], runs forwards, and everything that it remembers is in "
    "its state; one that takes the batch first needs a wrapper that transposes x and the outputs",
)
def in_pieces(subject: Subject) -> None:
    """A layer gives the same in one go and in pieces, and earlier outputs ignore later inputs."""
    if not subject.is_layer:
        raise NotApplicable("for layers; a cell takes one step at a time")
    layer, x_TBI = subject.layer(), subject.inputs()
    changed_TBI = torch.cat([x_TBI[:4], 1 - 2 * x_TBI[4:]])
    with torch.no_grad():
        whole = layer(x_TBI, None)
        changed = layer(changed_TBI, None)
        first, middle = layer(x_TBI[:2], None)
        rest, last = layer(x_TBI[2:], clone(middle))
    if (apart := largest_difference(whole[0][:4], changed[0][:4])) > ROUNDING:
        raise Fault(
            f"outputs 1 to 4 change by up to {apart:.2g} when inputs 5 and 6 do: it "
            "looks ahead, or takes the batch first"
        )
    if (apart := largest_difference(whole, (torch.cat([first, rest]), last))) > ROUNDING:
        raise Fault(f"2 and 4 steps, the state handed on, differ from 6 steps by up to {apart:.2g}")


@check(*INDEPENDENT)
def examples_independent(subject: Subject) -> None:
    """Another first example leaves the others' numbers as they are, in training as well."""
    x_TBI = subject.inputs()
    other_TBI = torch.cat([1 - 3 * x_TBI[:, :1], x_TBI[:, 1:]], 1)
    for mode in ("training", "eval"):
        apart = depends_on_neighbours(partial(_outcome, subject, mode), x_TBI, other_TBI)
        if apart > ROUNDING:
            raise Fault(mixed(mode, EXAMPLES, apart))


def _outcome(subject: Subject, mode: str, inputs_TBI: Tensor) -> tuple[Tensor, ...]:
    """Outputs and state of a new layer, what it draws always the same; the batch second."""
    layer = subject.layer().train(mode == "training")  # its buffers may change
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        outputs_TBn, state = layer(inputs_TBI, None)
    parts = flatten(state)
    whole = (part if subject.is_layer and part.ndim > 2 else part[None] for part in parts)
    return outputs_TBn, *whole
