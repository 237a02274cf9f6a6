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
import os
import sys
import traceback
from functools import cache
from importlib.metadata import distributions, entry_points, packages_distributions
from pathlib import Path
from typing import Any, Literal

from seqbench.errors import InputError

Kind = Literal["cells", "problems", "diagnostics", "sections"]

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
            "add the two marked values; protocols: seqbench, arjovsky2016, hochreiter1997, "
            "anywhere, tcn2018, pascanu2013, early",
        ),
        "copy": (
            "seqbench.problems.copy:Copy",
            "recall ten symbols after T blanks; protocols: arjovsky2016, tcn2018, exprnn2019, "
            "variable",
        ),
        "multiplication": (
            "seqbench.problems.multiplication:Multiplication",
            "multiply the two marked values; protocols: seqbench, hochreiter1997, anywhere, "
            "pascanu2013, early",
        ),
        "xor": (
            "seqbench.problems.xor:XOR",
            "do the two marked bits differ; protocols: seqbench, anywhere, pascanu2013, early",
        ),
        "temporal_order": (
            "seqbench.problems.temporal_order:TemporalOrder",
            "in which order came X and Y; protocols: pascanu2013, hochreiter1997; option: markers",
        ),
        "random_permutation": (
            "seqbench.problems.permutation:RandomPermutation",
            "the last of 100 symbols is the first again",
        ),
        "memorisation": (
            "seqbench.problems.memorisation:Memorisation",
            "recall 5 bits, or ten symbols of five, after T distractors; option: bits",
        ),
        "noise_free": (
            "seqbench.problems.noise_free:NoiseFree",
            "the first symbol of a fixed sequence comes again at its end",
        ),
        "latch": (
            "seqbench.problems.latch:Latch",
            "which of two sequences began; random guessing of weights solves it; protocols: "
            "hochreiter1997-3a, hochreiter1997-3b; option: elements",
        ),
        "delay": (
            "seqbench.problems.delay:Delay",
            "what was shown T steps ago",
        ),
        "memory_capacity": (
            "seqbench.problems.delay:MemoryCapacity",
            "what was shown 1 to T steps ago; the score is the capacity over T",
        ),
        "reber": (
            "seqbench.problems.reber:EmbeddedReber",
            "embedded Reber grammar: the last symbol but one is the second; protocols: exact, "
            "hochreiter1997",
        ),
        "denoising": (
            "seqbench.problems.denoising:Denoising",
            "recall ten symbols scattered in noise",
        ),
    },
    "diagnostics": {
        "lyapunov": (
            "seqbench.measure.diagnostics.spectra:Lyapunov",
            "finite-time Lyapunov exponents; options: window, sequences, exponents",
        ),
        "singular_values": (
            "seqbench.measure.diagnostics.spectra:SingularValues",
            "of the state's Jacobian over k steps; options: steps, sequences",
        ),
        "spectral_radius": (
            "seqbench.measure.diagnostics.weights:SpectralRadius",
            "of each recurrent matrix",
        ),
        "saturation": (
            "seqbench.measure.diagnostics.saturation:Saturation",
            "shares of shut and open gates, flat tanh units, dead rectifiers",
        ),
        "signal_to_noise": (
            "seqbench.measure.diagnostics.signal:SignalToNoise",
            "of the flow over examples, by lag; options: boundaries",
        ),
        "credit": (
            "seqbench.measure.diagnostics.credit:Credit",
            "d answer / d value at marked and unmarked steps (adding)",
        ),
        "gradient_norm": (
            "seqbench.measure.diagnostics.weights:GradientNorm",
            "of the parameters, before clipping, at every training step",
        ),
        "temporal_components": (
            "seqbench.measure.diagnostics.components:TemporalComponents",
            "share of the parameters' gradient by lag; options: boundaries",
        ),
        "sensitivity": (
            "seqbench.measure.diagnostics.sensitivity:Sensitivity",
            "of the state to the parameters, over steps; options: directions, sequences",
        ),
        "clipped_steps": (
            "seqbench.measure.diagnostics.clipping:ClippedSteps",
            "share of training steps whose gradient was clipped; options: window",
        ),
        "condition_number": (
            "seqbench.measure.diagnostics.conditioning:ConditionNumber",
            "of the state's Jacobian over k steps; options: steps, sequences",
        ),
    },
    "sections": {},
}


