"""Tests and intervals of paired differences: SciPy, brute force, and simulated studies."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from seewhy.core.errors import InputError
from seewhy.metrics import (
    flips_have_room,
    holm,
    paired_difference,
    paired_t_test,
    paired_test,
    sign_flip_interval,
    sign_flip_test,
    wilcoxon_test,
    wilson_interval,
)

numbers = st.lists(st.floats(-100, 100, allow_nan=False).map(lambda x: round(x, 3)), min_size=2, max_size=8)
p_lists = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@pytest.mark.parametrize("n", [2, 5, 9])
def test_the_sign_flip_test_is_scipys_permutation_test(n):
    d = np.random.default_rng(n).normal(0.5, 1, n)
    expected = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_test(d) == pytest.approx(expected.pvalue, abs=1e-12)


@settings(deadline=None)
@given(numbers)
def test_the_sign_flip_test_counts_every_pattern(d):
    observed = abs(sum(d)) - 1e-9 * sum(map(abs, d))
    patterns = [
        abs(sum(s * x for s, x in zip(signs, d, strict=True))) for signs in itertools.product((1, -1), repeat=len(d))
    ]
    assert sign_flip_test(d) == pytest.approx(np.mean([total >= observed for total in patterns]), abs=1e-12)


def test_sampled_flips_agree_with_the_t_test_and_repeat():
    d = np.random.default_rng(0).normal(0.4, 1, 40)
    assert sign_flip_test(d) == sign_flip_test(d)
    assert sign_flip_test(d) == pytest.approx(stats.ttest_1samp(d, 0).pvalue, abs=0.01)
    assert sign_flip_test(np.full(40, 1.0)) == 1 / 20_000


@settings(deadline=None)
@given(numbers.filter(lambda d: len(d) >= 6), st.floats(-50, 50))
def test_the_sign_flip_interval_holds_what_the_test_does_not_reject(d, effect):
    low, high = sign_flip_interval(d)
    width = max(1e-6, 1e-6 * max(map(abs, [*d, effect])))
    if low + width < effect < high - width:
        assert sign_flip_test(np.subtract(d, effect)) > 0.05
    elif effect < low - width or effect > high + width:
        assert sign_flip_test(np.subtract(d, effect)) <= 0.05


def test_below_six_seeds_the_flips_reject_nothing():
    assert sign_flip_interval(np.arange(5.0)) == (-math.inf, math.inf)
    low, high = sign_flip_interval(np.arange(6.0))
    assert (low, high) == (0, 5)


@pytest.mark.parametrize("n", [2, 5, 30])
def test_the_t_and_wilcoxon_tests_are_scipys(n):
    d = np.random.default_rng(n).normal(0.5, 1, n)
    assert paired_t_test(d) == pytest.approx(stats.ttest_1samp(d, 0).pvalue, rel=1e-9)
    assert wilcoxon_test(d) == pytest.approx(stats.wilcoxon(d).pvalue)


def test_equal_differences_fall_back_on_the_flips():
    assert paired_test([0.1 + 0.2 - 0.3 + 1, 1, 1, 1, 1]) == (2 / 32, "sign-flip")
    assert paired_test([0.0] * 5) == (1.0, "sign-flip")
    assert wilcoxon_test([0.0] * 5) == 1.0
    found = paired_difference(np.subtract([0.9, 0.8, 0.7], [0.8999, 0.7999, 0.6999]))
    assert found.test == "sign-flip"
    assert found.interval == found.bootstrap == (-math.inf, math.inf)


@pytest.mark.parametrize(
    ("n", "comparisons", "test"),
    [
        (5, 1, "t"),
        (9, 1, "sign-flip"),
        (8, 1, "t"),
        (10, 2, "sign-flip"),
        (10, 5, "t"),
        (13, 15, "sign-flip"),
        (12, 15, "t"),
    ],
)
def test_flips_are_used_where_ten_patterns_are_in_a_tail(n, comparisons, test):
    d = np.random.default_rng(0).normal(size=n)
    assert flips_have_room(n, comparisons) == (test == "sign-flip") == (0.05 / comparisons * 2 ** (n - 1) >= 10)
    found = paired_difference(d, comparisons=comparisons)
    assert found.test == test
    assert (found.p_value <= 0.05) == (not found.interval[0] <= 0 <= found.interval[1])


def test_the_interval_is_that_of_the_test():
    d = np.random.default_rng(1).normal(0.5, 1, 10)
    assert paired_difference(d).interval == sign_flip_interval(d)
    expected = stats.t.interval(0.9, 9, loc=d.mean(), scale=stats.sem(d))
    assert paired_difference(d, test="t", alpha=0.1).interval == pytest.approx(expected)
    assert flips_have_room(5000, 1)


def test_holm_is_the_closed_form():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    adjusted = holm([0.01, math.nan, 0.04])
    assert adjusted[::2] == pytest.approx([0.02, 0.04])
    assert math.isnan(adjusted[1])
    assert holm([]) == []


@settings(deadline=None)
@given(p_lists, st.floats(0.001, 0.5))
def test_holm_rejects_what_stepping_down_rejects(p, alpha):
    order = np.argsort(p, kind="stable")
    rejected = set()
    for rank, i in enumerate(order):
        if min(1.0, (len(p) - rank) * p[i]) > alpha:
            break
        rejected.add(int(i))
    assert {i for i, q in enumerate(holm(p)) if q <= alpha} == rejected


def test_wrong_input_is_named():
    for d, message in [([[1.0]], "differences: must be"), ([1.0, math.nan], "finite"), ([1.0], "n at least 2")]:
        with pytest.raises(InputError, match=message):
            paired_difference(d)
    with pytest.raises(InputError, match="test: must be auto, sign-flip, t, wilcoxon, got 'z'"):
        paired_test([1.0, 2.0], test="z")
    with pytest.raises(InputError, match="comparisons"):
        paired_test([1.0, 2.0], comparisons=0)
    with pytest.raises(InputError, match="alpha"):
        paired_test([1.0, 2.0], alpha=5)
    with pytest.raises(InputError, match="not all equal"):
        paired_t_test([1.0, 1.0])
    with pytest.raises(InputError, match="p_values"):
        holm([1.5])
    with pytest.raises(InputError, match="confidence"):
        sign_flip_interval([1.0, 2.0], 95)


def rounded(rng, shape):
    return np.round(rng.standard_normal(shape) * 4) / 4


KINDS = {
    "normal": np.random.Generator.standard_normal,
    "heavy": lambda rng, shape: rng.standard_t(3, shape),
    "rounded": rounded,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [5, 10])
def test_in_1000_studies_without_a_difference_at_most_one_in_20_gives_a_false_verdict(kind, n):
    rng = np.random.default_rng(n)
    studies = rng.standard_normal((1000, 1, n)) + KINDS[kind](rng, (1000, 6, n))
    pairs = list(itertools.combinations(range(6), 2))
    wrong = 0
    for values in studies:
        p = [paired_test(values[i] - values[j], comparisons=len(pairs))[0] for i, j in pairs]
        wrong += min(holm(p)) <= 0.05
    assert wilson_interval(wrong, 1000)[0] <= 0.05, f"{wrong} of 1000"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [5, 10, 20])
def test_the_stated_interval_covers_a_true_difference_in_93_to_97_of_100(kind, n):
    d = 0.7 + KINDS[kind](np.random.default_rng([1, n]), (1000, n))
    ends = np.array([paired_difference(row).interval for row in d])
    covered = np.mean((ends[:, 0] <= 0.7) & (ends[:, 1] >= 0.7))
    assert 0.93 <= covered <= 0.97
