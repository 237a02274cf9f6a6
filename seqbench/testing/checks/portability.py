"""Checks that a cell can be moved: to float64, to a device, to a file, to a worker."""

from __future__ import annotations

import copy
import io
import os
import subprocess
import sys
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from seqbench import plugins
from seqbench.engine.chain import flatten
from seqbench.measure.state import widened
from seqbench.models.demands import ROUNDING, largest_difference
from seqbench.testing.checks.subject import (
    Fault,
    NotApplicable,
    Subject,
    check,
    clone,
)

PLAIN = (
    "what a cell computes with is a parameter or register_buffer(name, tensor), both of which move "
    "with it; new tensors take after x: x.new_zeros(len(x), n)"
)


@check(
    "dtype",
    PLAIN + "; no .float() and no dtype=torch.float32",
    needs=("nothing kept between calls", "copy"),
)
def dtype(subject: Subject) -> None:
    """A cell in float64 computes in float64."""
    layer, state = widened(subject.layer()), None
    x_TBI = subject.inputs().double()
    for t in range(2):
        try:
            with torch.no_grad():
                outputs, state = layer(x_TBI[t : t + 1], clone(state))
        except Exception as error:
            raise Fault(f"after .double(): {plugins.own_words(error)}" + _plain(subject)) from None
        for part in (outputs, *flatten(state)):
            wanted = torch.complex128 if part.is_complex() else torch.float64
            if part.dtype != wanted and (part.is_floating_point() or part.is_complex()):
                raise Fault(f"after .double() it returns {part.dtype}" + _plain(subject))


class _OneDevice(TorchDispatchMode):
    """Refuses an operation on tensors of two devices, which the meta device often lets pass."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor) and x.ndim]
        devices = sorted({x.device.type for x in tensors})
        # Those may: a copy between devices, an index on the CPU.
        if len(devices) > 1 and not str(func).startswith(("aten.copy_", "aten.index")):
            raise TwoDevices(f"{str(func).split('.')[1]} meets tensors on {' and '.join(devices)}")
        return func(*args, **(kwargs or {}))


class TwoDevices(RuntimeError):
    """Tensors on two devices meet."""


@check("device", PLAIN + "; no .cpu(), .numpy() or device='cpu'")
def device(subject: Subject) -> str:
    """A cell that was moved computes there: on a GPU, or on torch's meta device, which is none."""
    where = "cuda" if torch.cuda.is_available() else "meta"
    layer, state = subject.layer().to(where), None
    x_TBI = subject.inputs().to(where)
    for t in range(2):
        try:
            # Where there are numbers, torch itself refuses to mix devices.
            with torch.no_grad(), _OneDevice() if where == "meta" else nullcontext():
                outputs, state = layer(x_TBI[t : t + 1], state)
        except Exception as error:
            words = plugins.own_words(error)
            if where == "meta" and not isinstance(error, TwoDevices) and "on device" not in words:
                raise NotApplicable(f"no GPU here, and without numbers it says: {words}") from None
            raise Fault(f"on {where}: {words}" + _plain(subject)) from None
        for part in (outputs, *flatten(state)):
            if part.device.type != where:
                raise Fault(f"on {where} it returns a tensor on {part.device}" + _plain(subject))
    return f"tried on {where}"


@check(
    "copy",
    "copy.deepcopy must give a second cell that computes the same: no locks or open files, no "
    "functions that hold on to the cell, no tensors computed from parameters in the constructor "
    "(compute them in forward, or use torch.nn.utils.parametrizations)",
)
def copies(subject: Subject) -> None:
    """A copy gives the same numbers: seqbench measures in float64 on one."""
    layer, x_TBI = subject.layer(), subject.inputs()
    try:
        other = copy.deepcopy(layer)
    except Exception as error:
        raise Fault(f"copy.deepcopy: {plugins.own_words(error)}" + _plain(subject)) from None
    with torch.no_grad():
        found = clone(layer(x_TBI, None))
        for parameter in layer.parameters():
            parameter.mul_(0.5)
        apart = largest_difference(found, other(x_TBI, None))
    if apart > ROUNDING:
        raise Fault(
            f"a copy differs by up to {apart:.2g}, or changes when the original's parameters do"
            + _plain(subject)
        )


@check(
    "state_dict",
    "all that a trained cell is must be in its parameters and buffers (nn.ModuleList in place of a "
    "list): seqbench puts earlier parameters back from a state_dict to measure the gradient flow",
)
def state_dict(subject: Subject) -> None:
    """Saved, loaded with weights_only, put into a second module: the same numbers."""
    layer, other = subject.layer(), subject.layer(seed=1)
    x_TBI, file = subject.inputs(), io.BytesIO()
    with torch.no_grad():
        found = clone(layer(x_TBI, None))
    torch.save(layer.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    with torch.no_grad():
        again = other(x_TBI, None)
    if (apart := largest_difference(found, again)) > ROUNDING:
        raise Fault(
            f"a second one with the same state_dict differs by up to {apart:.2g}" + _plain(subject)
        )


def _plain(subject: Subject) -> str:
    """Names of plain tensors and lists of modules, which torch does not know of."""
    found = []
    for prefix, part in subject.module().named_modules():
        for name, value in vars(part).items():
            values = value.values() if isinstance(value, dict) else value
            inside = values if isinstance(value, (list, tuple, dict)) else [value]
            if not name.startswith("_") and any(isinstance(x, (Tensor, nn.Module)) for x in inside):
                found.append(f"{prefix}.{name}".lstrip("."))
    return f"; neither parameters nor buffers: {', '.join(found)}" if found else ""


@check(
    "import in a new process",
    "define the class at the top level of a module or file, and guard a script's own doings with "
    'if __name__ == "__main__"; a class that exists only in Python runs in the calling process, '
    "one trial at a time",
    needs=("construction",),
)
def importable(subject: Subject) -> None:
    """A worker, which is a fresh interpreter, finds the class."""
    name = subject.cls.__qualname__
    if subject.spec is None and "<locals>" in name:
        raise Fault(f"{name} is defined inside a function")
    spec = subject.spec or f"{subject.cls.__module__}:{name}"
    if spec.startswith("__main__:"):
        raise Fault(f"{name} is defined in the script or notebook that is being run")
    if plugins.load(spec) is not subject.cls:
        raise Fault(f"{spec} is another class")
    if failure := _import_elsewhere(spec):
        raise Fault(failure)


_found_elsewhere: set[str] = set()  # packages and files


def _import_elsewhere(spec: str) -> str | None:
    """What a fresh interpreter says when it fails; a package or file that it finds is tried once,
    since its other modules were imported here."""
    where = spec.rpartition(":")[0]
    where = where if where.endswith(".py") else where.partition(".")[0]
    if where in _found_elsewhere:
        return None
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path)}
    code = "import sys; from seqbench import plugins; plugins.load(sys.argv[1])"
    ran = subprocess.run(
        [sys.executable, "-P", "-c", code, spec],
        capture_output=True,
        text=True,
        errors="replace",
        env=environment,
    )
    if ran.returncode:
        last = (ran.stderr.strip().splitlines() or ["no words"])[-1]
        return f"a fresh interpreter ends with status {ran.returncode}: {last}"
    _found_elsewhere.add(where)
    return None
