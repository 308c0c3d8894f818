"""How many seeds a comparison needs: the power of the paired t test (noncentral t, Johnson & Welch 1940)."""

from __future__ import annotations

import math

from seewhy.core.errors import bad_value

MOST_SEEDS = 100_000
"""Beyond which a difference is beyond anybody's means."""


def power(n: int, mean: float, sd: float, alpha: float = 0.05) -> float:
    """Return the probability that a paired t test of n seeds finds a difference, on either side.

        P(|T| > t),  T noncentral t with n - 1 degrees of freedom and noncentrality sqrt(n) mean / sd

    Args:
        n: seeds, at least 2.
        mean: the true mean difference.
        sd: the true standard deviation of the differences, above 0.
        alpha: two-sided level; with Holm over m comparisons, alpha / m is its first step.

    Raises:
        InputError: n is below 2, sd is not above 0, alpha is not within (0, 1), or mean is not finite.
    """
    if n < 2:
        raise bad_value("n", n, "at least 2")
    _validate(mean, sd, alpha)
    return _power(n, abs(mean) / sd, alpha)


def seeds_needed(mean: float, sd: float, alpha: float = 0.05, power: float = 0.8) -> int | None:
    """Return the least number of seeds at which a paired t test finds a true difference with the given power.

    Returns:
        The number, at least 2; None where no difference is there to be found or `MOST_SEEDS` would not be enough.

    Raises:
        InputError: sd is not above 0, alpha or power is not within (0, 1), or mean is not finite.
    """
    _validate(mean, sd, alpha)
    if not 0 < power < 1:
        raise bad_value("power", power, "within (0, 1)")
    effect = abs(mean) / sd
    if _power(MOST_SEEDS, effect, alpha) < power:
        return None
    low, high = 1, MOST_SEEDS  # power rises with n: not enough at low, enough at high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _power(middle, effect, alpha) >= power else (middle, high)
    return high


def _power(n: int, effect: float, alpha: float) -> float:
    from scipy.special import nctdtr, stdtrit

    critical = float(stdtrit(n - 1, 1 - alpha / 2))
    shift = effect * math.sqrt(n)
    if shift > 8 * max(critical, 1.0):  # T falls short only where s is seven times sigma; SciPy's may be NaN there
        return 1.0
    wrong_side = float(nctdtr(n - 1, shift, -critical))
    found = 1 - float(nctdtr(n - 1, shift, critical))
    return found if math.isnan(wrong_side) else found + wrong_side  # NaN where it is nearly nothing, below 1e-7


def _validate(mean: float, sd: float, alpha: float) -> None:
    if not math.isfinite(mean):
        raise bad_value("mean", mean, "a finite number")
    if not (sd > 0 and math.isfinite(sd)):
        raise bad_value("sd", sd, "above 0")
    if not 0 < alpha < 1:
        raise bad_value("alpha", alpha, "within (0, 1)")
