"""Each variant's learning rate, chosen from as many short runs of the same length before any run is judged.

Comparing a choice at its own best rate with another at the rate that suits the first is the commonest way to a false
winner (Choi et al. 2019, 1910.05446; Schmidt et al. 2021, 2007.01547). Every variant has the same grid about the default of its optimiser, the
same seed, which no judged run has, and validation images alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

FACTORS = (1 / 9, 1 / 3, 1.0, 3.0, 9.0)
"""Rates tried, as multiples of the optimiser's default."""

SHARE = 1 / 3
"""Length of a tuning run, of that of a judged one; at least one epoch where a judged one has as many."""

SEED_OFFSET = 1_000_000
"""Added to the first seed for tuning and screening, so that no judged run has theirs, however many there will be."""


def grid(rate: float) -> tuple[float, ...]:
    """Return the rates that are tried about one."""
    return tuple(float(f"{rate * factor:.3g}") for factor in FACTORS)


def short(epochs: float) -> float:
    """Return the length of a tuning run."""
    return min(epochs, max(1.0, float(f"{epochs * SHARE:.4g}")))


def best_rate(scores: Mapping[float, float | None], centre: float, *, higher: bool) -> float | None:
    """Return the rate with the best score; of equals the one nearest to the centre, in ratio; None where every run diverged.

    Args:
        scores: of validation, by rate; None for a run that could not go on.
        centre: the optimiser's default.
        higher: whether more is better.
    """
    ended = {rate: score if higher else -score for rate, score in scores.items() if score is not None}
    if not ended:
        return None
    return max(ended, key=lambda rate: (ended[rate], -abs(math.log(rate / centre))))


def at_edge(rate: float, scores: Mapping[float, float | None]) -> bool:
    """Whether a rate is the smallest or the largest that was tried, so that the best may lie beyond."""
    return rate in (min(scores), max(scores))
