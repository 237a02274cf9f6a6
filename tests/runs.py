"""Runs made by hand, whose numbers can be worked out."""

import numpy as np
import pandas as pd

from seqbench import results
from seqbench.card import task

INF, NAN = float("inf"), float("nan")
CARD = """
name = "small"
description = "A run made by hand."
paper = "None"
deviations = ["All of it."]
lengths = {lengths}
seeds = {seeds}
cells = {cells}
[problem]
name = "adding"
protocol = "seqbench"
[training]
steps = 400
"""
EVALUATIONS = [0, 100, 200, 300, 400]


def flow_rows(rates, length, *, layer=0, anchor=None, zeros=0, nonfinite=0):
    """Output flow that loses `rate` decades a step at each recorded step, from level -0.5."""
    anchor = anchor or length
    lags = np.arange(anchor + 1)
    frames = []
    for step, rate in rates.items():
        level = -0.5 - rate * lags
        frame = pd.DataFrame(
            {
                "step": step,
                "source": "output",
                "anchor": anchor,
                "layer": layer,
                "time": anchor - lags,
                "lag": lags,
                "state": "all",
                "log10_norm": level,
                "log10_p10": level - 0.1,
                "log10_p90": level + 0.1,
                "n_zero": np.where(lags > anchor / 2, zeros, 0),
                "n_nonfinite": nonfinite,
            }
        )
        frames += [frame, frame.assign(state="h"), frame.assign(source="loss")]
    return pd.concat(frames, ignore_index=True)


def record(length, status="done", solved_at=None, **more):
    """What a trial.json sums up."""
    needed = [{"anchor": length, "lags": [[length // 2, 0.6 * length, length], [0, 2.0, 4]]}]
    summary = {
        "status": status,
        "steps": 400,
        "solved_at": solved_at,
        "parameters": 1234,
        "seconds": 1.5,
        "loss": 0.1,
        "score": 0.5,
        "baseline": 1 / 6,
        "baseline_score": 0.15,
        "error": None,
        "baselines": {"knowing nothing": 1 / 6, "one addend": 1 / 12},
        "needed_lags": needed,
        "probe_size": 32,
        "segment": 10,
    }
    return summary | more


def curve_rows(losses):
    """Evaluations with these losses."""
    return pd.DataFrame(
        {
            "step": EVALUATIONS[: len(losses)],
            "loss": losses,
            "score": 0.5,
            "gradient_norm": 1.0,
        }
    )


def write(
    folder, trials, lengths=(10, 20), seeds=2, cells='["rnn", "lstm"]', name="run", card=CARD
):
    """Write a run: {(cell, length, seed): (summary, losses, flow)}; what is left out, is."""
    path = folder / name
    one = task.parse(card.format(lengths=list(lengths), seeds=seeds, cells=cells), "card")
    results.write_task(path, one)
    for trial in one.trials():
        given = trials.get((trial.cell.label, trial.length, trial.seed))
        if given is None:
            continue
        summary, losses, flow = given
        frames = {} if flow is None else {"curves": curve_rows(losses), "flow": flow}
        told = {"versions": {"seqbench": "1"}, "machine": {"system": "any", "cores": 2}}
        tables = {name: results.as_parquet(frame) for name, frame in frames.items()}
        results.write_trial(path, trial, {"summary": summary, **told}, tables)
    return results.load(path)


def whole(lengths=(10, 20), seeds=2, cells=("rnn", "lstm"), **how):
    """A run in which everything finished: rnn never solves, lstm does at the first length."""
    trials = {}
    for cell in cells:
        for length in lengths:
            for seed in range(seeds):
                good = cell == "lstm" and length == lengths[0]
                summary = record(length, "solved" if good else "done", 200 if good else None)
                rates = {0: 0.3, 100: 0.3, 400: 0.0 if good else 0.6}
                losses = [1.0, 0.17, 0.17, 0.01 if good else 0.17, 0.001 if good else 0.17]
                trials[cell, length, seed] = summary, losses, flow_rows(rates, length, **how)
    return trials


DIAGNOSED = """
name = "small"
lengths = [10, 20, 30]
seeds = 3
cells = {cells}
[problem]
name = "adding"
[training]
steps = 1000
clip_norm = {clip}
[recording]
diagnostics = {diagnostics}
"""
TWO = '["rnn", "lstm"]'


def diagnosed(rows, diagnostics, cells=TWO, clip=1.0, losses=None, flow=None, pictures=None):
    """A run of these readings: [(cell, length, seed, step, diagnostic, quantity, index, value)]."""
    text = DIAGNOSED.format(cells=cells, clip=clip, diagnostics=diagnostics)
    card = task.parse(text, "card")
    trials, records = [], {}
    for trial in card.trials():
        key = {"cell": trial.cell.label, "length": trial.length, "seed": trial.seed}
        blank = dict.fromkeys(results.TRIAL_COLUMNS[4:], NAN)
        trials.append({"task": "small", **key, **blank, "status": "done", "baseline": 1.0})
        needed = [{"anchor": trial.length, "lags": [[1, trial.length / 2, trial.length]]}]
        records[trial.folder] = {"summary": {"needed_lags": needed, "probe_size": 32}}
    said = pd.DataFrame(rows, columns=results.DIAGNOSTIC_COLUMNS)
    said.attrs["pictures"] = {
        asked.label: [picture.model_dump_json() for picture in one.pictures(card.trials()[0])]
        for asked, one in zip(card.recording.diagnostics, pictures or [], strict=False)
    }
    return results.Results(
        path=None,
        task=card,
        trials=pd.DataFrame(trials),
        curves=pd.DataFrame(losses or [], columns=results.CURVE_COLUMNS[:5]),
        flow=pd.DataFrame(flow or [], columns=results.FLOW_COLUMNS),
        diagnostics=said,
        lengths=pd.DataFrame(columns=results.LENGTH_COLUMNS),
        records=records,
    )


def said(values, diagnostic="mine", quantity="q", cell="rnn", length=10, index=0):
    """{(seed, step): value} as rows."""
    return [
        (cell, length, seed, step, diagnostic, quantity, index, value)
        for (seed, step), value in values.items()
    ]


FORGET = """[{use = "lstm", label = "b 4", forget_bias = 4.0},
             {use = "lstm", label = "b -4", forget_bias = -4.0}, "rnn"]"""


def a_study():
    """At T = 20: S at lag 10 before training is -10 (b -4) or -1 (b 4); the loss falls at 200."""
    flow, losses = [], []
    for cell, rate, falls in (("b -4", 1.0, [200, None, None]), ("b 4", 0.1, [100, 200, 300])):
        for seed, fell in enumerate(falls):
            for lag in range(21):
                level = -rate * lag
                flow.append(
                    (
                        cell,
                        20,
                        seed,
                        0,
                        "output",
                        20,
                        0,
                        20 - lag,
                        lag,
                        "all",
                        level,
                        level,
                        level,
                        0,
                        0,
                    )
                )
            for step in range(0, 1001, 100):
                low = fell is not None and step >= fell
                losses.append((cell, 20, seed, step, 0.1 if low else 1.0))
    return diagnosed([], "[]", cells=FORGET, losses=losses, flow=flow)
