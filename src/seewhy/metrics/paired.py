"""Paired differences over seeds: is a mean difference there, and how large is it?

Two variants that ran with the same seeds have n differences d. Of their mean three things are said, and they agree: the interval holds exactly
the effects that the test does not reject.

- **Sign-flip permutation** (Fisher 1935): under no effect every d_i is as likely as -d_i. All 2^n sign patterns are counted, so that no
  distribution is assumed beyond symmetry, which the difference of two exchangeable runs has. Its inversion is Hartigan's (1969) interval,
  between two order statistics of the 2^n - 1 means of subsets of d.
- **Paired t** (Student 1908): assumes normal differences. The smallest p-value of n sign flips is 2^(1-n), 0.0625 for 5 seeds, so that no study
  of 5 seeds could ever say anything; and where only a few sign patterns lie in the tail, the test wastes power. So flips are used from
  `ROOM` patterns in a tail on, Student's test below. The choice follows from n, alpha and the number of comparisons, never from the values.

docs/comparison-statistics.md has the coverage and the false verdicts of each, simulated.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from seewhy.core.errors import bad_value
from seewhy.metrics.array_input import finite_vector, without_spread
from seewhy.metrics.bootstrap import studentised_interval
from seewhy.metrics.intervals import t_interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

ROOM = 10
"""Sign patterns that a one-sided tail of alpha / (2 comparisons) holds at least where flips are used: with 10 they lose 3 points of power to
the t test on normal differences, with 3 patterns 7, with one 24."""

EXACT_SEEDS = 16
"""Seeds up to which all sign patterns are counted; beyond, `SAMPLED_FLIPS` random ones."""

SAMPLED_FLIPS = 19_999
FLIP_SEED = 0
"""Of the random sign patterns, the same in every call: a p-value can be computed again."""

Test = Literal["auto", "sign-flip", "t", "wilcoxon"]


@dataclass(frozen=True)
class PairedDifference:
    """The mean of paired differences.

    Attributes:
        n: pairs.
        mean: of the differences.
        sd: their unbiased standard deviation.
        interval: 1 - alpha, of this comparison alone: what `test` does not reject (Student's for "wilcoxon").
        bootstrap: the studentised bootstrap interval; an end is infinite where the resamples have too little spread to place it.
        p_value: two-sided, not adjusted.
        test: "sign-flip", "t" or "wilcoxon".
    """

    n: int
    mean: float
    sd: float
    interval: tuple[float, float]
    bootstrap: tuple[float, float]
    p_value: float
    test: str


def paired_difference(
    differences: ArrayLike, *, comparisons: int = 1, alpha: float = 0.05, test: Test = "auto"
) -> PairedDifference:
    """Return mean, intervals and p-value of paired differences.

    Args:
        differences: (n), n at least 2; one for each seed.
        comparisons: see `paired_test`.
        alpha: 1 - confidence of the interval, and the level of the test.
        test: see `paired_test`.

    Raises:
        InputError: differences are not (n) finite numbers; comparisons is below 1; alpha is not within (0, 1); the test is not known.
    """
    d = finite_vector("differences", differences, 2)
    p_value, name = paired_test(d, comparisons=comparisons, alpha=alpha, test=test)
    interval = sign_flip_interval(d, 1 - alpha) if name == "sign-flip" else t_interval(d, 1 - alpha)
    bootstrap = studentised_interval(d, 1 - alpha)
    return PairedDifference(len(d), float(d.mean()), float(d.std(ddof=1)), interval, bootstrap, p_value, name)


def paired_test(
    differences: ArrayLike, *, comparisons: int = 1, alpha: float = 0.05, test: Test = "auto"
) -> tuple[float, str]:
    """Return the two-sided p-value of a mean difference of 0, and the test that was used.

    Args:
        differences: (n), n at least 2; one for each seed.
        comparisons: made in the study, over which the p-values are adjusted afterwards (`holm`); "auto" leaves the flips room for it.
        alpha: the level of the test.
        test: "auto" is "sign-flip" where `flips_have_room`, else "t"; "t" falls back to "sign-flip" where all differences are equal, since
            nothing is known of their spread then.

    Raises:
        InputError: differences are not (n) finite numbers; comparisons is below 1; alpha is not within (0, 1); the test is not known.
    """
    d = finite_vector("differences", differences, 2)
    if test not in ("auto", *_TESTS):
        raise bad_value("test", test, f"auto, {', '.join(_TESTS)}")
    room = flips_have_room(len(d), comparisons, alpha)
    name = test if test != "auto" else "sign-flip" if room else "t"
    if name == "t" and without_spread(d):
        name = "sign-flip"
    return _TESTS[name](d), name


def flips_have_room(n: int, comparisons: int = 1, alpha: float = 0.05) -> bool:
    """Return whether n sign flips reach the first step of Holm's procedure with power to spare: alpha / comparisons 2^(n-1) >= `ROOM`.

    Raises:
        InputError: n or comparisons is below 1, or alpha is not within (0, 1).
    """
    if n < 1:
        raise bad_value("n", n, "at least 1")
    if comparisons < 1:
        raise bad_value("comparisons", comparisons, "at least 1")
    if not 0 < alpha < 1:
        raise bad_value("alpha", alpha, "within (0, 1)")
    return n - 1 >= math.log2(ROOM * comparisons / alpha)


def sign_flip_test(differences: ArrayLike) -> float:
    """Return the two-sided p-value of the sign-flip permutation test of a mean of 0.

        p = #{s : |sum s_i d_i| >= |sum d_i|} / 2^n

    exactly up to `EXACT_SEEDS` differences, then with `SAMPLED_FLIPS` random patterns and the observed one (Phipson & Smyth 2010: never 0).

    Raises:
        InputError: differences are not (n) finite numbers.
    """
    d = finite_vector("differences", differences, 1)
    sums = abs(2 * (_subsets(len(d)) @ d) - d.sum())
    extreme = sums >= abs(d.sum()) - 1e-9 * abs(d).sum()
    return float((1 + extreme.sum()) / (1 + len(sums)))


def sign_flip_interval(differences: ArrayLike, confidence: float = 0.95) -> tuple[float, float]:
    """Return the effects that the sign-flip test does not reject at 1 - confidence (Hartigan 1969, JASA 64: typical values).

    With the means of the non-empty subsets of d in order, m_1 .. m_M, it is [m_K, m_(M+1-K)], K = floor((1 - confidence)/2 (M + 1)): of
    symmetric differences it covers the mean with probability 1 - 2K/(M + 1), whatever their distribution.

    Returns:
        The interval; infinite where K is 0: below 6 differences at 95%.

    Raises:
        InputError: differences are not (n) finite numbers; confidence is not within (0, 1).
    """
    import numpy as np

    d = finite_vector("differences", differences, 1)
    if not 0 < confidence < 1:
        raise bad_value("confidence", confidence, "within (0, 1)")
    subsets = _subsets(len(d))
    size = subsets.sum(1)
    means = np.sort((subsets @ d)[size > 0] / size[size > 0])
    rank = math.floor((1 - confidence) / 2 * (len(means) + 1) + 1e-9)
    return (float(means[rank - 1]), float(means[-rank])) if rank else (-math.inf, math.inf)


@functools.lru_cache(maxsize=4)
def _subsets(n: int) -> NDArray[Any]:
    """Return the differences that change sign: all non-empty subsets (2^n - 1, n), or random ones, as 0 and 1."""
    import numpy as np

    if n <= EXACT_SEEDS:
        subsets = (np.arange(1, 2**n)[:, None] >> np.arange(n)) & 1
    else:
        subsets = np.random.default_rng(FLIP_SEED).integers(0, 2, (SAMPLED_FLIPS, n))
    subsets = subsets.astype(np.float64)
    subsets.flags.writeable = False
    return subsets


def paired_t_test(differences: ArrayLike) -> float:
    """Return the two-sided p-value of the paired t test of a mean of 0: t = sqrt(n) mean / sd, n - 1 degrees of freedom (Student 1908).

    Raises:
        InputError: differences are not (n) finite numbers with n at least 2, or all are equal: nothing is known of their spread.
    """
    from scipy.special import stdtr

    d = finite_vector("differences", differences, 2)
    if without_spread(d):
        raise bad_value("differences", float(d[0]), "not all equal", "sign_flip_test needs no spread")
    sd = float(d.std(ddof=1))
    return float(2 * stdtr(len(d) - 1, -abs(float(d.mean())) * math.sqrt(len(d)) / sd))


def wilcoxon_test(differences: ArrayLike) -> float:
    """Return the two-sided p-value of Wilcoxon's (1945) signed-rank test; zero differences keep their ranks and are split (Pratt 1959).

    Of differences that are all 0 it is 1. SciPy's, exact without ties and zeros up to 50 differences.

    Raises:
        InputError: differences are not (n) finite numbers.
    """
    from scipy.stats import wilcoxon

    d = finite_vector("differences", differences, 1)
    return float(wilcoxon(d, zero_method="zsplit").pvalue) if d.any() else 1.0


_TESTS = {"sign-flip": sign_flip_test, "t": paired_t_test, "wilcoxon": wilcoxon_test}


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number by Holm's (1979) step-down procedure: the family-wise error stays below alpha.

        adjusted p_(i) = max over j <= i of min(1, (m - j + 1) p_(j)),  p_(1) <= .. <= p_(m)

    Args:
        p_values: (m), each within [0, 1]; NaN is a comparison that no test was made of: it stays NaN and does not count in m.

    Raises:
        InputError: a p-value is outside [0, 1].
    """
    for p in p_values:
        if not (math.isnan(p) or 0 <= p <= 1):
            raise bad_value("p_values", p, "within [0, 1], or NaN")
    order = sorted((i for i, p in enumerate(p_values) if not math.isnan(p)), key=lambda i: p_values[i])
    adjusted, highest = [math.nan] * len(p_values), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p_values[i]))
        adjusted[i] = highest
    return adjusted
