"""The report: its numbers against ones worked out by hand, its files, its odd runs."""

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import seqbench
from seqbench import results
from seqbench.analysis import opening, shapes, statistics
from seqbench.analysis.study import Study
from seqbench.card import task
from seqbench.reporting import terminal, words
from seqbench.reporting.command import reproduce

INF = float("inf")
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
        frame = pd.DataFrame({
            "step": step, "source": "output", "anchor": anchor, "layer": layer,
            "time": anchor - lags, "lag": lags, "state": "all", "log10_norm": level,
            "log10_p10": level - 0.1, "log10_p90": level + 0.1,
            "n_zero": np.where(lags > anchor / 2, zeros, 0),
            "n_nonfinite": nonfinite,
        })  # fmt: skip
        frames += [frame, frame.assign(state="h"), frame.assign(source="loss")]
    return pd.concat(frames, ignore_index=True)


def record(length, status="done", solved_at=None, **more):
    """What a trial.json sums up."""
    needed = [{"anchor": length, "lags": [[length // 2, 0.6 * length, length], [0, 2.0, 4]]}]
    summary = {
        "status": status, "steps": 400, "solved_at": solved_at, "parameters": 1234, "seconds": 1.5,
        "loss": 0.1, "score": 0.5, "baseline": 1 / 6, "baseline_score": 0.15, "error": None,
        "baselines": {"knowing nothing": 1 / 6, "one addend": 1 / 12}, "needed_lags": needed,
        "probe_size": 32, "segment": 10,
    }  # fmt: skip
    return summary | more


def curve_rows(losses):
    """Evaluations with these losses."""
    return pd.DataFrame({
        "step": EVALUATIONS[: len(losses)], "loss": losses, "score": 0.5, "gradient_norm": 1.0,
    })  # fmt: skip


@pytest.fixture
def make(tmp_path):
    """Writes a run: {(cell, length, seed): (summary, losses, flow)}; what is left out, is."""

    def build(trials, lengths=(10, 20), seeds=2, cells='["rnn", "lstm"]', name="run", card=CARD):
        path = tmp_path / name
        one = task.parse(card.format(lengths=list(lengths), seeds=seeds, cells=cells), "card")
        results.write_task(path, one)
        for trial in one.trials():
            given = trials.get((trial.cell.label, trial.length, trial.seed))
            if given is None:
                continue
            summary, losses, flow = given
            frames = {} if flow is None else {"curves": curve_rows(losses), "flow": flow}
            told = {"versions": {"seqbench": "1"}, "machine": {"system": "any", "cores": 2}}
            results.write_trial(path, trial, {"summary": summary, **told}, frames)
        return results.load(path)

    return build


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


def test_the_table_counts_and_takes_medians_with_unsolved_as_infinite(make):
    trials = whole(seeds=3)
    for seed, at in enumerate([100, 300, None]):
        status = "solved" if at else "done"
        trials["lstm", 20, seed] = (record(20, status, at), *trials["lstm", 20, seed][1:])
    trials["rnn", 10, 0] = (record(10, "solved", 100), *trials["rnn", 10, 0][1:])
    table = Study(make(trials, seeds=3)).comparison.set_index(["cell", "length"])
    assert table.loc[("lstm", 20), "steps_to_solve"] == 300
    assert table.loc[("rnn", 10), "steps_to_solve"] == INF
    assert table.loc[("lstm", 20), ["seeds", "finished", "solved", "done"]].tolist() == [3, 3, 2, 1]
    low, high = table.loc[("lstm", 20), ["solved_low", "solved_high"]]
    # Wilson, 2 of 3, z = 1.96: (2/3 + 0.64027 -+ 0.69571) / 2.28049 = 0.20765, 0.93852
    assert (low, high) == pytest.approx((0.20765, 0.93852), abs=2e-4)


def test_wilson_interval():
    assert statistics.wilson(0, 0) == (0, 1)
    assert statistics.wilson(0, 5) == pytest.approx((0, 0.43449), abs=1e-4)
    assert statistics.wilson(5, 5) == pytest.approx((0.56551, 1), abs=1e-4)
    assert statistics.wilson(5, 10) == pytest.approx((0.23659, 0.76341), abs=1e-4)


def test_half_life_and_horizons_are_those_of_the_curve(make):
    table = Study(make(whole())).comparison.set_index(["cell", "length"])
    rnn = table.loc[("rnn", 20)]
    assert rnn["half_life_start"] == pytest.approx(math.log10(2) / 0.3)
    assert rnn["horizon_1e-3_start"] == pytest.approx(10)
    assert rnn["horizon_1e-3_end"] == pytest.approx(5)
    assert rnn["horizon_1e-6_start"] == pytest.approx(20)
    assert table.loc[("rnn", 10), "horizon_1e-6_start"] == INF
    assert words.reach_of(table.loc[("rnn", 10)], "horizon_1e-6", "start") == "≥ 10"
    assert table.loc[("lstm", 10), "half_life_end"] == INF


def test_seeds_on_both_sides_of_the_largest_lag_are_told(make):
    trials = whole()
    summary, losses, _ = trials["rnn", 20, 1]
    trials["rnn", 20, 1] = summary, losses, flow_rows({0: 0.3, 400: 0.0}, 20)
    table = Study(make(trials)).comparison.set_index(["cell", "length"])
    assert words.reach_of(table.loc[("rnn", 20)], "horizon_1e-3", "end") == "5.0 and ≥ 20"


def test_exact_zeros_end_the_curve_and_values_that_are_not_finite_leave_none(make):
    trials = whole(zeros=2)
    summary, losses, _ = trials["rnn", 10, 0]
    for seed in (0, 1):
        trials["rnn", 10, seed] = summary, losses, flow_rows({0: 0.3, 400: 0.3}, 10, nonfinite=1)
    table = Study(make(trials)).comparison.set_index(["cell", "length"])
    assert table.loc[("lstm", 10), "half_life_end"] == 6  # the first lag with zeros
    assert table.loc[("rnn", 10), "half_life_start":"horizon_1e-6_end_low"].isna().all()


@pytest.mark.parametrize(
    ("solved", "longest", "share"),
    [
        ([2, 2, 2], 30, 1), ([2, 1, 0], 20, 2 / 3), ([2, 0, 2], 10, 2 / 3), ([0, 2, 2], 0, 2 / 3),
    ],
)  # fmt: skip
def test_longest_length_solved_has_no_gaps(make, solved, longest, share):
    lengths = (10, 20, 30)
    trials = whole(lengths, cells=("rnn",))
    for length, n in zip(lengths, solved, strict=True):
        for seed in range(n):
            key = "rnn", length, seed
            trials[key] = (record(length, "solved", 100), *trials[key][1:])
    told = Study(make(trials, lengths, cells='["rnn"]')).longest.iloc[0]
    assert (told["longest"], told["share"]) == (longest, pytest.approx(share))


def test_a_length_that_is_not_finished_may_still_be_solved(make):
    trials = whole(cells=("lstm",))  # solves 10, not 20
    del trials["lstm", 20, 0]
    counted = Study(make(trials, cells='["lstm"]'))
    assert counted.longest[["longest", "unfinished", "undecided"]].iloc[0].tolist() == [10, 1, True]
    assert "lstm at least 10; with 1 trial without a result" in words.what_was_seen(counted)[0]


def test_what_is_said_at_one_length(make):
    counted = Study(make(whole((10,)), (10,)))
    assert words.what_was_seen(counted)[0] == (
        "At T = 10, the only length, at least half of the seeds solved it with lstm and not with "
        "rnn; with 2 seeds, n is too small to claim that cells differ."
    )


# Records at 0, 100, 200, 300, 400; baseline 1, so a loss has fallen below 0.8.
@pytest.mark.parametrize(
    ("levels", "above_at", "fell_at", "expected"),
    [
        ([-9, -9, -2, -1, 0], 300, 400, opening.BEFORE),
        ([-9, -2, -8, -8, -1], 200, 300, opening.AFTER),
        ([-9, -9, -9, -1, 0], 200, 300, opening.BETWEEN),
        ([-9, -9, -9, -1, 0], np.nan, np.nan, opening.ONLY_OPENED),
        ([-9, -1, -9, -9, -9], 200, 300, opening.ONLY_FELL),
        ([-9, -9, -9, -9, -3.1], np.nan, np.nan, opening.NEITHER),
        ([-2.9, -1, 0, 0, 0], 200, 300, opening.OPEN_FELL),
        ([-2.9, -1, 0, 0, 0], np.nan, np.nan, opening.OPEN_STAYED),
        ([-3.5, -2.9, -2.6, -2.6, -2.6], np.nan, np.nan, opening.NEITHER),
        ([-INF, -4, -2.9, -1, 0], 300, 400, opening.BEFORE),
        ([np.nan, -9, -1, -1, 0], 200, 300, opening.UNKNOWN),
    ],
)
def test_what_came_first(levels, above_at, fell_at, expected):
    level = pd.Series(levels, index=EVALUATIONS, dtype=float)
    assert opening.category(level, above_at, fell_at) == expected


def test_the_fall_is_below_a_margin():
    loss = pd.Series([2, 0.99, 0.81, 0.79, 0.2], index=EVALUATIONS)
    assert opening.fall(loss, 1.0) == (200, 300)
    assert np.isnan(opening.fall(loss, 0.1)).all()
    assert np.isnan(opening.fall(loss, np.nan)).all()


def test_what_came_first_in_a_run(make):
    counted = Study(make(whole()))
    first = counted.opening.set_index(["cell", "length", "seed"])
    row = first.loc[("lstm", 20, 0)]
    assert row["needed_lag"] == 12
    assert row["s_start"] == pytest.approx(-3.6)
    assert row["category"] == opening.NEITHER
    assert first.loc[("lstm", 10, 0), "category"] == opening.OPEN_FELL
    assert counted.opening_counts[list(opening.CATEGORIES)].sum().sum() == 8


def test_shape_is_relative_to_lag_zero_and_has_one_row_a_lag(make):
    shape = shapes.shapes(make(whole()))
    assert not shape.duplicated([*shapes.KEY, "lag"]).any()
    assert (shape.loc[shape["lag"] == 0, "s"] == 0).all()
    one = shape[(shape["cell"] == "rnn") & (shape["at"] == "start") & (shape["lag"] == 4)].iloc[0]
    assert (one["s"], one["p10"], one["p90"]) == pytest.approx((-1.2, -1.3, -1.1))


def test_of_several_anchors_the_last_is_shown_and_of_layers_the_top(make):
    trials = whole((10,))
    for key in trials:
        summary, losses, flow = trials[key]
        flow = pd.concat([flow, flow_rows({0: 0.9, 400: 0.9}, 10, anchor=6)])
        below = flow.assign(layer=0, log10_norm=-99.0)
        trials[key] = summary, losses, pd.concat([below, flow.assign(layer=1)])
    run = make(trials, (10,), cells='["rnn", {use = "lstm", layers = 2}]')
    counted = Study(run)
    assert set(counted.comparison["anchor"]) == {10}
    assert counted.comparison["half_life_start"].iloc[0] == pytest.approx(math.log10(2) / 0.3)
    assert "top layer" in words.measured_where(counted)


def test_the_level_at_a_lag_between_records():
    one = shapes.Curve([0, 1, 10, 20], [0, -1, -10, -np.inf])
    assert shapes.level_at(one, 5.5) == -5.5
    assert shapes.level_at(one, 10) == -10
    assert shapes.level_at(one, 15) == -np.inf
    assert np.isnan(shapes.level_at(one, 21))


# ------------------------------------------------------------------------------------------ files


def check_page(folder: Path) -> str:
    """The files are there, nothing is fetched, no id twice, the Markdown's links lead somewhere."""
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "http:" not in page
    assert "https:" not in page
    for link in re.findall(r'(?:src|href)="([^"]*)"', page):
        assert link.startswith(("#", "data:")) or (folder / link).is_file(), link
    assert not re.search(r"@import|url\((?!#)|<script|<link rel=\"stylesheet", page)
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    for used in re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', page):
        assert "".join(used) in ids
    markdown = (folder / "report.md").read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#][^)]*)\)", markdown):
        assert (folder / link).is_file(), link
    assert "nan" not in re.sub(r"<pre>.*?</pre>|<svg.*?</svg>", "", page, flags=re.S).lower()
    return page


def test_everything_is_written(make):
    run = make(whole())
    page = seqbench.report(run)
    assert page == run.path / "report" / "index.html"
    text = check_page(page.parent)
    names = {p.relative_to(page.parent).as_posix() for p in page.parent.rglob("*") if p.is_file()}
    figures = {f"figures/{n}.{kind}" for n in ("flow", "reach", "training", "loss", "fall")
               for kind in ("png", "svg")}  # fmt: skip
    written = {"index.html", "report.md", "tables/comparison.csv", "tables/opening.csv"}
    assert figures | written <= names
    assert text.count("<svg") == 5
    assert "○ 0/2" in text
    assert "● 2/2" in text
    assert "n is too small to claim" in text
    assert "an association" in text
    assert "Further diagnostics" not in text
    assert "tables/diagnostics.csv" not in names
    table = pd.read_csv(page.parent / "tables" / "comparison.csv")
    pd.testing.assert_frame_equal(table, Study(run).comparison, check_dtype=False)


def test_the_same_data_give_the_same_bytes(make, tmp_path):
    run = make(whole((10,), 1, ("rnn",)), (10,), 1, '["rnn"]')
    one, other = seqbench.report(run).parent, seqbench.report(str(run.path), tmp_path / "o").parent
    for file in one.rglob("*.*"):
        assert (other / file.relative_to(one)).read_bytes() == file.read_bytes(), file


def test_trials_without_a_result_are_shown(make):
    trials = whole()
    del trials["rnn", 10, 0]
    broken = {"status": "error", "error": "ValueError: <no> |way|\nat all"}
    trials["lstm", 20, 1] = broken, None, None
    summary, _, flow = trials["rnn", 20, 0]
    trials["rnn", 20, 0] = summary | {"status": "diverged", "loss": None}, [1.0, np.nan], flow
    run = make(trials)
    page = check_page(seqbench.report(run).parent)
    for told in ("1 interrupted", "1 error", "1 diverged", "ValueError: &lt;no&gt; |way| at all"):
        assert told in page
    assert terminal.errors(run) == [
        "rnn T=10 seed 0: has not finished",
        "lstm T=20 seed 1: ValueError: <no> |way| at all",
    ]
    table = Study(run).comparison.set_index(["cell", "length"])
    assert table.loc[("rnn", 10), ["finished", "interrupted"]].tolist() == [1, 1]
    assert table.loc[("rnn", 20), ["finished", "diverged"]].tolist() == [2, 1]


@pytest.mark.parametrize("how", ["nothing", "errors", "one", "flat", "infinite"])
def test_odd_runs_make_a_page(make, how):
    if how == "nothing":
        run = make({})
    elif how == "errors":
        run = make({key: ({"status": "error", "error": "x"}, None, None) for key in whole()})
    elif how == "one":
        trials = whole((10,), 1, ("rnn",))
        run = make(trials, (10,), 1, '[{use = "/home/me/my.py:RNN", label = "rnn"}]')
    elif how == "flat":
        flat = {key: (s, c, flow_rows({0: 0.0}, 10)) for key, (s, c, _) in whole((10,)).items()}
        run = make(flat, (10,))
    else:
        bad = {key: (s, c, flow_rows({0: 0.3}, 10, nonfinite=3))
               for key, (s, c, _) in whole((10,)).items()}  # fmt: skip
        run = make(bad, (10,))
    page = check_page(seqbench.report(run).parent)
    assert "/home/me" not in page
    assert terminal.print_comparison(run) is None


def test_several_runs_make_one_page(make, tmp_path):
    trials = whole((10,), 1, ("rnn",))
    runs = [make(trials, (10,), 1, '["rnn"]', name=name) for name in ("a", "b")]
    page = check_page(seqbench.report(runs, tmp_path / "both").parent)
    assert page.count("<main") == 2
    assert 'id="small-run2"' in page


def test_a_folder_that_cannot_be_written_is_named(make, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(seqbench.InputError, match=r"--out .*file"):
        seqbench.report(make(whole()), tmp_path / "file")


# ---------------------------------------------------------------------------------------- command


def test_the_command_to_reproduce():
    bundled = task.load("quickstart")
    assert reproduce(bundled) == ("seqbench run quickstart", False)
    part = task.load("quickstart", {"lengths": [10, 25], "seeds": 1, "training.steps": 50})
    part = part.model_copy(update={"cells": part.cells[:1]})
    assert reproduce(part)[0] == (
        "seqbench run quickstart --cells rnn --lengths 10,25 --seeds 1 --set training.steps=50"
    )
    own = task.parse(CARD.format(lengths=[10], seeds=1, cells='["rnn"]'), "card")
    assert reproduce(own) == ("seqbench run ./small.toml", True)


# --------------------------------------------------------------------------------------- terminal


def printed(function, *args, width=80) -> str:
    console = Console(width=width, force_terminal=False, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    function(*args, console)
    return console.export_text()


@pytest.mark.parametrize("width", [24, 40, 80])
def test_the_printed_table_fits(make, width):
    trials = whole((10, 20, 30, 40, 50, 60))
    del trials["rnn", 60, 0]
    text = printed(terminal.print_comparison, make(trials, (10, 20, 30, 40, 50, 60)), width=width)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    assert "0/2" in text
    if width == 80:
        assert "2/2 at 200" in text
        assert "1 interrupted" in text


def test_a_label_in_brackets_is_printed_as_it_is(make):
    label = "lstm [bold]"
    trials = {(label, *key[1:]): told for key, told in whole().items() if key[0] == "lstm"}
    run = make(trials, cells='[{use = "lstm", label = "lstm [bold]"}]')
    assert label in printed(terminal.print_comparison, run)


def test_the_printed_flow_fits_and_says_where_float32_ends():
    lags = np.arange(401)
    frames = [
        flow_rows({0: rate}, 400).query("source == 'output'").assign(cell=cell)
        for cell, rate in {"rnn": 0.2, "gated": 0.0, "c": 0.01, "d": 0.5, "e": 0.1}.items()
    ]
    text = printed(terminal.print_flow, pd.concat(frames), {"rnn": 190.0})
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
    frames = [frame.query("state == 'all'") for frame in frames]
    told = terminal.readings(frames[0], 190.0)
    assert told["horizon(1e-3), steps"] == "15"
    assert told["log10 S(400)"] == "-80.0"
    assert told["early rate, decades a step"] == "0.200"
    first = lags[-0.5 - 0.2 * lags < -45.154][0]
    assert told["too small for float32 from lag"] == str(first)
    assert told["float32 inputs.grad is 0 from lag"] == "190"
    assert told["late half-life, steps"] == "1.5"
    flat = terminal.readings(frames[1])
    assert flat["half-life, steps"] == ">= 400"
    assert flat["late half-life, steps"] == "none within 400"
    assert flat["too small for float32 from lag"] == "none"


def test_a_line_a_cell_at_the_largest_length(make):
    """Flow falls by 0.3 decades a step at the start; the needed lag's level is read at T = 20."""
    counted = Study(make(whole()))
    told = counted.overview.set_index("cell")
    assert list(told.index) == ["rnn", "lstm"]
    assert set(told["length"]) == {20}
    lag = shapes.longest_needs(counted.results)[20]
    assert told["s_start"].to_numpy() == pytest.approx(-0.3 * lag)
    assert told["s_end"].to_numpy() == pytest.approx(-0.6 * lag)
    assert dict(told["longest"]) == {"rnn": 0, "lstm": 10}
