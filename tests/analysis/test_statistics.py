"""Intervals, medians, bootstrap and pairs, against scipy and against numbers worked out by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqbench.analysis import statistics

scipy = pytest.importorskip("scipy.stats", reason="scipy is in the test extra")
INF, NAN = float("inf"), float("nan")


def test_wilson_interval_by_hand():
    assert statistics.wilson(0, 0) == (0, 1)
    assert statistics.wilson(0, 5) == pytest.approx((0, 0.43449), abs=1e-4)
    assert statistics.wilson(5, 5) == pytest.approx((0.56551, 1), abs=1e-4)


@given(st.integers(0, 40), st.integers(0, 40))
def test_wilson_interval_is_scipys(solved, unsolved):
    n = solved + unsolved
    if n:
        theirs = scipy.binomtest(solved, n).proportion_ci(method="wilson")
        assert statistics.wilson(solved, n) == pytest.approx((theirs.low, theirs.high), abs=1e-6)


def test_an_unsolved_trial_is_infinite_in_a_median_and_one_without_a_result_is_in_none():
    assert statistics.median(pd.Series([100.0, INF, 300.0])) == 300
    assert statistics.median(pd.Series([100.0, INF, INF])) == INF
    assert statistics.median(pd.Series([100.0, NAN, 300.0])) == 200
    assert math.isnan(statistics.median(pd.Series([NAN])))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_the_interquartile_mean_is_scipys_trimmed_mean(values):
    assert statistics.interquartile_mean(values) == pytest.approx(scipy.trim_mean(values, 0.25))


def test_the_interquartile_mean_of_infinite_values_pretends_no_number():
    assert statistics.interquartile_mean([1.0, 2.0, 3.0, INF]) == 2.5
    assert statistics.interquartile_mean([1.0, 2.0, INF, INF]) == INF
    assert math.isnan(statistics.interquartile_mean([NAN]))


def test_the_bootstrap_is_scipys_on_one_stratum_and_the_same_each_time():
    values = np.random.default_rng(3).normal(size=40)
    ours = statistics.bootstrap([values], np.mean)
    theirs = scipy.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=4000, rng=np.random.default_rng(1)
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.03)
    assert ours == statistics.bootstrap([values], np.mean)
    assert ours.value == pytest.approx(values.mean())


def test_the_bootstrap_never_mixes_strata():
    ours = statistics.bootstrap([[0.0] * 5, [1.0] * 5], np.mean)
    assert ours == (0.5, 0.5, 0.5)  # drawn from both together it would spread
    assert math.isnan(statistics.bootstrap([[NAN], []]).value)


@given(st.integers(0, 30), st.integers(0, 30))
def test_the_sign_test_is_scipys(more, less):
    if more + less:
        assert statistics.sign_test(more, less) == pytest.approx(
            scipy.binomtest(more, more + less).pvalue
        )


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=3, max_size=20))
def test_the_rank_correlation_is_scipys(pairs):
    x, y = zip(*pairs, strict=True)
    ours = statistics.rank_correlation(x, y)
    if len(set(x)) > 1 and len(set(y)) > 1:
        assert ours.value == pytest.approx(scipy.spearmanr(x, y).statistic)
        assert ours.low <= ours.high
    else:
        assert math.isnan(ours.value)


def test_pairs_of_one_cell_are_drawn_together():
    """Two values a cell, seven times the same: as many pairs, but no more cells."""
    x, y = [1.0, 2, 3, 4, 5], [2.0, 1, 3, 5, 4]
    alone = statistics.rank_correlation(x, y)
    together = statistics.rank_correlation(x * 7, y * 7, list("abcde") * 7)
    pretended = statistics.rank_correlation(x * 7, y * 7)
    assert together == pytest.approx(alone)
    assert pretended.low > together.low
    assert math.isnan(statistics.rank_correlation(x, y, list("aabbc")).low)  # three cells: too few


def trials(rows):
    """[(cell, length, seed, status, solved_at, loss)]"""
    columns = ["cell", "length", "seed", "status", "solved_at", "loss"]
    return pd.DataFrame(rows, columns=columns).astype({"solved_at": "Int64"})


def test_cells_are_compared_seed_by_seed():
    table = trials(
        [
            ("a", 10, 0, "solved", 100, 1.0),
            ("a", 10, 1, "solved", 200, 1.0),
            ("a", 10, 2, "done", None, 1.0),
            ("a", 10, 3, "done", None, 1.0),
            ("b", 10, 0, "solved", 50, 0.1),
            ("b", 10, 1, "done", None, 0.1),
            ("b", 10, 2, "done", None, 10.0),
            ("b", 10, 3, "error", None, None),
        ]
    )
    (row,) = statistics.paired(table, "a").to_dict("records")
    assert (row["pairs"], row["sooner"], row["later"], row["level"]) == (3, 1, 1, 1)
    assert row["p"] == 1.0
    assert row["loss_ratio"] == pytest.approx(-1)  # the median of -1, -1, 1
    assert math.isnan(row["loss_ratio_low"])  # three pairs say too little


def test_five_pairs_have_an_interval():
    rows = [("a", 10, seed, "done", None, 1.0) for seed in range(5)]
    rows += [("b", 10, seed, "done", None, 10.0 ** (seed - 3)) for seed in range(5)]
    (row,) = statistics.paired(trials(rows), "a").to_dict("records")
    assert row["loss_ratio"] == pytest.approx(-1)
    assert (row["loss_ratio_low"], row["loss_ratio_high"]) == pytest.approx((-3, 1))


def test_steps_to_solve_are_a_curve_that_ends_below_one_where_some_never_do():
    table = trials(
        [
            ("a", 10, 0, "solved", 100, 1.0),
            ("a", 10, 1, "solved", 300, 1.0),
            ("a", 10, 2, "solved", 300, 1.0),
            ("a", 10, 3, "done", None, 1.0),
            ("a", 10, 4, "interrupted", None, None),
        ]
    )
    curve = statistics.solved_by_step(table)
    assert curve[["step", "share"]].to_numpy().tolist() == [[0, 0], [100, 0.25], [300, 0.75]]
