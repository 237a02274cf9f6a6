"""Intervals and medians."""

import pytest

from seqbench.analysis import statistics


def test_wilson_interval():
    assert statistics.wilson(0, 0) == (0, 1)
    assert statistics.wilson(0, 5) == pytest.approx((0, 0.43449), abs=1e-4)
    assert statistics.wilson(5, 5) == pytest.approx((0.56551, 1), abs=1e-4)
    assert statistics.wilson(5, 10) == pytest.approx((0.23659, 0.76341), abs=1e-4)
