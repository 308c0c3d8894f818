"""Schedules: their ends and peaks, written out, and what they share."""

import math

import pytest

from seewhy.core.errors import InputError
from seewhy.optim import SCHEDULES, schedule


def values(name, steps, warmup=None):
    multiplier = schedule(name, total_steps=steps, warmup=warmup)
    return [multiplier(step) for step in range(steps)]


@pytest.mark.parametrize("name", SCHEDULES.names())
@pytest.mark.parametrize("steps", [1, 2, 3, 10, 997])
@pytest.mark.parametrize("warmup", [None, 0.0, 0.1, 0.9])
def test_all_stay_within_bounds_rise_then_fall(name, steps, warmup):
    rates = values(name, steps, warmup)
    assert all(0 < rate <= 1 for rate in rates)
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)


@pytest.mark.parametrize("name", SCHEDULES.names())
def test_steps_beyond_the_end_keep_the_last_rate(name):
    multiplier = schedule(name, total_steps=10)
    assert multiplier(25) == multiplier(9)


def test_triangle_ends():
    rates = values("triangle", 1001)
    assert rates[0] == pytest.approx(0.2)
    assert rates[230] == pytest.approx(1.0)
    assert rates[115] == pytest.approx(0.6)
    assert rates[615] == pytest.approx((1 + 0.07) / 2)
    assert rates[-1] == pytest.approx(0.07)


def test_one_cycle_ends():
    rates = values("one_cycle", 1001)
    assert rates[0] == pytest.approx(0.04)
    assert rates[250] == pytest.approx(1.0)
    assert rates[125] == pytest.approx(0.52)
    assert rates[625] == pytest.approx(0.5, abs=1e-4)
    assert rates[-1] == pytest.approx(1e-5)


def test_cosine_and_linear_fall_from_one_to_almost_zero():
    cosine, linear = values("cosine", 100), values("linear", 100)
    for step in range(100):
        assert cosine[step] == pytest.approx((1 + math.cos(math.pi * step / 100)) / 2)
        assert linear[step] == pytest.approx(1 - step / 100)


@pytest.mark.parametrize("name", ["cosine", "linear", "constant"])
def test_warmup_rises_over_its_share(name):
    rates = values(name, 100, 0.1)
    assert rates[:10] == pytest.approx([(step + 1) / 11 for step in range(10)])
    assert rates[10] == 1.0


def test_constant_is_one():
    assert set(values("constant", 50)) == {1.0}


def test_bad_input_is_refused():
    with pytest.raises(InputError, match=r"schedule: 'cosin' is not known.*did you mean 'cosine'"):
        schedule("cosin", total_steps=3)
    with pytest.raises(InputError, match="total_steps: must be at least 1, got 0"):
        schedule("linear", total_steps=0)
    with pytest.raises(InputError, match=r"warmup: must be at least 0 and less than 1, got 1.0"):
        schedule("linear", total_steps=3, warmup=1.0)
