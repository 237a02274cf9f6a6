"""What is counted of a run, against numbers worked out by hand."""

import math

import numpy as np
import pandas as pd
import pytest
import runs
from runs import (
    EVALUATIONS,
    FORGET,
    INF,
    NAN,
    a_study,
    flow_rows,
    record,
    said,
    whole,
)

from seqbench import results
from seqbench.analysis import falling, opening, readings, shapes
from seqbench.analysis.study import Study
from seqbench.reporting import words


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
    trials = whole(zeros=17)  # of 32
    summary, losses, _ = trials["rnn", 10, 0]
    for seed in (0, 1):
        trials["rnn", 10, seed] = summary, losses, flow_rows({0: 0.3, 400: 0.3}, 10, nonfinite=1)
    table = Study(make(trials)).comparison.set_index(["cell", "length"])
    assert table.loc[("lstm", 10), "half_life_end"] == 6  # the first lag with zeros
    assert table.loc[("rnn", 10), "half_life_start":"horizon_1e-6_end_low"].isna().all()


@pytest.mark.parametrize(
    ("solved", "longest", "share"),
    [
        ([2, 2, 2], 30, 1),
        ([2, 1, 0], 20, 2 / 3),
        ([2, 0, 2], 10, 2 / 3),
        ([0, 2, 2], 0, 2 / 3),
    ],
)
def test_longest_length_solved_has_no_gaps(make, solved, longest, share):
    lengths = (10, 20, 30)
    trials = whole(lengths, cells=("rnn",))
    for length, n in zip(lengths, solved, strict=True):
        for seed in range(n):
            key = "rnn", length, seed
            trials[key] = (record(length, "solved", 100), *trials[key][1:])
    told = Study(make(trials, lengths, cells='["rnn"]')).longest.iloc[0]
    assert (told["longest"], told["share"]) == (longest, pytest.approx(share))


