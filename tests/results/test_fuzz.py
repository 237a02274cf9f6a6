"""No changed file passes for other numbers, and none ends in a traceback; see `fuzz.py`."""

import json
from pathlib import Path

import fuzz
import pytest
import runs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

GOOD = {"refused", "not finished", "the same numbers"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    trials = runs.whole((4,), 1, ["rnn"])
    return runs.write(tmp_path_factory.mktemp("run"), trials, (4,), 1, '["rnn"]').path


def file(run: Path, name: str) -> Path:
    return next((run / "trials").glob(f"*/{name}"))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
@given(data=st.data())
def test_a_changed_record_is_refused(run, data):
    record = json.loads(file(run, "trial.json").read_text())
    place = data.draw(st.sampled_from(list(fuzz.places(record))))
    value = data.draw(st.sampled_from([KeyError, *fuzz.VALUES]))
    text = json.dumps(fuzz.changed(record, place, value))
    assert set(fuzz.tried(run, file(run, "trial.json"), [text])) <= GOOD


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_is_refused_or_changes_no_number(run, data):
    target = file(run, data.draw(st.sampled_from(["flow.parquet", "curves.parquet", "trial.json"])))
    content = bytearray(target.read_bytes())
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    content[bit // 8] ^= 1 << bit % 8
    assert set(fuzz.tried(run, target, [bytes(content)])) <= GOOD
