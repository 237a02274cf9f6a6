"""Changes of a run's files, and what becomes of each when the run is opened.

    python tests/fuzz.py [RUN]

All mutations of a trial.json and single bits of a flow.parquet of a copy of RUN (default: one made
by hand); prints how many were refused, made no difference, passed for other numbers, or ended in
another exception than InputError.
"""

from __future__ import annotations

import copy
import json
import math
import random
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pandas as pd
import runs

import seqbench
from seqbench import InputError
from seqbench.card.status import Status

BITS = 1400
VALUES = [None, True, -1, 0, 1.5, 2**63, 1e308, math.nan, "", "x", "\0", "9" * 5000, [], [[1]], {}]
TABLES = ("trials", "curves", "flow", "diagnostics", "lengths")


def places(value, at=()):
    """The paths of all that is in a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in inside:
        yield (*at, key)
        if isinstance(inner, dict | list):
            yield from places(inner, (*at, key))


def changed(record, place, value):
    """A copy with another value there; KeyError as the value: with nothing there."""
    other = copy.deepcopy(record)
    inside = other
    for key in place[:-1]:
        inside = inside[key]
    if value is KeyError:
        del inside[place[-1]]
    else:
        inside[place[-1]] = value
    return other


def mutations(record):
    """Every entry of a record taken out, and replaced by each of `VALUES`, as text."""
    for place in places(record):
        for value in [KeyError, *VALUES]:
            yield json.dumps(changed(record, place, value))


def flips(content, count, draws):
    """Copies with a single bit flipped."""
    for _ in range(count):
        other = bytearray(content)
        other[draws.randrange(len(content))] ^= 1 << draws.randrange(8)
        yield bytes(other)


def becomes(run, before):
    """What opening a run comes to."""
    try:
        after = seqbench.load(run)
    except InputError as error:
        return "refused" if str(error).count("\n") == 1 else "refused in other than two lines"
    except Exception as error:
        return f"traceback: {type(error).__name__}"
    if list(after.trials["status"]) != list(before.trials["status"]):
        missing = Status.INTERRUPTED in set(after.trials["status"])
        return "not finished" if missing else "other numbers"
    for table in TABLES:
        try:
            pd.testing.assert_frame_equal(
                getattr(before, table), getattr(after, table), check_exact=True
            )
        except AssertionError:
            return "other numbers"
    return "the same numbers"


def tried(run, file, contents):
    """Write each of these, and count what becomes of the run; the file is put back."""
    before, whole = seqbench.load(run), file.read_bytes()
    counts = Counter()
    try:
        for content in contents:
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
            counts[becomes(run, before)] += 1
    finally:
        file.write_bytes(whole)
    return counts


def main(words):
    """Both kinds of change, told."""
    with tempfile.TemporaryDirectory() as there:
        if words:
            run = Path(shutil.copytree(words[0], Path(there) / "run"))
        else:
            run = runs.write(Path(there), runs.whole((10,), 1, ["rnn"]), (10,), 1, '["rnn"]').path
        record = next((run / "trials").glob("*/trial.json"))
        table = record.with_name("flow.parquet")
        made = list(mutations(json.loads(record.read_text())))
        texts = tried(run, record, made)
        print(f"trial.json, {sum(texts.values())} mutations: {dict(texts)}")
        texts = tried(run, record, flips(record.read_bytes(), BITS, random.Random(0)))
        print(f"trial.json, {sum(texts.values())} single bits: {dict(texts)}")
        bits = tried(run, table, flips(table.read_bytes(), BITS, random.Random(0)))
        print(f"flow.parquet, {sum(bits.values())} single bits: {dict(bits)}")


if __name__ == "__main__":
    main(sys.argv[1:])
