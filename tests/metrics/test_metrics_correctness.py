"""McNemar's test and the two sources of doubt: SciPy, closed forms, and simulated test sets."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from seewhy.core.errors import InputError
from seewhy.metrics import correctness_difference, mcnemar


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_mcnemar_is_the_binomial_test(pairs):
    a, b = np.array(pairs).T
    only_a, only_b = int((a > b).sum()), int((b > a).sum())
    expected = stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    found = mcnemar(a, b)
    assert (found.only_a, found.only_b) == (only_a, only_b)
    assert found.p_value == pytest.approx(expected)
    assert mcnemar(b, a).p_value == found.p_value


def test_seeds_alone_are_the_paired_t_interval_and_images_alone_likewise():
    a, b = np.random.default_rng(0).random((2, 6, 300)) < 0.8
    found = correctness_difference(a, b)
    by_seed, by_image = a.mean(1) - b.mean(1), (a.astype(float) - b).mean(0)
    assert found.mean == pytest.approx(a.mean() - b.mean())
    for source, means in ((found.over_seeds, by_seed), (found.over_images, by_image)):
        assert source.standard_error == pytest.approx(stats.sem(means))
        assert source.degrees_of_freedom == len(means) - 1
        assert source.interval == pytest.approx(stats.t.interval(0.95, len(means) - 1, means.mean(), stats.sem(means)))


def test_both_sources_follow_the_two_way_table():
    a, b = np.random.default_rng(1).random((2, 3, 5)) < 0.6
    d = a.astype(float) - b
    # the mean squares from projections instead of from sums of squares of means
    effects_s = np.kron(np.eye(3) - 1 / 3, np.full((5, 5), 1 / 5))
    effects_i = np.kron(np.full((3, 3), 1 / 3), np.eye(5) - 1 / 5)
    rest = np.kron(np.eye(3) - 1 / 3, np.eye(5) - 1 / 5)
    ms = [d.ravel() @ p @ d.ravel() / np.trace(p) for p in (effects_s, effects_i, rest)]
    total = max(ms[0], ms[2]) + max(ms[1], ms[2]) - ms[2]
    found = correctness_difference(a, b).over_both
    assert found.standard_error == pytest.approx(math.sqrt(total / 15))
    satterthwaite = total**2 / (ms[0] ** 2 / 2 + ms[1] ** 2 / 4 + ms[2] ** 2 / 8)
    assert found.degrees_of_freedom == pytest.approx(max(satterthwaite, 2))


def study(rng, S, I, by_seed, by_image):  # noqa: E741
    """Right or wrong by a threshold: the images differ in how hard they are for A and for B, the seeds in how good they are."""
    base = rng.normal(1, 1, I)
    sides = []
    for _ in range(2):
        level = base + by_image * rng.standard_normal(I) + by_seed * rng.standard_normal((S, 1))
        sides.append(level + 0.5 * rng.standard_normal((S, I)) > 0)
    return sides


@pytest.mark.parametrize(("S", "by_seed", "by_image"), [(5, 0.1, 0.3), (5, 0.03, 0.6), (10, 0.3, 0.1)])
def test_the_interval_over_both_covers_where_one_source_alone_does_not(S, by_seed, by_image):
    rng = np.random.default_rng(S)
    found = [correctness_difference(*study(rng, S, 200, by_seed, by_image)) for _ in range(1000)]
    covered = {
        name: np.mean([low <= 0 <= high for low, high in (getattr(one, name).interval for one in found)])
        for name in ("over_seeds", "over_images", "over_both")
    }
    assert 0.93 <= covered["over_both"] <= 0.975
    assert min(covered["over_seeds"], covered["over_images"]) < 0.9


def test_a_single_seed_has_images_alone():
    a, b = np.random.default_rng(0).random((2, 1, 50)) < 0.8
    found = correctness_difference(a, b)
    assert found.over_seeds is found.over_both is None
    assert found.over_images is not None
    found = correctness_difference(a.T, b.T)
    assert found.over_images is found.over_both is None


def test_no_difference_has_no_doubt():
    a = np.random.default_rng(0).random((4, 50)) < 0.8
    found = correctness_difference(a, a)
    assert found.mean == found.over_both.standard_error == 0
    assert found.over_both.interval == (0, 0)


def test_wrong_input_is_named():
    right = np.ones((2, 3), bool)
    for call, message in [
        (lambda: mcnemar([1, 0], [True, False]), "a: must be boolean"),
        (lambda: mcnemar([True], [True, False]), "b: must be"),
        (lambda: correctness_difference(right, right[:1]), "b: must be"),
        (lambda: correctness_difference(right[0], right[0]), "a: must be"),
        (lambda: correctness_difference(right, right, 95), "confidence"),
    ]:
        with pytest.raises(InputError, match=message):
            call()
