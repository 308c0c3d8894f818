"""Bootstrap intervals against SciPy's and brute force."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from seewhy.core.errors import InputError
from seewhy.metrics import probability_of_improvement, studentised_interval

values = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=6)


def test_the_studentised_interval_is_the_definition():
    x = np.random.default_rng(0).gamma(2, 1, 12)
    drawn = np.random.default_rng(1).choice(x, (100_000, 12))
    t = (drawn.mean(1) - x.mean()) / (drawn.std(1, ddof=1) / math.sqrt(12))
    high, low = np.quantile(t, [0.975, 0.025])
    error = x.std(ddof=1) / math.sqrt(12)
    expected = (x.mean() - high * error, x.mean() - low * error)
    assert studentised_interval(x) == pytest.approx(expected, abs=0.15 * error)


def test_the_studentised_interval_moves_and_scales_with_the_values():
    x = np.random.default_rng(0).normal(size=7)
    low, high = studentised_interval(x)
    assert studentised_interval(1e-4 * x + 1) == pytest.approx((1e-4 * low + 1, 1e-4 * high + 1), rel=1e-9)
    assert studentised_interval(-x)[1] == pytest.approx(-low, rel=0.2)


def test_the_studentised_interval_is_unbounded_where_resamples_have_no_spread():
    assert studentised_interval([1.0, 1.0, 1.0]) == (-math.inf, math.inf)
    low, high = studentised_interval([0, 0, 0, 0, 1])  # a third of the resamples are all 0: the mean may lie far above
    assert low > -math.inf
    assert high == math.inf


def test_the_studentised_interval_covers_skewed_values_at_five():
    x = np.random.default_rng(0).gamma(4, 1, (1000, 5))
    ends = np.array([studentised_interval(row) for row in x])
    assert 0.93 <= np.mean((ends[:, 0] <= 4) & (ends[:, 1] >= 4)) <= 0.97


@settings(deadline=None)
@given(values, values)
def test_the_probability_of_improvement_counts_pairs_ties_half(x, y):
    expected = np.mean([(a > b) + (a == b) / 2 for a in x for b in y])
    found = probability_of_improvement(x, y)
    assert found.value == pytest.approx(expected)
    assert probability_of_improvement(y, x).value == pytest.approx(1 - expected)
    assert -1e-9 <= found.interval[0] <= found.interval[1] <= 1 + 1e-9


def test_the_probability_of_improvement_is_mann_whitneys():
    x, y = np.random.default_rng(0).normal(size=(2, 9))
    expected = stats.mannwhitneyu(x, y).statistic / 81
    found = probability_of_improvement(x, y)
    assert found.value == pytest.approx(expected)
    draws = np.random.default_rng(1)
    resampled = [stats.mannwhitneyu(draws.choice(x, 9), draws.choice(y, 9)).statistic / 81 for _ in range(2000)]
    assert found.interval == pytest.approx(np.quantile(resampled, [0.025, 0.975]), abs=0.03)


def test_tasks_weigh_alike_and_are_resampled_apart():
    x, y = np.array([[1, 2, 3.0], [0, 0, 0]]), np.array([[0, 0.0], [1, 1]])
    found = probability_of_improvement(x, y)
    assert found.value == 0.5
    assert found.interval == (0.5, 0.5)  # within either task every resample says the same


def test_wrong_input_is_named():
    for call, message in [
        (lambda: studentised_interval([1.0]), "n at least 2"),
        (lambda: studentised_interval([1.0, 2.0], 95), "confidence"),
        (lambda: probability_of_improvement([], [1.0]), "x: must be"),
        (lambda: probability_of_improvement([1.0], [math.nan]), "y: must be finite"),
        (lambda: probability_of_improvement([[1.0], [2.0]], [1.0]), "tasks of x"),
        (lambda: probability_of_improvement([1.0], [1.0], confidence=0), "confidence"),
    ]:
        with pytest.raises(InputError, match=message):
            call()
