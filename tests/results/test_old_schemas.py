"""A run that an earlier version wrote, kept as it was: read, and not gone on with."""

import json
import shutil
from pathlib import Path

import pytest

import seqbench
from seqbench import InputError
from seqbench.sweep import plan

GOLDEN = Path(__file__).parent / "schema_1"


@pytest.fixture
def run(tmp_path):
    return shutil.copytree(GOLDEN, tmp_path / "run")


def test_a_run_of_schema_1_is_read(run):
    opened = seqbench.load(run)
    assert opened.trials["loss"].tolist() == [0.34707966607917723, 0.30893992508633045]
    assert opened.trials["parameters"].tolist() == [15, 51]
    assert opened.curves["step"].tolist() == [0, 2, 4] * 2
    assert opened.flow.groupby("cell").size().to_dict() == {"lstm": 48, "rnn": 32}
    assert "| rnn |" in seqbench.report(opened, run / "report").with_name("report.md").read_text()


def test_a_run_of_schema_1_is_not_gone_on_with(run):
    before = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    with pytest.raises(InputError, match=r"of schema 1.*\nallowed: another folder \(--out\)"):
        plan.plan(str(run / "task.toml"), run)
    assert before == {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}


def test_a_newer_schema_is_refused(run):
    for file in run.glob("trials/*/trial.json"):
        file.write_text(json.dumps(json.loads(file.read_text()) | {"schema": 3}))
    with pytest.raises(InputError, match="schema = 3\nallowed: 2 and 1, which this version"):
        seqbench.load(run)
