"""Power against numerical integration and simulated studies."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from seewhy.core.errors import InputError
from seewhy.metrics import paired_test, power, seeds_needed


def integrated(n, effect, alpha):
    """The power given the sample's sd, averaged over the sd's distribution."""
    critical, shift = stats.t.ppf(1 - alpha / 2, n - 1), effect * math.sqrt(n)

    def density(s):
        missed = stats.norm.cdf(critical * s - shift) - stats.norm.cdf(-critical * s - shift)
        return (1 - missed) * stats.chi2.pdf((n - 1) * s * s, n - 1) * 2 * (n - 1) * s

    return integrate.quad(density, 0, 6, limit=200)[0]


@pytest.mark.parametrize("n", [2, 5, 34])
@pytest.mark.parametrize("effect", [0.0, 0.5, -1.5])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_power_is_the_integral(n, effect, alpha):
    assert power(n, 3 * effect, 3, alpha) == pytest.approx(integrated(n, abs(effect), alpha), abs=1e-6)


def test_known_numbers_of_seeds():
    assert seeds_needed(0.5, 1) == 34  # G*Power 3.1: two-sided paired t test, d = 0.5, power 0.8
    assert seeds_needed(0.8, 1) == 15
    assert seeds_needed(0, 1) is seeds_needed(1e-4, 1) is None
    assert seeds_needed(1e6, 1) == 2


@settings(deadline=None)
@given(st.floats(0.02, 1e4), st.floats(1e-3, 0.2), st.floats(0.3, 0.95))
def test_the_number_is_the_least(effect, alpha, wanted):
    n = seeds_needed(effect, 1, alpha, wanted)
    assert power(n, effect, 1, alpha) >= wanted
    assert n == 2 or power(n - 1, effect, 1, alpha) < wanted


@pytest.mark.parametrize("comparisons", [1, 5, 15])
@pytest.mark.parametrize("effect", [0.8, 1.0, 1.5, 2.5])
def test_the_planned_number_reaches_its_power_within_5_points(comparisons, effect):
    alpha = 0.05 / comparisons
    n = seeds_needed(effect, 1, alpha)
    d = np.random.default_rng([n, comparisons]).standard_normal((2000, n)) + effect
    reached = np.mean([paired_test(row, comparisons=comparisons)[0] <= alpha for row in d])
    assert abs(reached - power(n, effect, 1, alpha)) <= 0.05


def test_wrong_input_is_named():
    for call, message in [
        (lambda: power(1, 1, 1), "n: must be at least 2"),
        (lambda: power(5, 1, 0), "sd: must be above 0"),
        (lambda: power(5, math.nan, 1), "mean"),
        (lambda: seeds_needed(1, 1, 5), "alpha"),
        (lambda: seeds_needed(1, 1, power=80), "power"),
    ]:
        with pytest.raises(InputError, match=message):
            call()
