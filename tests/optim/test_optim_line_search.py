"""Line searches: their conditions hold where they say so, and they end where nothing can be found."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seewhy.optim import backtracking, strong_wolfe
from seewhy.optim.line_search import exact

CURVES = {
    "parabola": (lambda t: (t - 3) ** 2, lambda t: 2 * (t - 3)),
    "rational": (lambda t: -t / (t * t + 2), lambda t: (t * t - 2) / (t * t + 2) ** 2),  # More & Thuente's first
    "fifth": (lambda t: (t + 0.004) ** 5 - 2 * (t + 0.004) ** 4, lambda t: 5 * (t + 0.004) ** 4 - 8 * (t + 0.004) ** 3),
    "wavy": (lambda t: 0.1 * t * t - t - math.sin(3 * t), lambda t: 0.2 * t - 1 - 3 * math.cos(3 * t)),
    "steep": (lambda t: math.exp(t) - 1e3 * t, lambda t: math.exp(t) - 1e3),
}


def phi_of(name, calls):
    value, slope = CURVES[name]

    def phi(t):
        calls.append(t)
        return value(t), slope(t)

    return phi, value(0.0), slope(0.0)


@pytest.mark.parametrize("c2", [0.9, 0.1])
@pytest.mark.parametrize("step", [1e-3, 0.1, 1.0, 10.0, 100.0])
@pytest.mark.parametrize("name", CURVES)
def test_strong_wolfe_holds(name, step, c2):
    calls = []
    phi, value, slope = phi_of(name, calls)
    result = strong_wolfe(phi, value, slope, step=step, c2=c2, max_eval=60)
    assert result.met, result
    assert result.value <= value + 1e-4 * result.step * slope
    assert abs(result.slope) <= c2 * -slope
    assert (result.value, result.slope) == phi(result.step)
    assert result.evaluations == len(calls) - 1


@given(
    st.lists(st.floats(-2, 2), min_size=4, max_size=4),
    st.floats(1e-3, 1e3),
    st.sampled_from([0.9, 0.5, 0.1]),
)
@settings(max_examples=200, deadline=None)
def test_strong_wolfe_holds_on_random_quartics(coefficients, step, c2):
    a, b, c, d = coefficients

    def phi(t):
        return a * t + b * t**2 + c * t**3 + (abs(d) + 0.1) * t**4, a + 2 * b * t + 3 * c * t**2 + 4 * (
            abs(d) + 0.1
        ) * t**3

    slope = phi(0.0)[1]
    if slope > -1e-3:
        assert strong_wolfe(phi, 0.0, 0.0).reason == "not_descent"
        return
    result = strong_wolfe(phi, 0.0, slope, step=step, c2=c2, max_eval=80)
    assert result.met
    assert result.value <= 1e-4 * result.step * slope
    assert abs(result.slope) <= c2 * -slope


def test_armijo_is_met_by_halving():
    calls = []
    phi, value, slope = phi_of("parabola", calls)
    result = backtracking(phi, value, slope, step=100.0)
    assert result.met
    assert result.value <= value + 1e-4 * result.step * slope
    assert result.evaluations == len(calls) > 1


@pytest.mark.parametrize("search", [strong_wolfe, backtracking])
def test_too_far_is_not_finite_and_comes_back(search):
    def phi(t):
        return (math.nan, math.nan) if t > 0.5 else ((t - 0.4) ** 2, 2 * (t - 0.4))

    result = search(phi, 0.16, -0.8, step=8.0, max_eval=60)
    assert result.met
    assert 0 < result.step <= 0.5


@pytest.mark.parametrize("search", [strong_wolfe, backtracking])
def test_uphill_is_refused_and_a_limit_is_kept(search):
    assert search(lambda t: (t, 1.0), 0.0, 1.0).reason == "not_descent"
    assert search(lambda t: (t, 1.0), 0.0, math.nan).reason == "not_descent"
    calls = []

    def lying(t):
        calls.append(t)
        return 1.0, 1.0

    result = search(lying, 0.0, -1.0, max_eval=7)
    assert not result.met
    assert len(calls) <= 7


def test_a_function_without_end_is_followed_a_long_way():
    result = strong_wolfe(lambda t: (-t, -1.0), 0.0, -1.0, max_eval=10)
    assert not result.met
    assert result.step > 1e4


@pytest.mark.parametrize("curvature", [1e-4, 0.3, 1.0, 1e9])
def test_exact_search_on_a_parabola_is_two_evaluations(curvature):
    """phi = -t + c t^2 / 2 has its minimum at 1 / c, however far that is from the first t."""
    count = []

    def phi(t):
        count.append(t)
        return -t + curvature * t * t / 2, -1 + curvature * t

    result = exact(phi, 0.0, -1.0)
    assert result.met
    assert result.step == pytest.approx(1 / curvature)
    assert result.evaluations == len(count) == (1 if curvature == 1.0 else 2)


@pytest.mark.parametrize("step", [1e-3, 1.0, 50.0])
def test_exact_search_ends_where_the_slope_vanishes(step):
    result = exact(lambda t: (-t / (t * t + 2), (t * t - 2) / (t * t + 2) ** 2), 0.0, -0.5, step=step)
    assert result.met
    assert result.step == pytest.approx(2**0.5, rel=1e-7)
    assert exact(lambda t: (t, 1.0), 0.0, 1.0).reason == "not_descent"


@pytest.mark.parametrize("most", [1, 2, 3, 5])
def test_exact_search_keeps_the_most_evaluations(most):
    count = []

    def phi(t):
        count.append(t)
        return -t / (t * t + 2), (t * t - 2) / (t * t + 2) ** 2

    exact(phi, 0.0, -0.5, step=30.0, max_eval=most)
    assert len(count) <= most
