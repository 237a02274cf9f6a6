"""One trial, wherever it is run: its configuration in, events out."""

from __future__ import annotations

import traceback
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

from seqbench import plugins
from seqbench.card.status import Status
from seqbench.card.task import Trial
from seqbench.results.checkpoints import seal, unseal
from seqbench.sweep import provenance
from seqbench.sweep.executors import Event, Finished, Job, Resumed, Saved, Stepped
from seqbench.sweep.executors.messages import Message

if TYPE_CHECKING:
    from seqbench.training.loop import Steps
    from seqbench.training.outcome import Outcome


def execute(job: Job) -> Iterator[Event]:
    """Run one trial, from its checkpoint if it has one that fits.

    Yields:
        An event at every evaluation and checkpoint; at last what the trial leaves behind, whose
        status is "error" if the trial raised.
    """
    from seqbench import results

    trial, source = job.trial, job.trial.cell.source
    record: dict[str, Any] = {"cell": source if isinstance(source, str) else "given as a class"}
    tables: dict[str, bytes] = {}
    try:
        record["origins"] = provenance.origins(trial.named())
        outcome = yield from _trained(job, record)
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


def _trained(job: Job, record: dict[str, Any]) -> Generator[Event, None, Outcome]:
    """Train the trial; `record` takes up at which steps it was resumed, if it was."""
    from seqbench.training import loop, state

    about = {"code": record["origins"], "versions": provenance.versions(), "device": job.device}
    steps, resumed = yield from _begun(job, about)
    if resumed:
        record["resumed"] = resumed
    can_keep = True
    while True:
        try:
            told = next(steps)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome
        if isinstance(told, loop.Evaluated):
            yield Stepped(job, told.step, told.loss)
        elif isinstance(told, state.Snapshot) and can_keep:
            try:
                payload = state.as_bytes(told.state())
            except state.CannotKeep as what:
                can_keep = False
                yield Saved(job, b"", str(what))
            else:
                yield Saved(job, seal(job.trial, told.step, payload, about, resumed))


def _begun(job: Job, about: dict[str, Any]) -> Generator[Event, None, tuple[Steps, list[int]]]:
    """The steps of training, from the checkpoint on if there is one that fits; and the steps at
    which the trial has been resumed."""
    from seqbench.training import loop, state

    if job.checkpoint:
        try:
            head, payload = unseal(job.checkpoint, job.trial, about)
            steps = loop.train(job.trial, device=job.device, state=state.from_bytes(payload))
            next(steps)
        except Exception as why:  # whatever a reader says of bytes that are no state
            yield Resumed(job, 0, " ".join(str(why).split())[:200] or type(why).__name__)
        else:
            yield Resumed(job, head["step"])
            return steps, [*head["resumed"], head["step"]]
    return loop.train(job.trial, device=job.device), []


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def request(job: Job) -> dict[str, Any]:
    """A job as JSON can hold it, but for its checkpoint; its cell is no class of this process."""
    return {
        "trial": job.trial.model_dump(),
        "sources": {table.where: table.source for table in job.trial.named()},
        "device": job.device,
        "checkpoint": job.checkpoint,
    }


def work(asked: dict[str, Any]) -> Iterator[Message]:
    """Run the trial of a request; yields its events, for `heard`."""
    trial = Trial.model_validate(asked["trial"]).standing_for(asked["sources"])
    for event in execute(Job(trial, asked["device"], asked["checkpoint"])):
        match event:
            case Stepped(_, step, loss):
                yield {"step": step, "loss": loss}, {}
            case Resumed(_, step, fault):
                yield {"resumed": step, "fault": fault}, {}
            case Saved(_, checkpoint, fault):
                yield {"saved": fault}, {"checkpoint": checkpoint}
            case Finished(_, record, tables):
                yield {"record": record}, dict(tables)


def heard(job: Job, message: Message) -> Event:
    """The event that a message of `work` tells of."""
    head, parts = message
    if "record" in head:
        return Finished(job, head["record"], parts)
    if "resumed" in head:
        return Resumed(job, head["resumed"], head["fault"])
    if "saved" in head:
        return Saved(job, parts["checkpoint"], head["saved"])
    return Stepped(job, head["step"], head["loss"])
