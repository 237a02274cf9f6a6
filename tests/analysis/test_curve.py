"""What is read off a curve, on curves whose answers are known, whatever lags were recorded."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqbench.analysis.curve import HORIZONS, Curve, from_rows

K = 400
GRIDS = [np.arange(K + 1), np.array([*range(11), 60, 100, 200, 400]), np.arange(0, K + 1, 4)]


@pytest.mark.parametrize("lags", GRIDS)
def test_exponential(lags):
    curve = Curve(lags, -0.02 * lags)
    assert curve.half_life() == pytest.approx(math.log10(2) / 0.02)
    assert curve.horizon(1e-3) == pytest.approx(150)
    assert curve.horizon(1e-9) is None
    assert curve.early_rate() == pytest.approx(0.02)
    assert curve.late_rate() == pytest.approx(0.02)
    assert curve.late_half_life() == pytest.approx(math.log10(2) / 0.02)


def test_one_factor_a_step_only_where_there_is_one():
    lags = np.arange(K + 1)
    assert Curve(lags, -0.02 * lags).factor() == pytest.approx(10**-0.02)
    assert Curve(lags, np.zeros(K + 1)).factor() == pytest.approx(1.0)  # a perfect memory
    assert Curve(lags, -np.minimum(lags, 20) * 1.0).factor() is None


@pytest.mark.parametrize("lags", [np.arange(K + 1), np.array([*range(21), 100, 200, 400])])
def test_two_phases(lags):
    curve = Curve(lags, np.where(lags <= 20, -0.3 * lags, -6 - 0.001 * (lags - 20)))
    assert curve.early_rate() == pytest.approx(0.3)
    assert curve.late_rate() == pytest.approx(0.001)
    assert curve.late_half_life() == "none within K"  # 0.2 decades over [K/2, K]
    assert curve.horizon(1e-3) == pytest.approx(10)


def test_flat_and_growing():
    lags = np.arange(K + 1)
    flat, grows = Curve(lags, np.zeros(K + 1)), Curve(lags, 0.1 * lags)
    assert flat.half_life() is None
    assert flat.late_half_life() == "none within K"
    assert grows.late_half_life() == "grows"
    assert grows.growth() == (pytest.approx(40), 400)
    assert grows.late_rate() == pytest.approx(-0.1)


def test_noise_does_not_move_the_first_crossing_beyond_its_neighbours():
    lags = np.arange(K + 1)
    noise = np.random.default_rng(0).normal(0, 0.05, K + 1)
    noise[0] = 0
    s = -0.02 * lags + noise
    first = np.flatnonzero(s <= -3)[0]
    assert first - 1 <= Curve(lags, s).horizon(1e-3) <= first
    assert Curve(lags, s).late_rate() == pytest.approx(0.02, abs=0.001)


def test_lags_far_from_a_quantity_do_not_change_it():
    lags = np.arange(K + 1)
    s = -0.02 * lags + 0.3 * np.sin(lags / 30)
    whole = Curve(lags, s)
    near = whole.horizon(1e-3)
    keep = (lags <= 10) | (abs(lags - near) < 2) | np.isin(lags, [K // 2, K])
    thin = Curve(lags[keep], s[keep])
    assert thin.horizon(1e-3) == pytest.approx(near)
    assert thin.late_rate() == pytest.approx(whole.late_rate())
    assert thin.early_rate() == pytest.approx(whole.early_rate())


def rows(lags, norms, zeros=0, nonfinite=0):
    return pd.DataFrame(
        {"lag": lags, "log10_norm": norms, "n_zero": zeros, "n_nonfinite": nonfinite}
    )


def test_where_more_than_half_are_exactly_zero_the_flow_is_below_every_level():
    lags = np.arange(11)
    curve = from_rows(rows(lags, 2.0 - 0.1 * lags, zeros=np.where(lags > 6, 17, 0)), examples=32)
    assert curve.at(6) == pytest.approx(-0.6)
    assert math.isnan(curve.at(7))
    assert curve.horizon(1e-6) == 7
    assert curve.late_half_life() == "not defined: exact zeros"


def test_where_a_few_are_exactly_zero_nothing_is_read():
    lags = np.arange(11)
    curve = from_rows(rows(lags, 2.0 - 0.1 * lags, zeros=np.where(lags > 6, 16, 0)), examples=32)
    assert curve.largest_lag == 6
    assert curve.horizon(1e-6) is None  # not within 6
    assert math.isnan(curve.at(7))


def test_exact_zeros_stay_out_of_rates():
    lags = np.arange(11)
    between = Curve([0, 1, 2, 3, 4], [0, -1, -np.inf, -3, -4])
    assert math.isnan(between.at(2))
    assert math.isnan(between.at(2.5))
    assert between.at(3.5) == -3.5
    one_zero = from_rows(rows(lags, 2.0 - 0.1 * lags, zeros=1), examples=32)
    assert one_zero.at(10) == pytest.approx(-1)


def test_what_is_not_finite_is_left_out():
    table = rows(np.arange(4), [0.0, -1.0, np.nan, -3.0], nonfinite=[0, 0, 32, 0])
    assert from_rows(table, 32).at(2) == pytest.approx(-2)
    assert from_rows(rows(np.arange(2), [np.nan, -1.0], nonfinite=[32, 0]), 32).half_life() is None


FAMILIES = {
    "exponential": lambda k: -0.02 * k,
    "two-phase": lambda k: np.where(k <= 20, -0.3 * k, -6 - 0.02 * (k - 20)),
    "flat": lambda k: 0.0 * k,
    "exploding": lambda k: 0.05 * k,
    "noisy": lambda k: -0.01 * k + np.random.default_rng(1).normal(0, 0.1, len(k)) * (k > 0),
}


def told(curve):
    """Everything that is read off, NaN as a word."""
    numbers = {
        "early": curve.early_rate(),
        "late": curve.late_rate(),
        "half-life": curve.half_life(),
        "late half-life": curve.late_half_life(),
        "growth": curve.growth()[0],
        "growth's lag": curve.growth()[1],
        **{f"horizon {theta}": curve.horizon(theta) for theta in HORIZONS},
    }
    return {name: str(value) if value != value else value for name, value in numbers.items()}


def near(curve):
    """The recorded lags that what is read off this curve lies between."""
    found = {0, 1, 2, 3, 10, 199, 200, K, int(curve.growth()[1])}
    for lag in (curve.half_life(), *(curve.horizon(theta) for theta in HORIZONS)):
        if lag is not None:
            found |= {math.floor(lag), math.ceil(lag)}
            found |= {int(x) for x in curve.lags[curve.lags <= lag][-1:]}
    return found


@pytest.mark.parametrize("family", FAMILIES)
@given(extra=st.sets(st.integers(0, K)))
def test_what_is_read_off_does_not_depend_on_which_other_lags_were_recorded(family, extra):
    lags = np.arange(K + 1)
    s = FAMILIES[family](lags)
    whole = Curve(lags, s)
    grid = np.array(sorted(near(whole) | extra))
    assert told(Curve(grid, s[grid])) == pytest.approx(told(whole))


def test_a_rate_has_no_meaning_on_a_curve_too_short_for_it():
    short = Curve(np.arange(4), -1.0 * np.arange(4))  # K/4 is below lag 1
    assert math.isnan(short.early_rate())
    assert short.late_rate() == pytest.approx(1.0)
