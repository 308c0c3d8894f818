"""Line searches: how far to go along a descent direction.

A search sees one function of one number, phi(t) = f(w + t d), through phi(t) -> (value, slope) with slope = phi'(t) = d'g(w + t d); phi'(0) < 0.

    sufficient decrease (Armijo)     phi(t) <= phi(0) + c1 t phi'(0)
    strong curvature                 |phi'(t)| <= c2 |phi'(0)|

`backtracking` asks for the first, `strong_wolfe` for both (More & Thuente 1994). A value or slope that is not finite counts as too far. Near a
minimum, rounding hides the decrease: with `noise`, an error of phi, a step is also taken where the value stayed within the noise and the slope
shows the decrease, (2 c1 - 1) phi'(0) >= phi'(t) >= c2 phi'(0) (Hager & Zhang 2005).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Phi = Callable[[float], tuple[float, float]]
"""t -> (phi(t), phi'(t))."""

SearchReason = Literal["met", "max_eval", "interval", "step_min", "step_max", "not_descent"]


@dataclass(frozen=True)
class Search:
    """Where a line search ended.

    Attributes:
        step: t; the lowest point that was found if the conditions are not met, 0 if none is lower than the start.
        value: phi(t).
        slope: phi'(t).
        evaluations: of phi.
        reason: "met" (the conditions hold), "max_eval", "interval" (the bracket is as small as rounding allows), "step_min" or "step_max" (the
            conditions ask for a step outside the allowed ones), "not_descent" (phi'(0) >= 0 or not a number).
    """

    step: float
    value: float
    slope: float
    evaluations: int
    reason: SearchReason

    @property
    def met(self) -> bool:
        """Whether the conditions hold."""
        return self.reason == "met"


def _finite(value: float, slope: float = 0.0) -> bool:
    return math.isfinite(value) and math.isfinite(slope)


def backtracking(
    phi: Phi,
    value: float,
    slope: float,
    *,
    step: float = 1.0,
    c1: float = 1e-4,
    noise: float = 0.0,
    max_eval: int = 30,
) -> Search:
    """Shorten the step until it decreases phi sufficiently (Armijo 1966).

    The next step minimises the parabola through phi(0), phi'(0) and phi(t), kept between a tenth and half of t.

    Args:
        phi: t -> (value, slope); the slope is not used and may be NaN.
        value: phi(0).
        slope: phi'(0) < 0.
        step: the first t.
        c1: of the condition.
        noise: an increase that rounding may cause, allowed.
        max_eval: the most evaluations.
    """
    if not slope < 0.0:
        return Search(0.0, value, slope, 0, "not_descent")
    t = step
    for count in range(1, max_eval + 1):
        found, its_slope = phi(t)
        if math.isfinite(found) and found <= value + c1 * t * slope + noise:
            return Search(t, found, its_slope, count, "met")
        shorter = 0.1 * t
        if math.isfinite(found):
            bend = 2.0 * (found - value - slope * t)
            shorter = -slope * t * t / bend if bend > 0.0 else 0.5 * t
        t = min(max(shorter, 0.1 * t), 0.5 * t)
        if t == 0.0:
            return Search(0.0, value, slope, count, "interval")
    return Search(0.0, value, slope, max_eval, "max_eval")
