"""Events of a sweep, written down for TensorBoard as they pass: `--tensorboard DIR`.

DIR/lstm-T100-s0-3f9ac1/events.out...      loss, at each evaluation, while the trial runs; when
                                           it has ended its other curves, and the output flow
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from seqbench.errors import InputError
from seqbench.results import from_parquet
from seqbench.sweep.executors import Event, Finished, Started, Stepped

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FLUSH = 5  # seconds until what is written can be read


def check_tensorboard(folder: Path) -> None:
    """Raises InputError where the package is missing."""
    if not find_spec("tensorboard"):
        raise InputError(
            f"--tensorboard {folder}: the package tensorboard is not installed\n"
            "allowed: after pip install 'seqbench[tensorboard]'"
        )


def recorded(events: Generator[Event, None, None], folder: Path) -> Generator[Event, None, None]:
    """The same events, each written down first."""
    from torch.utils.tensorboard import SummaryWriter

    writers: dict[str, SummaryWriter] = {}
    with closing(events):
        try:
            for event in events:
                name = event.job.trial.folder
                match event:
                    case Started():
                        writers[name] = SummaryWriter(folder / name, flush_secs=FLUSH)
                    case Stepped(_, step, loss):
                        writers[name].add_scalar("loss", loss, step)
                    case Finished(_, _, tables):
                        write_tables(writers[name], tables)
                        writers.pop(name).close()
                yield event
        finally:
            for writer in writers.values():
                writer.close()


def write_tables(writer: SummaryWriter, tables: Mapping[str, bytes]) -> None:
    """The curves but for the loss; the flow of the whole state at the first, middle and last
    recorded lag behind the last anchor, log10, in the layer that the readout reads."""
    if not tables:
        return
    curves = from_parquet(tables["curves"]).set_index("step")
    for name in curves.columns.drop("loss"):
        for step, value in curves[name].items():
            writer.add_scalar(name, value, step)
    flow = from_parquet(tables["flow"])
    flow = flow[(flow["source"] == "output") & (flow["state"] == "all")]
    for name in ("layer", "anchor"):
        flow = flow[flow[name] == flow[name].max()]
    lags = sorted(flow["lag"].unique())
    for which, lag in (("first", lags[0]), ("middle", lags[len(lags) // 2]), ("last", lags[-1])):
        for row in flow[flow["lag"] == lag].itertuples():
            writer.add_scalar(f"log10 output flow/{which} lag", row.log10_norm, row.step)
