"""From a name, "module:Class" or "path/to/file.py:Class" to the class.

Only what is named is imported; listing reads names alone. What workers receive is the *resolved*
spec, so that they need no registration of their own.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from importlib.metadata import entry_points
from pathlib import Path
from typing import Literal

from seqbench.errors import InputError

Kind = Literal["cells", "problems", "diagnostics"]

# name -> (spec, one line for `seqbench list`)
BUILTIN: dict[Kind, dict[str, tuple[str, str]]] = {
    "cells": {
        "rnn": (
            "seqbench.cells.rnn:RNN",
            "vanilla RNN; options: nonlinearity, recurrent (how its matrix is drawn), gain, "
            "spectral_radius, layer_norm, residual",
        ),
        "gru": (
            "seqbench.cells.gru:GRU",
            "gated recurrent unit (Cho et al. 2014); options: chrono",
        ),
        "lstm": (
            "seqbench.cells.lstm:LSTM",
            "long short-term memory (Gers et al. 2000); options: forget_bias, chrono, layer_norm",
        ),
        "irnn": (
            "seqbench.cells.rnn:IRNN",
            "relu RNN that starts at the identity (Le et al. 2015); options: gain",
        ),
        "orthogonal": (
            "seqbench.cells.rnn:Orthogonal",
            "RNN whose recurrent matrix stays orthogonal (Lezcano 2019); options: nonlinearity",
        ),
        "lstm1997": (
            "seqbench.cells.lstm:LSTMWithoutForgetGate",
            "long short-term memory without a forget gate (Hochreiter & Schmidhuber 1997)",
        ),
        "slstm": (
            "seqbench.cells.slstm:SLSTM",
            "exponential gates and a normaliser (xLSTM, Beck et al. 2024); options: forget_bias",
        ),
        "lru": (
            "seqbench.cells.linear:LRU",
            "linear recurrent unit (Orvieto et al. 2023); options: r_min, r_max, max_phase, mix, "
            "parallel",
        ),
        "mingru": (
            "seqbench.cells.linear:MinGRU",
            "gates that don't see the state (Feng et al. 2024); options: parallel",
        ),
        "minlstm": (
            "seqbench.cells.linear:MinLSTM",
            "the same of the LSTM (Feng et al. 2024); options: forget_bias, parallel",
        ),
    },
    "problems": {
        "adding": (
            "seqbench.problems.adding:Adding",
            "add the two marked values; protocols: seqbench, hochreiter1997, arjovsky2016",
        ),
        "copy": (
            "seqbench.problems.copy:Copy",
            "recall ten symbols after T blanks; protocol: arjovsky2016",
        ),
    },
    "diagnostics": {
        "lyapunov": (
            "seqbench.diagnostics.spectra:Lyapunov",
            "finite-time Lyapunov exponents; options: window, sequences, exponents",
        ),
        "singular_values": (
            "seqbench.diagnostics.spectra:SingularValues",
            "of the state's Jacobian over k steps; options: steps, sequences",
        ),
        "spectral_radius": (
            "seqbench.diagnostics.weights:SpectralRadius",
            "of each recurrent matrix",
        ),
        "saturation": (
            "seqbench.diagnostics.saturation:Saturation",
            "shares of shut and open gates, flat tanh units, dead rectifiers",
        ),
        "signal_to_noise": (
            "seqbench.diagnostics.signal:SignalToNoise",
            "of the flow over examples, by lag; options: boundaries",
        ),
        "credit": (
            "seqbench.diagnostics.credit:Credit",
            "d answer / d value at marked and unmarked steps (adding)",
        ),
        "gradient_norm": (
            "seqbench.diagnostics.weights:GradientNorm",
            "of the parameters, before clipping, at every training step",
        ),
    },
}


def available(kind: Kind) -> dict[str, tuple[str, str]]:
    """Every short name of a kind: ours, then entry points; nothing is imported.

    Returns:
        name -> (spec, description).

    Raises:
        InputError: two packages claim the same name; the message names both.
    """
    found = dict(BUILTIN[kind])
    owner = dict.fromkeys(found, "seqbench")
    for entry in entry_points(group=f"seqbench.{kind}"):
        package = entry.dist.name if entry.dist else "an unnamed package"
        if entry.name in found:
            raise InputError(
                f"{kind[:-1]} {entry.name!r} is claimed by two packages, {owner[entry.name]} and "
                f"{package};\nuninstall one, or name the class in full: {entry.value!r}"
            )
        found[entry.name], owner[entry.name] = (entry.value, f"from {package}"), package
    return found


def resolve(spec: str, kind: Kind, base: Path | None = None) -> str:
    """Turn what a user wrote into "module:Class" or "/absolute/file.py:Class"; imports nothing.

    Args:
        spec: a short name, "module:Class", or "file.py:Class".
        kind: "cells" or "problems", for the short names and for messages.
        base: the folder that a relative file is relative to; default: the working directory.

    Raises:
        InputError: no such name (with the nearest one), or no such file.
    """
    where, colon, attribute = spec.rpartition(":")
    if not colon:
        names = available(kind)
        if spec in names:
            return names[spec][0]
        near = difflib.get_close_matches(spec, names, n=1)
        raise InputError(
            f"unknown {kind[:-1]} {spec!r}"
            + (f"; did you mean {near[0]!r}?" if near else "")
            + "\n"
            f'allowed: {", ".join(names)}, "module:Class" or "path/to/file.py:Class"'
        )
    if not where.endswith(".py"):
        return spec
    path = ((base or Path.cwd()) / Path(where).expanduser()).resolve()
    if not path.is_file():
        raise InputError(f"{kind[:-1]} {spec!r}: there is no file {path}")
    return f"{path}:{attribute}"


def load(spec: str) -> type:
    """Import the class that a resolved spec names.

    Args:
        spec: what `resolve` returned.

    Raises:
        InputError: the module can't be found or has no such class. An exception raised *inside*
            somebody's module is theirs: its traceback is in the message.
    """
    where, _, attribute = spec.rpartition(":")
    try:
        module = _load_file(Path(where)) if where.endswith(".py") else _load_module(where, spec)
    except InputError:
        raise
    except Exception:
        raise InputError(
            f"{spec!r} can't be imported; its own words:\n{traceback.format_exc(limit=-3)}"
        ) from None
    found = getattr(module, attribute, None)
    if not inspect.isclass(found):
        classes = [name for name, value in vars(module).items() if inspect.isclass(value)]
        raise InputError(
            f"{spec!r}: no class {attribute!r} in {where}\n"
            f"its classes: {', '.join(classes) or 'none'}"
        )
    return found


def file_hash(spec: str) -> str | None:
    """SHA-256 of the file that a resolved spec names; None for a module's class."""
    where = spec.rpartition(":")[0]
    return hashlib.sha256(Path(where).read_bytes()).hexdigest() if where.endswith(".py") else None


