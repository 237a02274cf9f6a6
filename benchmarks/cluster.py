"""What a trial costs a Dask scheduler and the command: `python -m benchmarks.cluster [--trials N]`.

A scheduler and a worker on the loopback address; every message that the three write is counted.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

CARD = """
name = "cost"
lengths = [50]
seeds = {seeds}
cells = ["lstm"]
[problem]
name = "adding"
[training]
steps = 20
batch_size = 8
hidden_size = 8
eval_every = 1
eval_size = 10
[recording]
every = 4
"""


def count() -> None:
    """From now on this process counts what it writes to others."""
    import distributed.comm.tcp as tcp

    plain = tcp.TCP.write
    tcp.SEQBENCH = [0, 0]

    async def write(self: Any, *words: Any, **more: Any) -> int:
        size = await plain(self, *words, **more)
        tcp.SEQBENCH[0] += 1
        tcp.SEQBENCH[1] += size
        return size

    tcp.TCP.write = write


def spent() -> list[float]:
    """Messages and bytes written, CPU seconds, of this process and of what it started."""
    import os

    import distributed.comm.tcp as tcp

    return [*tcp.SEQBENCH, sum(os.times()[:2])]


def main() -> None:
    """Run the trials, and say what one cost."""
    from distributed import Client, LocalCluster

    from seqbench import run
    from seqbench.card.task import parse

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=50)
    trials = parser.parse_args().trials
    task = parse(CARD.format(seeds=trials), "cost")
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        count()  # the scheduler of a LocalCluster is in this process
        client.run(count)
        (address,) = client.scheduler_info()["workers"]
        before, at_worker = spent(), client.run(spent)[address]
        started = time.perf_counter()
        run(task, Path(folder) / "run", quiet=True, dask=cluster.scheduler_address)
        seconds = time.perf_counter() - started
        after, at_end = spent(), client.run(spent)[address]
        ours = [(b - a) / trials for a, b in zip(before, after, strict=True)]
        theirs = [(b - a) / trials for a, b in zip(at_worker, at_end, strict=True)]
        files = [file.stat().st_size for file in Path(folder).glob("run/trials/*/*")]
    print(f"{trials} trials, {seconds / trials:.2f} s each; of one trial:")
    print(f"command and scheduler: {ours[0]:.1f} messages, {ours[1] / 1000:.1f} kB, "
          f"{ours[2] * 1000:.0f} ms of CPU")  # fmt: skip
    print(f"worker: {theirs[0]:.1f} messages, {theirs[1] / 1000:.1f} kB")
    print(f"on disk: {sum(files) / trials / 1000:.1f} kB")


if __name__ == "__main__":
    main()
