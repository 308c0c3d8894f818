"""How far Newton's methods go: along a direction of descent, and away from a saddle.

Letters: w where the step starts (n), d the direction (n), f and its model m(d) = g'd + d'Ad/2 at w, t the length of the step.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from seewhy.optim.curvature import most_negative
from seewhy.optim.curvature_evaluation import CurvatureEvaluator, LocalModel

ARMIJO = 1e-4
"""Of the sufficient decrease."""

HALVINGS = 40


def adapted(damping: float, ratio: float, factor: float) -> float:
    """Return lambda for the next step: times `factor` where rho < 1/4 or is no number, divided by it where rho > 3/4."""
    if ratio > 0.75:
        return damping / factor
    return damping if ratio >= 0.25 else damping * factor


def halve(f: CurvatureEvaluator, w: Tensor, at: LocalModel, d: Tensor, slope: float) -> tuple[float, float]:
    """Return the first of 1, 1/2, 1/4, ... that meets Armijo's condition, or 0, and f of the whole step.

    A parabola through the values, as in `line_search.backtracking`, shortens more than halving where the model was a parabola that failed.
    """
    t, first = 1.0, math.nan
    for attempt in range(HALVINGS):
        value = f.value(w + t * d)
        first = value if attempt == 0 else first
        if math.isfinite(value) and value <= at.value + ARMIJO * t * slope:
            return t, first
        t *= 0.5
    return 0.0, first


def lowest(f: CurvatureEvaluator, w: Tensor, steps: list[tuple[Tensor, float]]) -> tuple[Tensor, float]:
    """Return the iterate of conjugate gradients (d, d'Ad) with the lowest f, from the last backwards while f falls (Martens 2010)."""
    best, least = steps[-1], f.value(w + steps[-1][0])
    for step in reversed(steps[:-1]):
        value = f.value(w + step[0])
        if not (value < least or math.isnan(least)):
            break
        best, least = step, value
    return best


def decreases_within_noise(f: CurvatureEvaluator, w: Tensor, at: LocalModel, d: Tensor) -> bool:
    """Go the whole step, and return whether f stayed within rounding of its value and the gradient became smaller."""
    f.flat.write(w + d)
    loss, _ = f.call(gradients=True)
    value = f.sign * loss.item()
    return value <= at.value + at.noise and float(f.gradient(loss).norm()) < float(at.g.norm())


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
            f.flat.write(w)
            return 0.0
        value = f.value(w + t * d)
    while t < 1024.0:
        further = f.value(w + 2.0 * t * d)
        if not (math.isfinite(further) and further < value):
            break
        t, value = 2.0 * t, further
    f.flat.write(w + t * d)
    return t
