"""Learning curves: how much is learnt on the way, how soon a target is met, and the mean of several seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seewhy.core.errors import bad_value
from seewhy.metrics.array_input import finite_vector

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def area_under_curve(steps: ArrayLike, values: ArrayLike) -> float:
    """Return the mean height of a learning curve: its area by the trapezoidal rule over the length, in the unit of the values.

    Args:
        steps: (n), rising: steps, epochs or seconds; n at least 2.
        values: (n).

    Raises:
        InputError: shapes do not fit, a value is not finite, or the steps do not rise.
    """
    x, y = _curve(steps, values, 2)
    return float(((y[1:] + y[:-1]) / 2 * (x[1:] - x[:-1])).sum() / (x[-1] - x[0]))


def time_to_target(steps: ArrayLike, values: ArrayLike, target: float, *, higher: bool = True) -> float | None:
    """Return where a learning curve first meets a target, between two points by linear interpolation.

    Args:
        steps: (n), rising: steps, epochs or seconds.
        values: (n).
        target: of the values.
        higher: whether more is better; False for a loss.

    Returns:
        The position, in the unit of the steps: the first point where it is met there already; None where it never is.

    Raises:
        InputError: shapes do not fit, a value or the target is not finite, or the steps do not rise.
    """
    x, y = _curve(steps, values, 1)
    if not math.isfinite(target):
        raise bad_value("target", target, "a finite number")
    met = (y >= target if higher else y <= target).nonzero()[0]
    if not len(met):
        return None
    i = int(met[0])
    if i == 0:
        return float(x[0])
    share = (target - y[i - 1]) / (y[i] - y[i - 1])
    return float(x[i - 1] + share * (x[i] - x[i - 1]))


@dataclass(frozen=True)
class MeanCurve:
    """The mean of learning curves.

    Attributes:
        steps: (points).
        mean: (points).
        low: (points), lower end of Student's interval of the mean at each point alone; the mean where there is a single curve.
        high: (points), the upper end.
        n: curves.
    """

    steps: NDArray[Any]
    mean: NDArray[Any]
    low: NDArray[Any]
    high: NDArray[Any]
    n: int


def mean_curve(
    curves: Sequence[tuple[ArrayLike, ArrayLike]], *, points: int = 100, confidence: float = 0.95
) -> MeanCurve:
    """Return the mean of several seeds' learning curves, with a band, on a common grid.

    The grid spans what all curves have in common, so that every point is a mean of all; between their points curves are linear.

    Args:
        curves: (steps, values) of each seed.
        points: of the grid, at least 2.
        confidence: of the band, within (0, 1).

    Raises:
        InputError: there are no curves, or they have no stretch in common; shapes do not fit, a value is not finite, the steps do not rise;
            points is below 2; confidence is not within (0, 1).
    """
    import numpy as np
    from scipy.special import stdtrit

    if not curves:
        raise bad_value("curves", 0, "at least 1 curve")
    if points < 2:
        raise bad_value("points", points, "at least 2")
    if not 0 < confidence < 1:
        raise bad_value("confidence", confidence, "within (0, 1)")
    checked = [_curve(steps, values, 2) for steps, values in curves]
    start, end = max(float(x[0]) for x, _ in checked), min(float(x[-1]) for x, _ in checked)
    if not start < end:
        raise bad_value("curves", (start, end), "curves with a stretch of steps in common")
    grid = np.linspace(start, end, points)
    heights = np.stack([np.interp(grid, x, y) for x, y in checked])
    n, mean = len(heights), heights.mean(0)
    half = np.zeros(points)
    if n > 1:
        half = float(stdtrit(n - 1, (1 + confidence) / 2)) * heights.std(0, ddof=1) / math.sqrt(n)
    return MeanCurve(grid, mean, mean - half, mean + half, n)


def _curve(steps: ArrayLike, values: ArrayLike, least: int) -> tuple[NDArray[Any], NDArray[Any]]:
    x, y = finite_vector("steps", steps, least), finite_vector("values", values, least)
    if len(x) != len(y):
        raise bad_value("values", y.shape, f"{x.shape}, one for each step")
    if not (x[1:] > x[:-1]).all():
        raise bad_value("steps", "steps that do not rise", "rising")
    return x, y
