"""What a half-trained trial is made of, as bytes and back: what it goes on from after a kill.

Written by torch.save as numbers, text, tensors, lists, tuples and dicts, read with weights_only:
opening it runs nobody's code, and every bit is as it was.
"""

from __future__ import annotations

import io
import math
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

CODE = (type, FunctionType, BuiltinFunctionType, MethodType, partial)
PLAIN = (bool, int, float, str, type(None))
MARK = "\0"  # the key that says what a dict stands for
OF_TORCH = vars(nn.Module()).keys() - {"training"}  # parameters, buffers, hooks


class Snapshot(NamedTuple):
    """A trial between two training steps.

    Attributes:
        step: training steps taken.
        state: gives all that the rest of the trial depends on; live, to be written at once; raises
            CannotKeep.
    """

    step: int
    state: Callable[[], dict[str, Any]]


class CannotKeep(TypeError):
    """A value that no file without code in it can hold."""


class Timer:
    """Says when so many seconds have passed since it last said so; 0: never."""

    def __init__(self, every: float) -> None:
        self.every, self.last = every or math.inf, time.monotonic()

    def is_due(self) -> bool:
        """Whether it is time."""
        now = time.monotonic()
        if now - self.last < self.every:
            return False
        self.last = now
        return True


def as_bytes(state: dict[str, Any]) -> bytes:
    """A state as a file.

    Raises:
        CannotKeep: something in it is no number, text, tensor, array, table, generator, or list,
            tuple, set or dict of these.
    """
    file = io.BytesIO()
    torch.save(_plain(state), file)
    return file.getvalue()


def from_bytes(content: bytes) -> dict[str, Any]:
    """The state in a file; tensors are on the device where they were.

    Raises:
        Exception: whatever torch says of bytes that are none of its.
    """
    state: dict[str, Any] = _alive(torch.load(io.BytesIO(content), weights_only=True))
    return state


def of_module(module: nn.Module) -> dict[str, Any]:
    """A module's parameters, buffers (persistent or not), extra state, and what else its parts keep
    in attributes, as far as that is plain."""
    return {
        "state": dict(module.state_dict()),
        "buffers": dict(module.named_buffers()),
        "attributes": {name: of_object(part) for name, part in module.named_modules()},
    }


def to_module(module: nn.Module, kept: dict[str, Any]) -> None:
    """Put back what `of_module` gave."""
    module.load_state_dict(kept["state"])
    with torch.no_grad():
        for name, buffer in module.named_buffers():
            buffer.copy_(kept["buffers"][name])
    for name, part in module.named_modules():
        to_object(part, kept["attributes"][name])


def of_object(thing: Any) -> dict[str, Any]:
    """What somebody's object keeps in its attributes, but for functions and classes.

    Raises:
        CannotKeep: something else than a file can hold; of a module's parts that is left out, since
            they have parameters, buffers and torch's get_extra_state for what changes.
    """
    kept, is_module = {}, isinstance(thing, nn.Module)
    for name, value in getattr(thing, "__dict__", {}).items():
        if (is_module and name in OF_TORCH) or isinstance(value, CODE):
            continue
        try:
            kept[name] = _plain(value)
        except CannotKeep as what:
            if not is_module:
                raise CannotKeep(f"{type(thing).__name__} keeps {what} in {name}") from None
    return kept


def to_object(thing: Any, kept: dict[str, Any]) -> None:
    """Put back what `of_object` gave."""
    for name, value in kept.items():
        now = vars(thing).get(name)
        if isinstance(now, torch.Generator) and isinstance(value, torch.Generator):
            now.set_state(value.get_state())  # somebody else may hold it too
        else:
            vars(thing)[name] = value


def of_random(device: torch.device) -> list[Tensor]:
    """The global generators' states."""
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


def to_random(device: torch.device, kept: list[Tensor]) -> None:
    """Put back what `of_random` gave."""
    torch.set_rng_state(kept[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(kept[1], device)


def _plain(value: Any) -> Any:
    """The same in what torch.load(weights_only=True) knows."""
    kind = type(value)
    if kind in PLAIN:
        return value
    if kind in (list, tuple):
        return kind(map(_plain, value))
    if kind is dict:
        return {_key(key): _plain(inner) for key, inner in value.items()}
    if kind in (set, deque):
        size = value.maxlen if kind is deque else None
        return {MARK: kind.__name__, "values": [_plain(one) for one in value], "size": size}
    if kind is Tensor and not value.requires_grad:
        whole = value.untyped_storage().nbytes() == value.nbytes
        return value if whole else value.clone()  # of a view torch would save all
    if kind is torch.Generator and value.device.type == "cpu":
        return {MARK: "generator", "state": value.get_state()}
    if kind is pd.DataFrame:
        columns = {str(name): _plain(value[name].to_numpy()) for name in value}
        types = {str(name): str(value[name].dtype) for name in value}
        return {MARK: "frame", "columns": columns, "types": types}
    if kind is pd.Series:
        index, values = value.index.to_numpy(), value.to_numpy()
        return {MARK: "series", "index": _plain(index), "values": _plain(values)}
    if isinstance(value, np.ndarray | np.generic):
        return _plain_array(np.asarray(value), isinstance(value, np.generic))
    raise CannotKeep(f"a {kind.__name__}")


def _key(key: Any) -> Any:
    parts = key if type(key) is tuple else (key,)
    if all(type(part) in PLAIN for part in parts):
        return key
    raise CannotKeep(f"a {type(key).__name__} as a key")


def _plain_array(array: np.ndarray, is_number: bool) -> dict[str, Any]:
    if array.dtype.kind in "OUT":  # text
        return {MARK: "text", "values": _plain(array.tolist())}
    try:
        return {MARK: "number" if is_number else "array", "values": torch.from_numpy(array.copy())}
    except TypeError:
        raise CannotKeep(f"an array of {array.dtype}") from None


def _alive(value: Any) -> Any:
    """What `_plain` was given."""
    if isinstance(value, list | tuple):
        return type(value)(map(_alive, value))
    if not isinstance(value, dict):
        return value
    if MARK not in value:
        return {key: _alive(inner) for key, inner in value.items()}
    match value[MARK]:
        case "set":
            return set(_alive(value["values"]))
        case "deque":
            return deque(_alive(value["values"]), value["size"])
        case "generator":
            generator = torch.Generator()
            generator.set_state(value["state"])
            return generator
        case "frame":
            columns = {name: _alive(one) for name, one in value["columns"].items()}
            return pd.DataFrame(columns).astype(value["types"])
        case "series":
            return pd.Series(_alive(value["values"]), index=_alive(value["index"]))
        case "text":
            return np.array(value["values"], dtype=object)
        case "number":
            return value["values"].numpy()[()]
    return value["values"].numpy()
