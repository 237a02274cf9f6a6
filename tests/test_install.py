"""The wheel has everything that a user needs, and nothing runs without it being installed."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", out, ROOT],
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    return next(out.glob("*.whl"))


def test_the_wheel_ships_cards_as_data_and_templates(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    cards = [name for name in names if name.startswith("seqbench/tasks/")]
    assert sorted(Path(name).stem for name in cards) == sorted(
        path.stem for path in (ROOT / "tasks").glob("*.toml")
    )
    assert not any(name.startswith(("tasks/", "tests/", "reports/")) for name in names)
    templates = {p.name for p in (ROOT / "seqbench").rglob("templates/*")}
    assert templates <= {Path(name).name for name in names}


def test_a_wheel_install_finds_its_cards(wheel, tmp_path):
    """The wheel unpacked beside the installed dependencies, far from the checkout."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = "import seqbench, sys; sys.argv[0] = 'seqbench'; from seqbench.cli import main; main()"
    ran = subprocess.run(
        [sys.executable, "-c", code, "run", "adding", "--dry-run", "--seeds", "1"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("adding: ")
    where = subprocess.run(
        [sys.executable, "-c", "from seqbench.card import task; print(task.find('adding'))"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
    )  # fmt: skip
    assert where.stdout.startswith(str(tmp_path / "site"))


def test_a_checkout_finds_the_cards_beside_the_package():
    from seqbench.card import task

    assert task.find("adding") == ROOT / "tasks" / "adding.toml"
