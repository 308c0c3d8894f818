"""How far Newton's methods go: along a direction of descent, and away from a saddle.

Letters: w where the step starts (n), d the direction (n), f and its model m(d) = g'd + d'Ad/2 at w, t the length of the step.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from seewhy.optim.curvature import most_negative
from seewhy.optim.curvature_evaluation import CurvatureEvaluator, LocalModel
from seewhy.optim.line_search import exact

ARMIJO = 1e-4
"""Of the sufficient decrease."""

HALVINGS = 40


def adapted(damping: float, ratio: float, factor: float) -> float:
    """Return lambda for the next step: times `factor` where rho < 1/4 or is no number, divided by it where rho > 3/4."""
    if ratio > 0.75:
        return damping / factor
    return damping if ratio >= 0.25 else damping * factor


class Along(NamedTuple):
    """A direction and what is known of it.

    Attributes:
        d: the direction (n).
        curvature: d'Ad.
        value: f(w + d); None where it was not evaluated.
    """

    d: Tensor
    curvature: float
    value: float | None = None


def halve(
    f: CurvatureEvaluator, w: Tensor, at: LocalModel, along: Along, slope: float, *, c1: float = ARMIJO
) -> tuple[float, float]:
    """Return the first of 1, 1/2, 1/4, ... that meets Armijo's condition with c1, or 0, and f of the whole step.

    A parabola through the values, as in `line_search.backtracking`, shortens more than halving where the model was a parabola that failed.
    """
    t, first = 1.0, along.value
    for _ in range(HALVINGS):
        whole = t == 1.0 and along.value is not None
        value = along.value if whole and along.value is not None else f.trial(w + t * along.d)
        first = value if first is None else first
        if math.isfinite(value) and value <= at.value + c1 * t * slope:
            if whole:
                f.move(w + along.d)
            return t, first
        t *= 0.5
    return 0.0, math.nan if first is None else first


def minimise_along(f: CurvatureEvaluator, w: Tensor, at: LocalModel, along: Along, slope: float) -> float:
    """Return argmin over t of f(w + t d), or 0; the parameters are left there.

    The first t is the minimiser of the model, -slope / (d'Ad), which is exact for a quadratic.
    """
    d, tried = along.d, math.nan

    def phi(t: float) -> tuple[float, float]:
        nonlocal tried
        tried, value = t, f.trial(w + t * d)
        return value, f.sign * float(f.gradient() @ d) if math.isfinite(value) else math.nan

    step = -slope / along.curvature if along.curvature > 0.0 else 1.0
    result = exact(phi, at.value, slope, step=step if 0.0 < step < math.inf else 1.0, noise=at.noise, max_eval=HALVINGS)
    if not result.met and not result.value < at.value:
        return 0.0
    if result.step > 0.0 and result.step != tried:
        f.move(w + result.step * d)
    return result.step


def lowest(f: CurvatureEvaluator, w: Tensor, steps: list[tuple[Tensor, float]]) -> Along:
    """Return the iterate of conjugate gradients with the lowest f, from the last backwards while f falls (Martens 2010)."""
    best = Along(*steps[-1], f.value(w + steps[-1][0]))
    for step in reversed(steps[:-1]):
        value = f.value(w + step[0])
        if best.value is not None and not (value < best.value or math.isnan(best.value)):
            break
        best = Along(*step, value)
    return best


def decreases_within_noise(f: CurvatureEvaluator, w: Tensor, at: LocalModel, d: Tensor) -> bool:
    """Go the whole step, and return whether f stayed within rounding of its value and the gradient became smaller."""
    value = f.trial(w + d)
    return value <= at.value + at.noise and float(f.gradient().norm()) < float(at.g.norm())


def negative_curvature(f: CurvatureEvaluator, at: LocalModel, *, max_cg: int) -> tuple[Tensor, float] | None:
    """Return a unit direction of negative curvature and d'Ad, or None where A is positive semidefinite."""
    if f.curvature == "gauss_newton":
        return None
    if at.matrix is None:
        return most_negative(at.product, at.g, max_iter=max_cg)
    values, vectors = torch.linalg.eigh(at.matrix)
    threshold = math.sqrt(torch.finfo(values.dtype).eps) * float(values.abs().max())
    return (vectors[:, 0], float(values[0])) if float(values[0]) < -threshold else None


def escape(f: CurvatureEvaluator, w: Tensor, at: LocalModel, d: Tensor, curvature: float) -> float:
    """Leave a stationary point along a unit direction of negative curvature; return the length of the step, 0 where f does not fall.

    Args:
        f: the function; its parameters are left where the step ends.
        w: the stationary point.
        at: the model there.
        d: the direction, or its opposite.
        curvature: d'Ad.
    """
    if float(at.g @ d) > 0.0:
        d = -d
    t, value = 1.0, f.value(w + d)
    while not value < at.value + 0.25 * curvature * t * t:
        t *= 0.5
        if t < 1e-12:
            f.move(w)
            return 0.0
        value = f.value(w + t * d)
    while t < 1024.0:
        further = f.value(w + 2.0 * t * d)
        if not (math.isfinite(further) and further < value):
            break
        t, value = 2.0 * t, further
    f.move(w + t * d)
    return t