def available(kind: Kind) -> dict[str, tuple[str, str]]:
    """Every short name of a kind: ours, then entry points; nothing is imported.

    Returns:
        name -> (spec, description).

    Raises:
        InputError: two packages claim the same name; the message names both.
    """
    claims = _claims(kind)
    return {name: _only_claim(kind, name, claims[name]) for name in claims}


def _claims(kind: Kind) -> dict[str, list[tuple[str, str, str]]]:
    """name -> (package, spec, description) of everybody who offers it."""
    claims = {name: [("seqbench", *offer)] for name, offer in BUILTIN[kind].items()}
    for entry in entry_points(group=f"seqbench.{kind}"):
        package = entry.dist.name if entry.dist else "an unnamed package"
        claims.setdefault(entry.name, []).append((package, entry.value, f"from {package}"))
    return claims


def _only_claim(kind: Kind, name: str, claims: list[tuple[str, str, str]]) -> tuple[str, str]:
    if len(claims) > 1:
        packages = " and ".join(package for package, _, _ in claims)
        specs = " or ".join(repr(spec) for _, spec, _ in claims)
        raise InputError(
            f"{kind[:-1]} {name!r} is claimed by two packages, {packages};\n"
            f"uninstall one, or name the class in full: {specs}"
        )
    return claims[0][1:]


def resolve(spec: str, kind: Kind, base: Path | None = None) -> str:
    """Turn what a user wrote into "module:Class" or "/absolute/file.py:Class"; imports nothing.

    Args:
        spec: a short name, "module:Class", or "file.py:Class".
        kind: "cells", "problems" or "diagnostics", for the short names and for messages.
        base: the folder that a relative file is relative to; default: the working directory.

    Raises:
        InputError: no such name (with the nearest one), a name that two packages claim, or no such
            file.
    """
    where, colon, attribute = spec.rpartition(":")
    if not colon:
        claims = _claims(kind)  # a quarrel about another name is none of this one's business
        if spec in claims:
            return _only_claim(kind, spec, claims[spec])[0]
        if spec.endswith(".py"):
            raise InputError(f'{kind[:-1]} {spec!r} names no class\nallowed: "{spec}:Class"')
        raise InputError(
            f"unknown {kind[:-1]} {spec!r}{_nearest(spec, claims)}\n"
            f'allowed: {"".join(f"{name}, " for name in claims)}"module:Class" or '
            '"path/to/file.py:Class"'
        )
    if not where.endswith(".py"):
        return spec
    path = ((base or Path.cwd()) / Path(where).expanduser()).resolve()
    if not path.is_file():
        beside = [other.name for other in path.parent.glob("*.py")]
        raise InputError(
            f"{kind[:-1]} {spec!r}: there is no file {path}{_nearest(path.name, beside)}\n"
            f'allowed: a name, "module:Class" or "path/to/file.py:Class"'
        )
    return f"{path}:{attribute}"


