"""Several commands in one folder: each trial is one command's, until that has ended."""

import subprocess
import sys

from seqbench import results
from seqbench.card import task as cards
from seqbench.sweep import status
from seqbench.sweep.claims import Claims, running
from seqbench.sweep.plan import shard

CARD = """
name = "small"
lengths = [5]
seeds = 2
cells = ["rnn"]
[problem]
name = "adding"
"""
HOLDER = """
import sys
from pathlib import Path
from seqbench.card import task as cards
from seqbench.sweep.claims import Claims
claims = Claims(Path(sys.argv[1]))
assert claims.claim(cards.parse(sys.argv[2], "card").trials()[0])
print("claimed", flush=True)
input()
"""


def test_a_claim_is_one_process_s_and_ends_with_it(tmp_path):
    task = cards.parse(CARD, "card")
    first, second = task.trials()
    results.write_task(tmp_path, task)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path), CARD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout.readline() == b"claimed\n"
    with Claims(tmp_path) as claims:
        assert not claims.claim(first)
        assert claims.claim(second)
        claims.release(second)
        assert running(tmp_path, [first, second]) == [first]
        assert status.lines(tmp_path) == [
            "small: 2 trials: 1 running, 1 not finished",
            "time left: not known yet",
            "running: rnn T=5 seed 0",
        ]
        holder.kill()
        holder.wait()
        assert claims.claim(first)


def test_shards_share_all_trials_out():
    trials = list(range(10))
    parts = [trials[shard(f"{i}/3").number - 1 :: 3] for i in (1, 2, 3)]
    assert sorted(trial for part in parts for trial in part) == trials
