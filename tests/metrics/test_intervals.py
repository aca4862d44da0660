"""Intervals: exact ones against published values, drawn ones against what they promise."""

import math

import numpy as np
import pytest

from anonlab.metrics.intervals import bootstrap, interval


def test_the_bootstrap_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(300):
        low, high = bootstrap(rng.exponential(1.0, 80), draws=500)
        covered += low <= 1 <= high
    assert 0.89 < covered / 300 < 0.98


def test_people_to_whom_the_question_does_not_apply_are_left_out():
    values = np.array([1.0, 2.0, 5.0, 7.0])
    with_holes = np.array([np.nan, 1.0, 2.0, np.nan, 5.0, 7.0])
    assert bootstrap(with_holes) == bootstrap(values)
    assert interval(np.array([0.0, np.nan, 0.0])) == interval(np.zeros(2))


@pytest.mark.parametrize("values", [np.array([]), np.array([np.nan, np.nan])])
def test_nobody_has_no_interval(values):
    for found in (bootstrap(values), interval(values)):
        assert all(math.isnan(side) for side in found)


def test_a_share_of_all_or_nobody_is_not_certain():
    """By the published values of Clopper and Pearson."""
    assert interval(np.zeros(12)) == pytest.approx((0, 0.2646), abs=5e-5)
    assert interval(np.ones(12, dtype=bool)) == pytest.approx((0.7354, 1), abs=5e-5)
    assert bootstrap(np.zeros(12)) == (0, 0)  # what would have been claimed
