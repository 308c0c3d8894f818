"""Learning curves against NumPy, closed forms and properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from seewhy.core.errors import InputError
from seewhy.metrics import area_under_curve, mean_curve, time_to_target

curves = st.lists(st.tuples(st.floats(0.1, 10), st.floats(-5, 5)), min_size=2, max_size=12).map(
    lambda points: (np.cumsum([gap for gap, _ in points]), np.array([value for _, value in points]))
)


@settings(deadline=None)
@given(curves)
def test_the_area_is_scipys_over_the_length(curve):
    steps, values = curve
    expected = integrate.trapezoid(values, steps) / (steps[-1] - steps[0])
    assert area_under_curve(steps, values) == pytest.approx(expected, abs=1e-9)
    assert area_under_curve(60 * steps, values) == pytest.approx(expected, abs=1e-9)


@settings(deadline=None)
@given(curves, st.floats(-5, 5), st.booleans())
def test_the_target_is_first_met_there(curve, target, higher):
    steps, values = curve
    sign = 1 if higher else -1
    found = time_to_target(steps, values, target, higher=higher)
    if found is None:
        assert (sign * values < sign * target).all()
        return
    assert np.interp(found, steps, values) == pytest.approx(target, abs=1e-6) or found == steps[0]
    before = steps < found - 1e-9
    assert (sign * values[before] < sign * target).all()
    assert time_to_target(steps, -values, -target, higher=not higher) == pytest.approx(found)


def test_time_to_target_by_hand():
    assert time_to_target([0, 10, 20], [0.1, 0.5, 0.9], 0.6) == pytest.approx(12.5)
    assert time_to_target([0, 10, 20], [2.0, 1.0, 0.5], 1.5, higher=False) == pytest.approx(5)
    assert time_to_target([3, 10], [0.9, 0.1], 0.6) == 3
    assert time_to_target([0, 10], [0.1, 0.5], 0.6) is None
    assert time_to_target([0, 10], [0.1, 0.5], 0.5) == 10


def test_the_mean_curve_has_students_band_on_what_all_have_in_common():
    rng = np.random.default_rng(0)
    curves = [(np.arange(start, start + 11.0), rng.normal(size=11)) for start in (0, 2, 3)]
    found = mean_curve(curves, points=8)
    assert (found.steps[0], found.steps[-1], found.n, len(found.mean)) == (3, 10, 3, 8)
    heights = np.array([[values[int(step - steps[0])] for step in found.steps] for steps, values in curves])
    assert found.mean == pytest.approx(heights.mean(0))
    low, high = stats.t.interval(0.95, 2, heights.mean(0), stats.sem(heights))
    assert found.low == pytest.approx(low)
    assert found.high == pytest.approx(high)


def test_a_single_curve_has_no_band():
    found = mean_curve([([0, 1], [0, 2])], points=3)
    assert list(found.mean) == list(found.low) == list(found.high) == [0, 1, 2]


def test_wrong_input_is_named():
    for call, message in [
        (lambda: area_under_curve([0], [1]), "n at least 2"),
        (lambda: area_under_curve([0, 1], [1, 2, 3]), "one for each step"),
        (lambda: area_under_curve([0, 0], [1, 2]), "steps: must be rising"),
        (lambda: area_under_curve([0, 1], [1, np.nan]), "values: must be finite"),
        (lambda: time_to_target([0, 1], [1, 2], np.inf), "target"),
        (lambda: mean_curve([]), "curves"),
        (lambda: mean_curve([([0, 1], [0, 1]), ([2, 3], [0, 1])]), "in common"),
        (lambda: mean_curve([([0, 1], [0, 1])], points=1), "points"),
        (lambda: mean_curve([([0, 1], [0, 1])], confidence=95), "confidence"),
    ]:
        with pytest.raises(InputError, match=message):
            call()
