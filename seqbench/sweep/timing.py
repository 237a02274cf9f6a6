"""What each kind of trial costs, timed where trials run and as many at a time; and what a plan
costs then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from seqbench.card.task import Trial
from seqbench.sweep.executors import Finished, Job
from seqbench.sweep.executors.messages import Message
from seqbench.sweep.executors.processes import Processes, can_start
from seqbench.sweep.forecast import Cost, Forecast, kind, makespan
from seqbench.sweep.plan import Plan
from seqbench.sweep.progress import duration, name

PATIENCE = 120.0  # seconds for one kind; what takes longer stays unknown


def costs(trials: Iterable[Trial], workers: int, device: str) -> dict[str, Cost]:
    """Kind -> cost, of the kinds of trials that can be timed; a cell that was given as a class,
    which no other process knows, and one that fails are not among them."""
    if not can_start():
        return {}
    kinds = {kind(trial): trial for trial in trials if not isinstance(trial.cell.source, type)}
    jobs = [Job(trial, device) for trial in kinds.values()]
    function = "seqbench.sweep.timing:work"
    found = {}
    for event in Processes(workers, PATIENCE, function).run(jobs):
        if isinstance(event, Finished) and "cost" in event.record:
            found[kind(event.job.trial)] = Cost(**event.record["cost"])
    return found


def work(asked: dict[str, Any]) -> Iterator[Message]:
    """Time the trial of a request; yields {"record": {"cost"}}."""
    from seqbench.training.timing import timed

    trial = Trial.model_validate(asked["trial"]).standing_for(asked["sources"])
    yield {"record": {"cost": timed(trial, asked["device"])}}, {}


def phases(planned: Plan) -> list[Plan]:
    """What is run one after the other."""
    return [*(phases(planned.first) if planned.first else []), planned]


def lines(planned: Plan, found: Mapping[str, Cost], workers: int) -> list[str]:
    """How long a plan takes at most, and its longest trial."""
    told, total = [], 0.0
    for phase in phases(planned):
        forecast = Forecast(phase.missing, found, workers)
        seconds = forecast.left()
        if not phase.missing:
            continue
        if seconds is None:
            return [f"{phase.task.name}: how long it takes is not known: no trial could be timed"]
        trial, longest = forecast.longest()
        told.append(
            f"{phase.task.name}: at most {duration(seconds)}, {workers} at a time; the longest "
            f"trial, {name(trial)}, takes {duration(longest)} of it"
        )
        total += seconds
    if len(told) > 1:
        told.append(f"together: at most {duration(total)}{_wider(planned, found, workers)}")
    return told


def _wider(planned: Plan, found: Mapping[str, Cost], workers: int) -> str:
    """What further learning rates may take, where the best one lies at the edge."""
    tuning, first = planned.task.tuning, planned.first
    if tuning is None or first is None or not tuning.widen:
        return ""
    forecast = Forecast(first.missing, found, workers)
    tried = {(kind(trial), trial.seed): trial for trial in first.missing}
    once = [forecast.wholes[which] for which, _ in tried]
    return (
        f", and at most {duration(tuning.widen * makespan(once, workers))} for further learning "
        f"rates, {tuning.widen * len(once)} trials, if the best ones lie at the edge of the grid"
    )
