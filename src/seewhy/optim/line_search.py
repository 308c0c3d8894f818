"""Line searches: how far to go along a descent direction.

A search sees one function of one number, phi(t) = f(w + t d), through phi(t) -> (value, slope) with slope = phi'(t) = d'g(w + t d); phi'(0) < 0.

    sufficient decrease (Armijo)     phi(t) <= phi(0) + c1 t phi'(0)
    strong curvature                 |phi'(t)| <= c2 |phi'(0)|

`backtracking` asks for the first, `strong_wolfe` for both (More & Thuente 1994), `exact` for a slope of nothing. A value or slope that is not
finite counts as too far. Near a minimum, rounding hides the decrease: with `noise`, an error of phi, a step is also taken where the value stayed
within the noise and the slope shows the decrease, (2 c1 - 1) phi'(0) >= phi'(t) >= c2 phi'(0) (Hager & Zhang 2005).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

Phi = Callable[[float], tuple[float, float]]
"""t -> (phi(t), phi'(t))."""

SearchReason = Literal["met", "max_eval", "interval", "not_descent"]


class Search(NamedTuple):
    """Where a line search ended.

    Attributes:
        step: t; the lowest point that was evaluated if the conditions are not met, 0 if none is lower than the start.
        value: phi(t).
        slope: phi'(t).
        evaluations: of phi.
        reason: "met" (the conditions hold), "max_eval", "interval" (no number is left between those tried), "not_descent"
            (phi'(0) >= 0 or not a number).
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
        there, slope_there = phi(t)
        if math.isfinite(there) and there <= value + c1 * t * slope + noise:
            return Search(t, there, slope_there, count, "met")
        shorter = 0.1 * t
        if math.isfinite(there):
            curvature = 2.0 * (there - value - slope * t)  # times t^2
            shorter = -slope * t * t / curvature if curvature > 0.0 else 0.5 * t
        t = min(max(shorter, 0.1 * t), 0.5 * t)
        if t == 0.0:
            return Search(0.0, value, slope, count, "interval")
    return Search(0.0, value, slope, max_eval, "max_eval")


class _Point(NamedTuple):
    """A step with its value and slope."""

    t: float
    value: float
    slope: float

    def tilted(self, by: float) -> _Point:
        """Return the point on phi(t) - by t."""
        return _Point(self.t, self.value - by * self.t, self.slope - by)


class _Interval(NamedTuple):
    """The state of the search: x, the best point; y, the other end; whether a minimum lies between them; the next t."""

    x: _Point
    y: _Point
    closed: bool
    t: float

    @property
    def width(self) -> float:
        return abs(self.y.t - self.x.t)

    @property
    def holds(self) -> bool:
        """Whether t lies properly inside."""
        return min(self.x.t, self.y.t) < self.t < max(self.x.t, self.y.t)


def strong_wolfe(
    phi: Phi,
    value: float,
    slope: float,
    *,
    step: float = 1.0,
    c1: float = 1e-4,
    c2: float = 0.9,
    noise: float = 0.0,
    max_eval: int = 20,
) -> Search:
    """Find a step with sufficient decrease and a small slope (More & Thuente 1994, ACM Transactions on Mathematical Software 20, 286-307).

    An interval that holds such steps is maintained. A trial step minimises the cubic or the parabola through two points, safeguarded: it stays
    inside the interval, whose width falls by a third over any two trials. Until a step has decreased sufficiently, the interval is that of
    psi(t) = phi(t) - c1 phi'(0) t. As long as phi only falls, the steps grow, at most fivefold.

    Args:
        phi: t -> (value, slope).
        value: phi(0).
        slope: phi'(0) < 0.
        step: the first t.
        c1: of the sufficient decrease; 0 < c1 < c2.
        c2: of the curvature; c2 < 1. A small one searches nearly exactly.
        noise: error of phi, see the module.
        max_eval: the most evaluations.
    """
    if not slope < 0.0:
        return Search(0.0, value, slope, 0, "not_descent")
    start = _Point(0.0, value, slope)
    now = _Interval(start, start, False, step)
    roof, first, widths = math.inf, True, (math.inf, math.inf)
    for count in range(1, max_eval + 1):
        trial = _Point(now.t, *phi(now.t))
        if not (math.isfinite(trial.value) and math.isfinite(trial.slope)):
            roof = now.t
            now = _Interval(now.x, now.x, False, now.x.t + 0.1 * (now.t - now.x.t))
            if not now.x.t < now.t < roof:
                return _ended(now, count, "interval")
            continue
        decreased = trial.value <= value + c1 * trial.t * slope
        steep = abs(trial.slope) > c2 * -slope
        if (decreased and not steep) or _lost_in_noise(start, trial, c1, c2, noise):
            return Search(trial.t, trial.value, trial.slope, count, "met")
        first = first and not (decreased and trial.slope >= 0.0)
        on_psi = first and not decreased and trial.value <= now.x.value
        now = _narrowed(now, trial, c1 * slope if on_psi else 0.0, roof)
        if now.closed:
            if now.width >= 0.66 * widths[0] or not math.isfinite(now.t):
                now = now._replace(t=now.x.t + 0.5 * (now.y.t - now.x.t))
            widths = (widths[1], now.width)
            if not now.holds:
                return _ended(now, count, "interval")
        elif not trial.t < now.t < roof:
            return _ended(now, count, "interval")
    return _ended(now, max_eval, "max_eval")


EXACT = 1e-9
"""Share of the slope that an exact search leaves at most."""

ENOUGH = 0.9
"""The same where noise ends it earlier."""


def exact(
    phi: Phi,
    value: float,
    slope: float,
    *,
    step: float = 1.0,
    noise: float = 0.0,
    max_eval: int = 20,
) -> Search:
    """Find the minimiser along the line, argmin over t of phi(t): the nearest one, to nine digits of the slope.

    The slope of a quadratic is a line, phi'(t) = phi'(0) + t d'H d, so that one trial gives the curvature d'H d and with it the minimiser,
    t = -phi'(0) / (d'H d). Where the slope does not vanish there, phi is no quadratic, and `strong_wolfe` goes on from there to the same end.

    Args:
        phi: t -> (value, slope).
        value: phi(0).
        slope: phi'(0) < 0.
        step: the first t.
        noise: error of phi, see the module.
        max_eval: the most evaluations.
    """
    if not slope < 0.0:
        return Search(0.0, value, slope, 0, "not_descent")
    trials = {}

    def known(t: float) -> tuple[float, float]:
        if t not in trials:
            trials[t] = phi(t)
        return trials[t]

    there, slope_there = known(step)
    if there <= value + noise and abs(slope_there) <= EXACT * -slope:
        return Search(step, there, slope_there, 1, "met")
    bends = math.isfinite(there) and slope_there > slope
    t = step * slope / (slope - slope_there) if bends and max_eval > 1 else step
    t = t if 0.0 < t < math.inf else step
    known(t)
    left = max_eval - len(trials) + 1  # t itself is known
    result = strong_wolfe(known, value, slope, step=t, c1=EXACT, c2=EXACT, noise=noise, max_eval=left)
    if not result.met:  # so many digits are lost in noise: take the least slope
        least = min((t for t in trials if trials[t][0] <= value + noise), key=lambda t: abs(trials[t][1]), default=0.0)
        if least > 0.0 and abs(trials[least][1]) <= ENOUGH * -slope:
            result = Search(least, *trials[least], 0, "met")
    return result._replace(evaluations=len(trials))


def _ended(now: _Interval, count: int, reason: SearchReason) -> Search:
    return Search(now.x.t, now.x.value, now.x.slope, count, reason)


def _lost_in_noise(start: _Point, trial: _Point, c1: float, c2: float, noise: float) -> bool:
    """Return whether the values differ by no more than rounding, and the slopes show a sufficient decrease."""
    flat = abs(trial.value - start.value) <= noise
    return flat and (2.0 * c1 - 1.0) * start.slope >= trial.slope >= c2 * start.slope


def _narrowed(now: _Interval, trial: _Point, tilt: float, roof: float) -> _Interval:
    """Return the interval after a trial, and where to try next (the paper's section 4)."""
    x, y, new = now.x.tilted(tilt), now.y.tilted(tilt), trial.tilted(tilt)
    higher, turned = new.value > x.value, new.slope * x.slope < 0.0
    cubic, secant = _cubic(x, new), _secant(x, new)
    if higher:
        parabola = x.t + 0.5 * (new.t - x.t) * x.slope / ((x.value - new.value) / (new.t - x.t) + x.slope)
        t = cubic if abs(cubic - x.t) < abs(parabola - x.t) else 0.5 * (cubic + parabola)
    elif turned:
        t = cubic if abs(cubic - new.t) > abs(secant - new.t) else secant
    elif now.closed:
        t = _inside(now, new, cubic, secant) if abs(new.slope) < abs(x.slope) else _cubic(new, y)
    else:
        t = _beyond(now, new, cubic, secant, roof) if abs(new.slope) < abs(x.slope) else _reach(now, new, roof)
    if higher:
        return _Interval(now.x, trial, True, t)
    return _Interval(trial, now.x if turned else now.y, now.closed or turned, t)


def _inside(now: _Interval, new: _Point, cubic: float, secant: float) -> float:
    """Return the nearer of the two, at most two thirds of the way to y."""
    onward = (new.t - now.x.t) * (cubic - new.t) > 0.0
    low, high = min(now.x.t, now.y.t), max(now.x.t, now.y.t)
    if not onward:  # the cubic falls without end on that side, or has no minimum
        cubic = high if new.t > now.x.t else low
    t = cubic if abs(cubic - new.t) < abs(secant - new.t) else secant
    end = new.t + 0.66 * (now.y.t - new.t)
    t = min(end, t) if new.t > now.x.t else max(end, t)
    return min(max(t, low), high)


def _beyond(now: _Interval, new: _Point, cubic: float, secant: float, roof: float) -> float:
    """Return the farther of the two, within the limits of extrapolation."""
    high = _reach(now, new, roof)
    low = min(new.t + 1.1 * (new.t - now.x.t) if now.x.t > 0.0 else new.t, high)
    if not cubic > new.t:
        cubic = high
    t = cubic if abs(cubic - new.t) > abs(secant - new.t) else secant
    return min(max(t, low), high)


def _reach(now: _Interval, new: _Point, roof: float) -> float:
    """Return the farthest step to try: four times as far again, or half-way to a point that was not finite."""
    return min(new.t + 4.0 * (new.t - now.x.t), new.t + 0.5 * (roof - new.t))


def _secant(a: _Point, b: _Point) -> float:
    """Return where the line through the slopes at a and b vanishes; infinite where they are equal."""
    change = b.slope - a.slope
    return b.t - (b.t - a.t) * b.slope / change if change != 0.0 else math.inf


def _cubic(a: _Point, b: _Point) -> float:
    """Return the minimiser of the cubic through the values and slopes at a and b; NaN where it has none.

    Nocedal & Wright (2006), equation 3.59, scaled against overflow.
    """
    d1 = a.slope + b.slope - 3.0 * (a.value - b.value) / (a.t - b.t)
    scale = max(abs(d1), abs(a.slope), abs(b.slope))
    root = (d1 / scale) ** 2 - (a.slope / scale) * (b.slope / scale) if scale > 0.0 else 0.0
    if not root > 0.0:
        return math.nan
    d2 = math.copysign(scale * math.sqrt(root), b.t - a.t)
    denominator = b.slope - a.slope + 2.0 * d2
    if denominator == 0.0:
        return math.nan
    return b.t - (b.t - a.t) * (b.slope + d2 - d1) / denominator
