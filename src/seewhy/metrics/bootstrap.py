"""Bootstrap intervals over seeds (Efron 1979): the runs are resampled with replacement, the statistic is computed anew.

The resamples of n runs are a pure function of n: figures can be computed again, and comparisons of the same n share them.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seewhy.core.errors import bad_value
from seewhy.metrics.array_input import finite_vector, without_spread

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

RESAMPLES = 4_000
RESAMPLE_SEED = 0


@functools.lru_cache(maxsize=32)
def _counts(n: int, purpose: int) -> NDArray[Any]:
    """Return how often each of n runs stands in each resample: (RESAMPLES, n), rows sum to n."""
    import numpy as np

    rng = np.random.default_rng([RESAMPLE_SEED, purpose])
    counts = rng.multinomial(n, np.full(n, 1 / n), RESAMPLES).astype(np.float64)
    counts.flags.writeable = False
    return counts


def studentised_interval(values: ArrayLike, confidence: float = 0.95) -> tuple[float, float]:
    """Return the bootstrap-t interval of a mean (Efron 1982; Hesterberg 2015), which follows skew and keeps its coverage from 5 values on.

        [mean - q_hi s / sqrt(n), mean - q_lo s / sqrt(n)],  q the quantiles of t* = (mean* - mean) sqrt(n) / s* over resamples

    The percentile interval that is commonly given for seeds covers 84% instead of 95% at n = 5. The price is width: 1.35 times Student's there.

    Args:
        values: (n), n at least 2.
        confidence: within (0, 1).

    Returns:
        The interval; an end is infinite where so many resamples are without spread that the quantile falls among them.

    Raises:
        InputError: values are not (n) finite numbers, n at least 2; confidence is not within (0, 1).
    """
    import numpy as np

    x = finite_vector("values", values, 2)
    if not 0 < confidence < 1:
        raise bad_value("confidence", confidence, "within (0, 1)")
    n, mean, sd = len(x), float(x.mean()), float(x.std(ddof=1))
    scale = float(abs(x - mean).max())
    if without_spread(x):
        return -math.inf, math.inf  # equal values say nothing of how far others lie
    centred = (x - mean) / scale
    counts = _counts(n, 0)
    means = counts @ centred / n
    spread = np.sqrt(np.maximum(counts @ centred**2 / n - means**2, 0) * n / (n - 1))
    flat = spread < 1e-6
    t = np.where(flat, np.copysign(np.inf, means), means * math.sqrt(n) / np.where(flat, 1, spread))
    tail = (1 - confidence) / 2
    low, high = np.quantile(t, [tail, 1 - tail], method="inverted_cdf")
    return mean - float(high) * sd / math.sqrt(n), mean - float(low) * sd / math.sqrt(n)


@dataclass(frozen=True)
class ProbabilityOfImprovement:
    """How likely a run of X beats a run of Y.

    Attributes:
        value: P(X > Y), ties half.
        interval: 95% (or as asked for), percentile bootstrap.
    """

    value: float
    interval: tuple[float, float]


def probability_of_improvement(x: ArrayLike, y: ArrayLike, *, confidence: float = 0.95) -> ProbabilityOfImprovement:
    """Return the probability that a run of X is better than a run of Y (Agarwal et al. 2021, arXiv 2108.13264).

        P(X > Y) = mean over tasks t and pairs of runs (i, j) of [x_ti > y_tj] + [x_ti = y_tj] / 2

    Higher is better: negate a loss. The interval is the percentile bootstrap, stratified: runs are resampled within each task, those of X and
    Y apart. It describes; at a handful of runs it is too narrow, and of two that never overlap it is [1, 1]: no
    verdict should rest on it.

    Args:
        x: (n), or (T, n): n runs of each of T tasks.
        y: (m), or (T, m).
        confidence: within (0, 1).

    Raises:
        InputError: shapes do not fit, a value is not finite, or confidence is not within (0, 1).
    """
    import numpy as np

    if not 0 < confidence < 1:
        raise bad_value("confidence", confidence, "within (0, 1)")
    tasks_x, tasks_y = (np.atleast_2d(np.asarray(values, dtype=np.float64)) for values in (x, y))
    for name, tasks in (("x", tasks_x), ("y", tasks_y)):
        if tasks.ndim != 2 or not tasks.size:
            raise bad_value(name, tasks.shape, "(n) or (T, n), both at least 1")
        if not np.isfinite(tasks).all():
            raise bad_value(name, float(tasks[~np.isfinite(tasks)][0]), "finite numbers")
    if len(tasks_x) != len(tasks_y):
        raise bad_value("y", tasks_y.shape, f"({len(tasks_x)}, m), the tasks of x")
    values, resampled = [], np.zeros(RESAMPLES)
    for task, (runs_x, runs_y) in enumerate(zip(tasks_x, tasks_y, strict=True)):
        wins = (np.sign(runs_x[:, None] - runs_y) + 1) / 2
        counts_x = _counts(len(runs_x), 2 * task)
        counts_y = _counts(len(runs_y), 2 * task + 1)
        values.append(float(wins.mean()))
        resampled += ((counts_x @ wins) * counts_y).sum(1) / wins.size
    tail = (1 - confidence) / 2
    low, high = np.quantile(resampled / len(values), [tail, 1 - tail])
    return ProbabilityOfImprovement(float(np.mean(values)), (float(low), float(high)))
