"""Learning-rate schedules by name: pure functions of the step.

A schedule is a multiplier of the peak learning rate. With u = t / (T - 1) in [0, 1] the share of the run that is over at step t of T
and p = warmup the share in which the rate rises:

    triangle   0.2 -> 1 linearly up to p, then 1 -> 0.07 linearly               p = 0.23 by default
    one_cycle  cosine-shaped from 0.04 to 1 up to p, then cosine-shaped to 1e-5   p = 0.25
    cosine     0 -> 1 linearly up to p, then (1 + cos(pi v)) / 2                 p = 0, v the share of the rest
    linear     0 -> 1 linearly up to p, then 1 - v                               p = 0
    constant   0 -> 1 linearly up to p, then 1                                   p = 0

Where a schedule would give exactly 0 the step would be lost, so in `cosine`, `linear` and `constant` times count from the first step's
end: u = (t + 1) / T while the rate rises and u = t / T while it falls.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence

from seewhy.core.errors import bad_value
from seewhy.core.registry import Registry, Technique

Schedule = Callable[[int], float]
Shape = Callable[..., float]
"""`f(step, *, total_steps, warmup)`: the multiplier at `step`, `warmup` being a share of the steps or None for the usual one."""

SCHEDULES: Registry[Shape] = Registry("schedules", "schedule")


def schedule(name: str, *, total_steps: int, warmup: float | None = None) -> Schedule:
    """Return the multiplier of the learning rate as a function of the step.

    Args:
        name: one of `SCHEDULES`.
        total_steps: steps of the whole run, at least 1. Later steps get the last step's multiplier.
        warmup: share of the steps in which the rate rises, in [0, 1); None for the schedule's own.

    Returns:
        a function from the step (from 0) to the multiplier.

    Raises:
        InputError: the name is not known or a number is out of range.
    """
    shape = SCHEDULES[name].factory
    if total_steps < 1:
        raise bad_value("total_steps", total_steps, "at least 1")
    if warmup is not None and not 0 <= warmup < 1:
        raise bad_value("warmup", warmup, "at least 0 and less than 1", "it is a share of the steps")

    def multiplier(step: int) -> float:
        return shape(min(max(step, 0), total_steps - 1), total_steps=total_steps, warmup=warmup)

    return multiplier


def in_cycles(one: Schedule, bounds: Sequence[int]) -> Schedule:
    """Return a schedule that starts again after each bound: the multiplier of `one` at the step of the present cycle.

    Snapshot ensembles let the rate fall to almost 0 in each of M cycles (Huang et al. 2017, 1704.00109).

    Args:
        one: of a cycle.
        bounds: the steps at which cycles end, rising.
    """

    def multiplier(step: int) -> float:
        cycle = min(bisect_right(bounds, step), len(bounds) - 1)
        return one(step - (bounds[cycle - 1] if cycle else 0))

    return multiplier


def _mix(start: float, end: float, share: float) -> float:
    return start + (end - start) * share


def _sides(step: int, total_steps: int, warmup: float) -> tuple[float | None, float]:
    """Return (share of the rise that is over, or None once it is; share of the fall that is over), both within [0, 1]."""
    u = step / max(total_steps - 1, 1)
    if u < warmup:
        return u / warmup, 0.0
    return None, (u - warmup) / (1.0 - warmup)


def triangle(step: int, *, total_steps: int, warmup: float | None) -> float:
    """Rise linearly from 0.2 to 1, fall linearly to 0.07."""
    rise, fall = _sides(step, total_steps, 0.23 if warmup is None else warmup)
    return _mix(0.2, 1.0, rise) if rise is not None else _mix(1.0, 0.07, fall)


def one_cycle(step: int, *, total_steps: int, warmup: float | None) -> float:
    """Rise along half a cosine from 0.04 to 1, fall along half a cosine to 1e-5."""
    rise, fall = _sides(step, total_steps, 0.25 if warmup is None else warmup)
    if rise is not None:
        return _mix(0.04, 1.0, (1.0 - math.cos(math.pi * rise)) / 2.0)
    return _mix(1e-5, 1.0, (1.0 + math.cos(math.pi * fall)) / 2.0)


def _after_warmup(step: int, total_steps: int, warmup: float | None) -> tuple[float | None, float]:
    """Return (multiplier of the rise or None once it is over, share of the rest that is over, less than 1)."""
    rising = min(round((warmup or 0.0) * total_steps), total_steps - 1)
    if step < rising:
        return (step + 1) / (rising + 1), 0.0
    return None, (step - rising) / (total_steps - rising)


def cosine(step: int, *, total_steps: int, warmup: float | None) -> float:
    """Fall from 1 to almost 0 along half a cosine."""
    rise, fall = _after_warmup(step, total_steps, warmup)
    return rise if rise is not None else (1.0 + math.cos(math.pi * fall)) / 2.0


def linear(step: int, *, total_steps: int, warmup: float | None) -> float:
    """Fall from 1 to almost 0 along a line."""
    rise, fall = _after_warmup(step, total_steps, warmup)
    return rise if rise is not None else 1.0 - fall


def constant(step: int, *, total_steps: int, warmup: float | None) -> float:
    """Stay at 1 (after the rise, if there is one)."""
    rise, _ = _after_warmup(step, total_steps, warmup)
    return rise if rise is not None else 1.0


SCHEDULES.add(
    Technique(
        name="triangle",
        factory=triangle,
        summary="rises from 0.2 to 1 at 23% of the run, falls to 0.07",
        formula="piecewise linear through (0, 0.2), (p, 1), (1, 0.07)",
        source="Smith 2017, 1506.01186; Jordan 2024, 2404.00498",
        good_for="short runs at a large learning rate",
        bad_for="adaptive optimisers in long runs",
        hyperparameters=("warmup",),
    )
)
SCHEDULES.add(
    Technique(
        name="one_cycle",
        factory=one_cycle,
        summary="rises and falls along two half cosines",
        formula="0.04 -> 1 until p = 0.25, then 1 -> 1e-5, both as half cosines",
        source="Smith & Topin 2018, 1708.07120",
        good_for="a first choice with any optimiser",
        bad_for="runs whose length is not known beforehand",
        hyperparameters=("warmup",),
    )
)
SCHEDULES.add(
    Technique(
        name="cosine",
        factory=cosine,
        summary="falls along half a cosine",
        formula="(1 + cos(pi v)) / 2, v the share of the run that is over",
        source="Loshchilov & Hutter 2017, 1608.03983",
        good_for="long runs",
        bad_for="runs whose length is not known beforehand",
        hyperparameters=("warmup",),
    )
)
SCHEDULES.add(
    Technique(
        name="linear",
        factory=linear,
        summary="falls along a line to zero",
        formula="1 - v, v the share of the run that is over",
        source="classical; Defazio et al. 2023, 2310.07831",
        good_for="short runs, Muon",
        bad_for="runs whose length is not known beforehand",
        hyperparameters=("warmup",),
    )
)
SCHEDULES.add(
    Technique(
        name="constant",
        factory=constant,
        summary="always the same",
        formula="1",
        source="classical",
        good_for="comparing optimisers; runs of open length",
        bad_for="final accuracy: the noise of the gradient does not die down",
        hyperparameters=("warmup",),
    )
)
