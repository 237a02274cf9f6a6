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
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType, NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from seqbench.errors import InputError, words

Kind = Literal["cells", "problems", "diagnostics", "sections"]

# Where each kind's bundled names are listed, imported when they are asked for.
LISTS: dict[Kind, str] = {
    "cells": "seqbench.cells",
    "problems": "seqbench.problems",
    "diagnostics": "seqbench.measure.diagnostics",
    "sections": "seqbench.reporting.sections",
}


def bundled(kind: Kind) -> dict[str, tuple[str, str]]:
    """What seqbench brings itself: name -> (spec, description)."""
    listed: dict[str, tuple[str, str]] = importlib.import_module(LISTS[kind]).BUNDLED
    return listed


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
    claims = {name: [("seqbench", *offer)] for name, offer in bundled(kind).items()}
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
    if not os.path.isfile(path):  # a name may be too long to be one
        beside = [other.name for other in path.parent.glob("*.py")]
        raise InputError(
            f"{kind[:-1]} {spec!r}: there is no file {path}{_nearest(path.name, beside)}\n"
            f'allowed: a name, "module:Class" or "path/to/file.py:Class"'
        )
    return f"{path}:{attribute}"


def _nearest(word: str, words: Any) -> str:
    alike = [one for one in words if one.lower() == word.lower()]
    near = alike or difflib.get_close_matches(word, words, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def load(spec: str | type) -> type:
    """Import the class that a resolved spec names.

    Args:
        spec: what `resolve` returned; a class is returned as it is.

    Raises:
        InputError: the module can't be found or has no such class. What is raised *inside*
            somebody's module is theirs: its traceback is in the message.
    """
    if not isinstance(spec, str):
        return spec
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


def own_words(error: BaseException) -> str:
    """An exception of somebody's code in one line: its type, its message, where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    not_theirs = (str(Path(__file__).parent), *_folder_of("torch"))
    theirs = [f for f in frames if not f.filename.startswith(not_theirs)]
    text = words(error)
    if not theirs:
        return text
    return f"{text} ({Path(theirs[-1].filename).name}:{theirs[-1].lineno} in {theirs[-1].name})"


def _folder_of(package: str) -> list[str]:
    """A package's folder with the final slash, if it has been imported."""
    module = sys.modules.get(package)
    return [f"{Path(module.__file__).parent}{os.sep}"] if module and module.__file__ else []


def check_options(cls: type, options: dict, reserved: tuple[str, ...], where: str) -> None:
    """Refuse options that the constructor of `cls` does not take, and values of another type than
    its annotations or defaults say.

    Args:
        reserved: parameters that the suite fills in itself.
        where: how to name the place in the message, such as "cells.lstm".

    Raises:
        InputError: an option that is not a parameter, or a value that can't be.
    """
    parameters = inspect.signature(cls).parameters
    any_key = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    allowed = [p.name for p in parameters.values() if p.name not in reserved]
    for key, value in options.items():
        if key not in allowed and not any_key:
            raise InputError(
                f"{where}: unknown option {key} = {value!r}\n"
                f"allowed: {', '.join(allowed) or 'no options'}"
            )
        types = _types(cls, parameters[key]) if key in parameters else None
        if types and type(value) not in types:
            words = [kind for kind in TYPES if kind in types - ({int} if float in types else set())]
            told = " or ".join(TYPES[kind] for kind in words)
            raise InputError(f"{where}: {key} = {value!r}\nallowed: {told}")


TYPES = {bool: "true or false", float: "a number", int: "a whole number", str: "text, in quotes"}


def _types(cls: type, parameter: inspect.Parameter) -> set[type] | None:
    """The plain types that a parameter is declared to take; None where that is not known.

    An annotation says it; else a default that is true or false, or a number, excludes text.
    """
    try:
        hint = get_type_hints(inspect.getattr_static(cls, "__init__")).get(parameter.name)
    except Exception:  # a name that only a type checker knows
        hint = None
    if hint is not None:
        found = set(get_args(hint)) if get_origin(hint) in (Union, UnionType) else {hint}
        if not found <= {*TYPES, NoneType}:
            return None
        return found | ({int} if float in found else set())
    if isinstance(parameter.default, bool):
        return {bool}
    return {int, float, list, dict} if isinstance(parameter.default, int | float) else None


def _load_module(name: str, spec: str) -> ModuleType:
    try:
        with _working_directory():
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # Only if it is their module that is missing, and not one that their module imports.
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise InputError(
                f"{spec!r}: there is no module {error.name!r}\n"
                'a file is named with its ending: "path/to/file.py:Class"'
            ) from None
        raise


@contextmanager
def _working_directory() -> Iterator[None]:
    """A module may lie in the working directory, which is looked at last, and for no other's sake:
    a folder that somebody sent may have files with the names of modules."""
    here = os.getcwd()
    sys.path.append(here)
    try:
        yield
    finally:
        sys.path.reverse()
        if here in sys.path:
            sys.path.remove(here)  # the last one
        sys.path.reverse()


def _load_file(path: Path) -> ModuleType:
    # A name of its own for each file, so that two files called model.py don't meet.
    name = f"{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None  # a file ending in .py has a loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]