def _nearest(word: str, words: Any) -> str:
    near = difflib.get_close_matches(word, words, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def load(spec: str) -> type:
    """Import the class that a resolved spec names.

    Args:
        spec: what `resolve` returned.

    Raises:
        InputError: the module can't be found or has no such class. What is raised *inside*
            somebody's module is theirs: its traceback is in the message.
    """
    where, _, attribute = spec.rpartition(":")
    try:
        module = _load_file(Path(where)) if where.endswith(".py") else _load_module(where, spec)
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # a script that exits when it is imported
        raise InputError(
            f"{spec!r} can't be imported; its own words:\n{_own_traceback(error)}"
        ) from None
    found = getattr(module, attribute, None)
    if not inspect.isclass(found):
        kind = type(found).__name__
        classes = [name for name, value in vars(module).items() if inspect.isclass(value)]
        raise InputError(
            f"{spec!r}: no class {attribute!r} in {where}"
            f"{_nearest(attribute, classes) if found is None else f' (it is a {kind})'}\n"
            f"its classes: {', '.join(classes) or 'none'}"
        )
    return found


def _own_traceback(error: BaseException) -> str:
    """A traceback less the frames that led to somebody's module: ours and the import system's."""
    told = traceback.TracebackException.from_exception(error)
    ours = (str(Path(__file__)), importlib.__file__, "<frozen importlib")
    theirs = [frame for frame in told.stack if not frame.filename.startswith(ours)]
    told.stack = traceback.StackSummary.from_list(theirs)
    return "".join(told.format()).rstrip()


def origin(spec: str | type) -> dict[str, Any]:
    """What a plug-in's numbers depend on besides its options, so that an edit can be noticed.

    Nothing for seqbench's own: its version is recorded anyway.

    Args:
        spec: a resolved spec whose class can be loaded, or a class.

    Returns:
        file_hash: SHA-256 of the file that defines the class (of the class's own lines if it was
            written in the script that is being run: the rest of a script may change); None where
            there is none to read, as in an interactive session. packages: name -> version of the
            distributions that a module belongs to, absent for files and classes.
    """
    cls = load(spec) if isinstance(spec, str) else spec
    where = spec.rpartition(":")[0] if isinstance(spec, str) else ""
    top = (where or cls.__module__).partition(".")[0]
    if top == "seqbench":
        return {}
    told: dict[str, Any] = {"file_hash": _hash(where if where.endswith(".py") else cls)}
    if where and not where.endswith(".py") and top in _distributions():
        told["packages"] = _distributions()[top]
    return told


@cache
def _distributions() -> dict[str, dict[str, str]]:
    """Top-level module -> the packages that have it -> version; reads the metadata of all that is
    installed, so only once."""
    versions = {one.name: one.version for one in distributions()}
    return {
        module: {name: versions[name] for name in sorted(set(names)) if name in versions}
        for module, names in packages_distributions().items()
    }


def _hash(what: str | type) -> str | None:
    try:
        if isinstance(what, str):
            content = Path(what).read_bytes()
        elif what.__module__ == "__main__":
            bases = [cls for cls in what.__mro__ if cls.__module__ == "__main__"]
            content = "".join(inspect.getsource(cls) for cls in bases).encode()
        else:
            content = Path(inspect.getfile(what)).read_bytes()
    except (OSError, TypeError):
        return None
    return hashlib.sha256(content).hexdigest()


def difference(before: dict[str, Any], now: dict[str, Any]) -> str | None:
    """What changed in a plug-in between two `origin`s, in words; None if nothing did."""
    old, new = before.get("packages") or {}, now.get("packages") or {}
    for package in old:
        if package in new and old[package] != new[package]:
            return f"its package {package} is {new[package]} now and was {old[package]}"
    then = before.get("file_hash")
    if then is not None and then != now.get("file_hash"):
        return "the file that it comes from has changed"
    return None


def own_words(error: Exception) -> str:
    """An exception of somebody's code in one line: its type, its message, where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    not_theirs = (str(Path(__file__).parent), *_folder_of("torch"))
    theirs = [f for f in frames if not f.filename.startswith(not_theirs)]
    text = " ".join(f"{type(error).__name__}: {error}".split())
    if not theirs:
        return text
    return f"{text} ({Path(theirs[-1].filename).name}:{theirs[-1].lineno} in {theirs[-1].name})"


def _folder_of(package: str) -> list[str]:
    """A package's folder with the final slash, if it has been imported."""
    module = sys.modules.get(package)
    return [f"{Path(module.__file__).parent}{os.sep}"] if module else []


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
