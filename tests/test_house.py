"""Imports go one way: the table of floors in CONTRIBUTING.md, held against the code."""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "seqbench"
DOOR = {"__init__", "py.typed"}  # the public names load lazily from every floor


def floors() -> dict[str, int]:
    """Room -> floor, from the table in CONTRIBUTING.md."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    rows = re.findall(r"^\| (\d) \| (.+?) \|", text, re.MULTILINE)
    return {room: int(floor) for floor, rooms in rows for room in re.findall(r"`(\w+)`", rooms)}


def imports(file: Path) -> Iterator[str]:
    """The modules of seqbench that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("seqbench."))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("seqbench"):
            for name in node.names:
                whole = f"{node.module}.{name.name}"
                yield whole if is_module(whole) else node.module


def is_module(dotted: str) -> bool:
    path = ROOT.joinpath(*dotted.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = sorted(PACKAGE.rglob("*.py"))


def test_every_room_has_its_floor():
    rooms = {path.name.removesuffix(".py") for path in PACKAGE.iterdir()} - DOOR - {"__pycache__"}
    assert rooms == floors().keys()
    assert len(rooms | DOOR) <= 18
    assert max(floors().values()) <= 9


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_a_room_imports_only_rooms_below_it(file):
    floor, module = floors(), module_of(file)
    room = module.split(".")[1] if "." in module else "__init__"
    for imported in imports(file):
        other = imported.split(".")[1] if "." in imported else "__init__"
        if other != room and other != "__init__":
            assert room == "__init__" or floor[other] < floor[room], f"{module} imports {imported}"


def test_no_module_comes_back_to_itself():
    graph = {module_of(file): set(imports(file)) for file in FILES}
    assert list(TopologicalSorter(graph).static_order())  # raises CycleError


def test_a_folder_says_what_comes_in_and_what_goes_out():
    for folder in PACKAGE.iterdir():
        if (folder / "__init__.py").is_file():
            assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text())), folder.name


def test_the_tests_mirror_the_folders():
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert rooms == {p.name for p in (ROOT / "tests").iterdir() if p.is_dir()} - {"__pycache__"}
