"""Intervals against SciPy's."""

import math

import pytest
import torch
from scipy import stats

from seewhy.core.errors import InputError
from seewhy.metrics import mean_interval, t_interval, wilson_interval


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (10, 10), (7, 10), (9050, 10_000)])
def test_wilson_interval_is_scipys(successes, n):
    expected = stats.binomtest(successes, n).proportion_ci(method="wilson")
    assert wilson_interval(successes, n) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_mean_interval_is_scipys():
    values = torch.randn(30, generator=torch.Generator().manual_seed(0)) + 5
    expected = stats.norm.interval(0.95, loc=values.mean().item(), scale=stats.sem(values.numpy()))
    assert mean_interval(values) == pytest.approx(expected, rel=1e-6)


def test_the_mean_interval_covers_the_mean_95_times_in_100():
    values = torch.rand(2000, 50, generator=torch.Generator().manual_seed(0))
    intervals = [mean_interval(row) for row in values]
    covered = sum(low < 0.5 < high for low, high in intervals) / 2000
    assert abs(covered - 0.95) < 3 * math.sqrt(0.95 * 0.05 / 2000) + 0.005


@pytest.mark.parametrize(("n", "confidence"), [(2, 0.95), (3, 0.95), (3, 0.8), (30, 0.99)])
def test_t_interval_is_scipys(n, confidence):
    values = torch.randn(n, generator=torch.Generator().manual_seed(n), dtype=torch.float64) + 5
    expected = stats.t.interval(confidence, n - 1, loc=values.mean().item(), scale=stats.sem(values.numpy()))
    assert t_interval(values, confidence) == pytest.approx(expected, rel=1e-9)


def test_a_single_value_has_no_width():
    assert mean_interval(torch.tensor([2.0])) == (2.0, 2.0)


def test_wrong_input_is_named():
    with pytest.raises(InputError, match="n: must be at least 1, got 0"):
        wilson_interval(0, 0)
    with pytest.raises(InputError, match=r"successes: must be from 0 to n \(3\), got 4"):
        wilson_interval(4, 3)
    with pytest.raises(InputError, match=r"values: must be \(n\), n at least 1"):
        mean_interval(torch.zeros(0))
    with pytest.raises(InputError, match=r"values: must be \(n\), n at least 2"):
        t_interval(torch.zeros(1))
    with pytest.raises(InputError, match=r"confidence: must be within \(0, 1\), got 95"):
        t_interval(torch.zeros(3), 95)