# Records at 0, 100, 200, 300, 400; baseline 1, so a loss has fallen below 0.8.
@pytest.mark.parametrize(
    ("levels", "above_at", "fell_at", "expected"),
    [
        ([-9, -9, -2, -1, 0], 300, 400, opening.OPEN_FELL),
        ([-9, -2, -8, -8, -1], 200, 300, opening.CLOSED_FELL),
        ([-9, -9, -9, -1, 0], 200, 300, opening.CLOSED_FELL),
        ([-9, -9, -9, -1, 0], np.nan, np.nan, opening.OPEN_STAYED),
        ([-9, -1, -9, -9, -9], 200, 300, opening.CLOSED_FELL),
        ([-9, -9, -9, -9, -3.1], np.nan, np.nan, opening.CLOSED_STAYED),
        ([-2.9, -1, 0, 0, 0], 200, 300, opening.OPEN_FELL),
        ([-2.9, -1, 0, 0, 0], np.nan, np.nan, opening.OPEN_STAYED),
        ([-3.5, -2.9, -2.6, -2.6, -2.6], np.nan, np.nan, opening.CLOSED_STAYED),
        ([-INF, -4, -2.9, -1, 0], 300, 400, opening.OPEN_FELL),
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
    assert row["category"] == opening.CLOSED_STAYED
    assert first.loc[("lstm", 10, 0), "category"] == opening.OPEN_FELL
    assert counted.opening_counts[list(opening.CATEGORIES)].sum().sum() == 4
    assert counted.opening_counts["length"].unique().tolist() == [20], "shorter ones say nothing"


def test_shape_is_relative_to_lag_zero_and_has_one_row_a_lag(make):
    shape = shapes.shapes(make(whole()))
    assert not shape.duplicated([*shapes.KEY, "lag"]).any()
    assert (shape.loc[shape["lag"] == 0, "s"] == 0).all()
    one = shape[(shape["cell"] == "rnn") & (shape["at"] == "start") & (shape["lag"] == 4)].iloc[0]
    assert (one["s"], one["p10"], one["p90"]) == pytest.approx((-1.2, -1.3, -1.1))


def test_the_level_at_a_lag_between_records():
    one = shapes.Curve([0, 1, 10, 20], [0, -1, -10, -np.inf])
    assert shapes.level_at(one, 5.5) == -5.5
    assert shapes.level_at(one, 10) == -10
    assert shapes.level_at(one, 15) == -np.inf
    assert np.isnan(shapes.level_at(one, 21))


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


def test_medians_at_both_ends_count_infinite_values_and_not_nan():
    rows = said(
        {(0, 0): 1, (1, 0): 3, (2, 0): NAN, (0, 50): 9, (0, 100): INF, (1, 70): 5, (2, 80): 7}
    )
    table = readings.at_the_ends(
        readings.readings(runs.diagnosed(rows, '["credit"]')), ["rnn", "lstm"]
    )
    assert len(table) == 1
    row = table.iloc[0]
    assert (row["start"], row["seeds_start"]) == (2, 2)
    assert (row["end"], row["seeds_end"]) == (7, 3)  # each trial's own last: inf, 5, 7


def test_a_diagnostic_that_was_asked_once_has_no_end():
    found = readings.readings(runs.diagnosed(said({(0, 0): 1.0}), '["credit"]'))
    table = readings.at_the_ends(found, ["rnn"])
    assert found["at"].tolist() == ["start"]
    assert math.isnan(table["end"].iloc[0])
    assert table["seeds_end"].iloc[0] == 0


def test_the_table_is_in_the_cards_order_and_keeps_index_and_quantity():
    rows = [
        ("lstm", 10, 0, 0, "b", "z", 1, 0.5),
        ("lstm", 10, 0, 0, "b", "z", 0, 0.25),
        ("lstm", 10, 0, 0, "b", "a", 0, 1 / 3),
        ("rnn", 10, 0, 0, "a", "z", 0, 2.0),
    ]
    table = readings.at_the_ends(
        readings.readings(runs.diagnosed(rows, '["credit"]')), ["rnn", "lstm"]
    )
    keys = table[["cell", "diagnostic", "quantity", "index"]].to_numpy().tolist()
    assert keys == [
        ["rnn", "a", "z", 0],
        ["lstm", "b", "z", 0],
        ["lstm", "b", "z", 1],
        ["lstm", "b", "a", 0],
    ]
    assert table["start"].tolist() == [2.0, 0.25, 0.5, 0.333333]


def test_many_readings_are_drawn_in_bins_of_their_medians():
    rows = pd.DataFrame(
        said({(0, step): step for step in range(1, 1001)}), columns=results.DIAGNOSTIC_COLUMNS
    )
    drawn, width = readings.binned(rows)
    assert width == 21  # 1,001 steps in at most 50 bins
    assert drawn["value"].iloc[1] == 31  # the median of 21..41
    assert drawn["step"].iloc[1] == 31.5
    few = rows.iloc[:60]
    assert readings.binned(few)[0] is few


def test_a_median_goes_on_only_while_every_seed_does():
    rows = pd.DataFrame(
        said({(0, 0): 1, (1, 0): 3, (2, 0): 8, (0, 10): 5, (1, 10): 6, (2, 10): 7, (0, 20): 99}),
        columns=results.DIAGNOSTIC_COLUMNS,
    )
    assert readings.shared_median(rows, "step").to_dict() == {0: 3, 10: 6}


def test_falls_are_medians_in_which_never_is_infinite():
    table = Study(a_study()).falls.set_index("cell")
    assert table.loc["b -4", ["trials", "fell", "solved"]].tolist() == [3, 1, 0]
    assert table.loc["b -4", "s_start"] == pytest.approx(-10)
    assert table.loc["b -4", "fell_at"] == INF
    assert table.loc["b 4", ["fell", "fell_at"]].tolist() == [3, 200]


def test_cells_that_differ_by_one_option_alone_are_an_intervention():
    (found,) = falling.interventions(a_study().task)
    assert (found.use, found.option) == ("lstm", "forget_bias")
    assert list(found.values) == ["b -4", "b 4"]  # ascending
    two = FORGET.replace("forget_bias = 4.0", "forget_bias = 4.0, hidden_size = 9")
    assert falling.interventions(runs.diagnosed([], "[]", cells=two).task) == []
    assert falling.interventions(runs.diagnosed([], "[]").task) == []


def test_rank_correlation():
    trials = pd.DataFrame({"s_start": [1.0, 2, 3, 4, 5], "fell_at": [INF, 40, 30, 20, 10]})
    rho, n = falling.correlation(trials)
    assert (rho.value, n) == (pytest.approx(-1), 5)
    assert math.isnan(falling.correlation(trials.iloc[:4])[0].value)
    assert math.isnan(falling.correlation(trials.assign(fell_at=INF))[0].value)


def test_the_speed_of_opening_is_ranked_with_the_fall_among_those_that_had_not_fallen():
    scipy_stats = pytest.importorskip("scipy.stats")
    generator = np.random.default_rng(0)
    speed = generator.normal(size=24)
    fell_at = np.where(speed > 1, np.nan, 500 - 100 * speed + generator.normal(size=24))
    trials = pd.DataFrame(
        {
            "cell": np.repeat(list("abcdef"), 4),
            "length": 20,
            "early_at": 300.0,
            "s_start": -8.0,
            "s_early": -8.0 + speed,
            "fell_at": fell_at,
        }
    )
    trials.loc[0, "fell_at"] = 200.0  # before the end of the window: left out
    found = falling.speeds(trials).set_index("length").loc[20]
    theirs = scipy_stats.spearmanr(speed[1:], np.nan_to_num(fell_at[1:], nan=1e9)).statistic
    assert found["correlation"] == pytest.approx(theirs, abs=1e-12)
    assert found["low"] <= found["correlation"] <= found["high"]
    assert (found["trials"], found["fallen_by_then"]) == (23, 1)
    few = falling.speeds(trials[trials["cell"] < "c"]).set_index("length").loc[20]
    assert np.isnan(few["low"])


def test_the_window_of_the_speed_is_the_same_for_all_trials():
    level = pd.Series([-9.0, -8.0, -6.0, -1.0], [0, 100, 200, 1000])
    assert opening._early(level, 250) == {"early_at": 200.0, "s_early": -6.0}
    assert np.isnan(opening._early(level, 50)["s_early"])


def test_who_solved_it_is_counted_by_whether_the_flow_was_open_at_each_needed_lag(make):
    trials = whole()
    for seed in (0, 1):  # S(12) = -3.6 at T = 20 before training: closed; S(2) = -0.6: open
        trials["rnn", 20, seed] = (record(20), trials["rnn", 20, seed][1], flow_rows({0: 0.3}, 20))
        told = record(20, "solved", 100), trials["lstm", 20, seed][1], flow_rows({0: 0.1}, 20)
        trials["lstm", 20, seed] = told
    table = Study(make(trials)).by_needed_lag
    at_20 = table[table["length"] == 20].set_index(["lag", "open"])
    assert at_20.loc[(12.0, True), ["trials", "solved"]].tolist() == [2, 2]
    assert at_20.loc[(12.0, False), ["trials", "solved"]].tolist() == [2, 0]
    assert at_20.loc[(2.0, True), ["trials", "solved"]].tolist() == [4, 2]
    low, high = at_20.loc[(2.0, True), ["low", "high"]]
    # Wilson, 2 of 4, z = 1.96: (1/2 + 0.48020 -+ 0.68577) / 1.96040 = 0.15004, 0.84996
    assert (low, high) == pytest.approx((0.15004, 0.84996), abs=2e-4)
