"""Where numbers come from: the classes that made them, the versions and the machine.

A trial's record says it, so that an edit is noticed before old numbers pass for those of new code.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import os
import platform
import textwrap
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import distributions, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from seqbench import plugins
from seqbench.card.tables import Named
from seqbench.errors import InputError

DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def origins(named: Iterable[Named]) -> dict[str, dict[str, Any]]:
    """Where the classes that a trial names come from, as they were first asked for in this process:
    what is edited later is not what is run here.

    Args:
        named: its tables, looked up.

    Returns:
        What messages call each table -> its `origin`; without what is seqbench's own.
    """
    return {table.where: found for table in named if (found := _first_origin(table.source))}


def check_unchanged(
    path: Path, named: Iterable[Named], finished: Mapping[str, dict[str, Any]]
) -> None:
    """Whether what finished trials were run with is still what it was.

    Args:
        named: the tables of the task, looked up.
        finished: trial's folder -> its record.

    Raises:
        InputError: a class has changed since; says which, and what of it.
    """
    now = {table.where: table.origin for table in named}
    for folder, record in finished.items():
        # The first runs noted the hash of the cell's file alone, in the record itself.
        cell = f"cells ({record['configuration']['cell']['label']})"
        for which, before in record.get("origins", {cell: record}).items():
            changed = difference(before, now.get(which, {}))
            if changed:
                of_cell = folder.rpartition("-T")[0] + "-T*" if which == cell else "*"
                raise InputError(
                    f"{which}: {changed} since {path} was run with it\n"
                    "allowed: what it was run with; another --out; or, to lose those trials and "
                    f"run them anew: rm -r {path / 'trials' / of_cell}"
                )


def origin(source: str | type) -> dict[str, Any]:
    """What a plug-in's numbers depend on besides its options, so that an edit can be noticed.

    Nothing for seqbench's own: its version is recorded anyway.

    Args:
        source: a resolved spec whose class can be loaded, or a class.

    Returns:
        file_hash: SHA-256 of the file that defines the class (of the class's own lines if it was
            written in the script that is being run: the rest of a script may change); None where
            there is none to read, as in an interactive session. code_hash: the same of what that
            file says to Python: comments, docstrings and formatting are not in it. packages: name
            -> version of the distributions that a module belongs to, absent for files and classes.
    """
    cls = plugins.load(source)
    where = source.rpartition(":")[0] if isinstance(source, str) else ""
    top = (where or cls.__module__).partition(".")[0]
    if top == "seqbench":
        return {}
    content = _content(where if where.endswith(".py") else cls)
    told: dict[str, Any] = {"file_hash": None if content is None else _hash(content)}
    if content is not None and (code := _code(content)):
        told["code_hash"] = _hash(code)
    if where and not where.endswith(".py") and top in _distributions():
        told["packages"] = _distributions()[top]
    return told


_first_origin = cache(origin)


@cache
def _distributions() -> dict[str, dict[str, str]]:
    """Top-level module -> the packages that have it -> version; reads the metadata of all that is
    installed, so only once."""
    versions = {one.name: one.version for one in distributions()}
    return {
        module: {name: versions[name] for name in sorted(set(names)) if name in versions}
        for module, names in packages_distributions().items()
    }


def _content(what: str | type) -> bytes | None:
    """The file of that path, or that a class comes from; of a script, its class alone."""
    try:
        if isinstance(what, str):
            return Path(what).read_bytes()
        if what.__module__ == "__main__":
            bases = [cls for cls in what.__mro__ if cls.__module__ == "__main__"]
            return "".join(inspect.getsource(cls) for cls in bases).encode()
        return Path(inspect.getfile(what)).read_bytes()
    except (OSError, TypeError):
        return None


def _code(content: bytes) -> bytes | None:
    """What Python makes of a source file, without comments, docstrings and formatting; None if
    nothing."""
    try:
        tree = ast.parse(textwrap.dedent(content.decode()))
    except (SyntaxError, ValueError, RecursionError):
        return None
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree).encode()


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def difference(before: dict[str, Any], now: dict[str, Any]) -> str | None:
    """What changed in a plug-in between two `origin`s, in words; None if nothing did."""
    old, new = before.get("packages") or {}, now.get("packages") or {}
    for package in old:
        if package in new and old[package] != new[package]:
            return f"its package {package} is {new[package]} now and was {old[package]}"
    then, code = before.get("file_hash"), before.get("code_hash")
    if then is None or then == now.get("file_hash"):
        return None
    if code is not None and code == now.get("code_hash"):  # a comment has
        return None
    return "the file that it comes from has changed"


def versions() -> dict[str, str]:
    """What the numbers may depend on."""
    from seqbench import __version__

    names = [name for name in ("torch", "numpy", "numba", "pandas") if find_spec(name)]
    packages = {name: version(name) for name in names}
    return {"seqbench": __version__, "python": platform.python_version(), **packages}


def machine(device: str) -> dict[str, Any]:
    """The kind of machine, without its name."""
    import torch

    told = {
        "system": platform.system(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "vector_instructions": torch.backends.cpu.get_cpu_capability(),
        "device": device,
    }
    if device == "cuda":
        told["gpu"] = torch.cuda.get_device_name()
    return told
