"""The rule by which verdicts follow, on planted numbers."""

import math

import pytest
import torch
from scipy import stats

from seewhy.comparison.claims.base import Criterion, Measured, differences, judge, paired
from seewhy.core.errors import InputError
from seewhy.reporting.claim_records import Dots


def criterion(values, text="it is so", low=0.0, high=None, kind="value"):
    return Criterion(text=text, measure="a number", values=tuple(values), low=low, high=high, kind=kind)


HOLDS, FAILS, OPEN = [1.0, 1.1, 0.9], [-1.0, -1.1, -0.9], [1.0, -1.0, 0.3]


@pytest.mark.parametrize(
    ("values", "low", "high", "state"),
    [
        (HOLDS, 0.0, None, "holds"),
        (FAILS, 0.0, None, "fails"),
        (OPEN, 0.0, None, "open"),
        (FAILS, None, 0.0, "holds"),
        (HOLDS, None, 0.0, "fails"),
        (HOLDS, 0.5, 1.5, "holds"),
        (HOLDS, 2.0, 3.0, "fails"),
        (HOLDS, -1.0, 0.0, "fails"),
        (HOLDS, 0.95, 3.0, "open"),
        ([0.0, 0.0, 0.0], 0.0, None, "open"),
        ([0.0, 0.0, 0.0], None, 0.0, "open"),
    ],
)
def test_the_interval_decides_a_criterion(values, low, high, state):
    """A tie with the bound is neither side's win."""
    assert criterion(values, low=low, high=high).state == state


def test_the_interval_is_students():
    each = criterion(HOLDS)
    t = stats.t.interval(0.95, 2, loc=1.0, scale=stats.sem(HOLDS))
    assert each.interval == pytest.approx(t)
    assert each.estimate == pytest.approx(1.0)


def test_a_ratio_is_judged_by_its_logarithm():
    each = criterion([1.5, 3.0, 6.0], low=1.0, kind="ratio")
    logs = torch.tensor([1.5, 3.0, 6.0]).log()
    low, high = stats.t.interval(0.95, 2, loc=float(logs.mean()), scale=stats.sem(logs.numpy()))
    assert each.estimate == pytest.approx(3.0)
    assert each.interval == pytest.approx((math.exp(low), math.exp(high)), rel=1e-5)
    assert each.state == "open"


def test_an_exact_fact_admits_no_exception():
    assert criterion([1.0, 1.0], low=1.0, kind="exact").state == "holds"
    broken = criterion([1.0, 0.999], low=1.0, kind="exact")
    assert (broken.state, broken.estimate, broken.interval) == ("fails", 0.999, (0.999, 1.0))


@pytest.mark.parametrize(
    ("parts", "name", "words"),
    [
        ([HOLDS], "supported", "Supported at 3 seeds"),
        ([HOLDS, HOLDS], "supported", "Supported at 3 seeds"),
        ([FAILS], "not supported", "the contrary was shown"),
        ([FAILS, OPEN], "not supported", "the contrary was shown"),
        ([OPEN], "not supported", "nothing can be told at 3 seeds"),
        ([HOLDS, FAILS], "depends", "Does not hold"),
        ([HOLDS, OPEN], "depends", "Cannot be told at 3 seeds"),
        ([HOLDS, FAILS, OPEN], "depends", "Does not hold"),
    ],
)
def test_each_verdict_follows_from_the_criteria(parts, name, words):
    verdict = judge([criterion(values, text=f"part {k}") for k, values in enumerate(parts)])
    assert verdict.name == name
    assert words in verdict.text
    assert all(f"part {k}" in verdict.text for k in range(len(parts)))


def test_a_measurement_takes_its_verdict_from_the_rule():
    measured = Measured(criteria=(criterion(FAILS),), experiment="", figure=Dots(y="", groups={}))
    assert measured.verdict == judge([criterion(FAILS)])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"values": (1.0,)}, "at least 2"),
        ({"values": (1.0, math.nan)}, "finite"),
        ({"values": (1.0, 0.0), "kind": "ratio"}, "positive"),
        ({"values": (1.0, 2.0), "low": None}, "at least one bound"),
    ],
)
def test_a_criterion_that_cannot_be_judged_is_refused(wrong, words):
    with pytest.raises(InputError, match=words):
        criterion(**wrong)


def test_conditions_are_paired_by_seed():
    numbers = {"a": [2.0, 9.0], "b": [1.0, 3.0]}
    assert paired(numbers, "a", "b") == (2.0, 3.0)
    assert differences(numbers, "a", "b") == (1.0, 6.0)
    with pytest.raises(ValueError, match="shorter"):
        paired({"a": [1.0, 2.0], "b": [1.0]}, "a", "b")