def own_words(error: Exception) -> str:
    """An exception of somebody's code in one line: its type, its message, where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = str(Path(__file__).parent)
    theirs = [f for f in frames if not f.filename.startswith(ours) and "torch" not in f.filename]
    text = " ".join(f"{type(error).__name__}: {error}".split())
    if not theirs:
        return text
    return f"{text} ({Path(theirs[-1].filename).name}:{theirs[-1].lineno} in {theirs[-1].name})"


def check_options(cls: type, options: dict, reserved: tuple[str, ...], where: str) -> None:
    """Refuse options that the constructor of `cls` does not take.

    Args:
        reserved: parameters that the suite fills in itself.
        where: how to name the place in the message, such as "cells.lstm".

    Raises:
        InputError: an option that is not a parameter.
    """
    parameters = inspect.signature(cls).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    allowed = [p.name for p in parameters if p.name not in reserved]
    for key, value in options.items():
        if key not in allowed:
            raise InputError(
                f"{where}: unknown option {key} = {value!r}\n"
                f"allowed: {', '.join(allowed) or 'no options'}"
            )


def _load_module(name: str, spec: str):
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # Only if it is their module that is missing, and not one that their module imports.
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise InputError(
                f"{spec!r}: there is no module {error.name!r}\n"
                'a file is named with its ending: "path/to/file.py:Class"'
            ) from None
        raise


def _load_file(path: Path):
    # A name of its own for each file, so that two files called model.py don't meet.
    name = f"{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]
