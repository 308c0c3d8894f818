"""Confidence intervals of proportions and means."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor

from seewhy.core.errors import bad_value

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Z95 = 1.959964
"""The 97.5% quantile of the standard normal distribution: two-sided 95% intervals."""


def wilson_interval(successes: int, n: int, z: float = Z95) -> tuple[float, float]:
    """Return the score interval of a proportion (Wilson 1927), which stays within [0, 1] and keeps its coverage near the ends.

        centre = (p + z^2/2n) / (1 + z^2/n);  half = z sqrt(p(1-p)/n + z^2/4n^2) / (1 + z^2/n)

    Args:
        successes: p n, from 0 to n.
        n: trials, at least 1.
        z: quantile of the normal distribution; 95% intervals by default.

    Raises:
        InputError: n is below 1, or successes is not from 0 to n.
    """
    if n < 1:
        raise bad_value("n", n, "at least 1")
    if not 0 <= successes <= n:
        raise bad_value("successes", successes, f"from 0 to n ({n})")
    proportion = successes / n
    scale = 1 + z * z / n
    centre = (proportion + z * z / (2 * n)) / scale
    half = z * math.sqrt(proportion * (1 - proportion) / n + z * z / (4 * n * n)) / scale
    return max(0.0, centre - half), min(1.0, centre + half)


def mean_interval(values: Tensor, z: float = Z95) -> tuple[float, float]:
    """Return the normal interval of a mean, mean +- z s / sqrt(n), with s the unbiased standard deviation.

    Args:
        values: (n), n at least 1; of a single value the interval has no width.
        z: quantile of the normal distribution; 95% intervals by default.

    Raises:
        InputError: the values are not (n), or there are none.
    """
    if values.dim() != 1 or not len(values):
        raise bad_value("values", tuple(values.shape), "(n), n at least 1")
    values = values.double()
    n, mean = len(values), values.mean().item()
    half = z * values.std(correction=1).item() / math.sqrt(n) if n > 1 else 0.0
    return mean - half, mean + half


def t_interval(values: ArrayLike, confidence: float = 0.95) -> tuple[float, float]:
    """Return Student's interval of a mean, mean +- t s / sqrt(n), which keeps its coverage for a handful of normal values.

    t is the (1 + confidence) / 2 quantile of Student's distribution with n - 1 degrees of freedom (Student 1908): 4.3 for n = 3 at 95%. Of
    paired differences it is the interval of the paired t test.

    Args:
        values: (n), n at least 2.
        confidence: within (0, 1).

    Raises:
        InputError: the values are not (n), or there are fewer than two; confidence is not within (0, 1).
    """
    import numpy as np
    from scipy.special import stdtrit  # a tenth of a second that nothing else here has use for

    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or len(x) < 2:
        raise bad_value("values", x.shape, "(n), n at least 2")
    if not 0 < confidence < 1:
        raise bad_value("confidence", confidence, "within (0, 1)")
    n, mean = len(x), float(x.mean())
    half = float(stdtrit(n - 1, (1 + confidence) / 2)) * float(x.std(ddof=1)) / math.sqrt(n)
    return mean - half, mean + half
