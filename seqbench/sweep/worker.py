"""One trial, wherever it is run: its configuration in, events out."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from typing import Any

from seqbench import plugins
from seqbench.card.status import Status
from seqbench.card.task import Trial
from seqbench.sweep import provenance
from seqbench.sweep.executors import Finished, Job, Stepped
from seqbench.sweep.executors.messages import Message


def execute(job: Job) -> Iterator[Stepped | Finished]:
    """Run one trial.

    Yields:
        An event at every evaluation; at last what the trial leaves behind, whose status is "error"
        if the trial raised.
    """
    from seqbench import results
    from seqbench.training import loop as training

    trial, source = job.trial, job.trial.cell.source
    record: dict[str, Any] = {"cell": source if isinstance(source, str) else "given as a class"}
    tables: dict[str, bytes] = {}
    try:
        record["origins"] = provenance.origins(trial.named())
        steps = training.train(trial, device=job.device)
        while True:
            try:
                step, loss = next(steps)
            except StopIteration as end:
                outcome = end.value
                break
            yield Stepped(job, step, loss)
        record["summary"] = outcome.summary
        frames = {"curves": outcome.curves, "flow": outcome.flow}
        if len(outcome.diagnostics):
            frames["diagnostics"] = outcome.diagnostics
        if len(outcome.lengths):
            frames["lengths"] = outcome.lengths
        tables = {name: results.as_parquet(frame) for name, frame in frames.items()}
    except (Exception, SystemExit) as error:
        message = _printable(plugins.own_words(error))
        record["summary"] = {"status": Status.ERROR, "error": message}
        record["traceback"] = _printable(traceback.format_exc())
    record |= {"versions": provenance.versions(), "machine": provenance.machine(job.device)}
    yield Finished(job, record, tables)


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def request(job: Job) -> dict[str, Any]:
    """A job as JSON can hold it, for `work`; its cell is no class of this process."""
    return {
        "trial": job.trial.model_dump(),
        "sources": {table.where: table.source for table in job.trial.named()},
        "device": job.device,
    }


def work(asked: dict[str, Any]) -> Iterator[Message]:
    """Run the trial of a request.

    Yields:
        {"step", "loss"} at every evaluation; at last {"record"}, with its tables.
    """
    trial = Trial.model_validate(asked["trial"]).standing_for(asked["sources"])
    for event in execute(Job(trial, asked["device"])):
        if isinstance(event, Finished):
            yield {"record": event.record}, dict(event.tables)
        else:
            yield {"step": event.step, "loss": event.loss}, {}
