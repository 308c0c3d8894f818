"""Functions of two variables that show how optimisers differ, and the optimisers' trajectories over them.

    rosenbrock   100 (y - x^2)^2 + (1 - x)^2: a curved valley, whose floor is flat (Rosenbrock 1960)
    beale        (1.5 - x + x y)^2 + (2.25 - x + x y^2)^2 + (2.625 - x + x y^3)^2: a plateau with a narrow way out (Beale 1958)
    saddle       x^2 - y^2 + y^4/4: a saddle at the origin, beside whose axis the start lies, between two minima
    ravine       (x^2 + 50 y^2)/2: a quadratic, fifty times steeper across than along

Letters: w = (x, y). A function is a loss of outputs, f(w) = l(z(w)): Gauss-Newton methods see z, the others f.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seewhy.core.errors import bad_value, unknown_name
from seewhy.optim.first_order import OPTIMISERS, build
from seewhy.optim.newton import Newton
from seewhy.optim.schedules import schedule

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PlanarFunction:
    """A function of two variables.

    Attributes:
        name: what the user writes.
        formula: in plain text.
        outputs: w (2) -> z.
        loss: z -> f, one number.
        start: where trajectories begin by default.
        x: (low, high) of what is worth drawing.
        y: likewise.
        minimum: the least value.
        marks: (name, x, y) of remarkable points.
    """

    name: str
    formula: str
    outputs: Callable[[Tensor], Tensor]
    loss: Callable[[Tensor], Tensor]
    start: tuple[float, float]
    x: tuple[float, float]
    y: tuple[float, float]
    minimum: float
    marks: tuple[tuple[str, float, float], ...]

    def __call__(self, w: Tensor) -> Tensor:
        """Return f(w) of w (2)."""
        return self.loss(self.outputs(w))

    def grid(self, resolution: int = 121) -> tuple[Floats, Floats, Floats]:
        """Return positions [W] and [H], ascending, and the values there, [H, W].

        Raises:
            InputError: the resolution is below 2.
        """
        if resolution < 2:
            raise bad_value("resolution", resolution, "at least 2")
        x, y = (np.linspace(*limits, resolution) for limits in (self.x, self.y))
        grid = torch.cartesian_prod(torch.from_numpy(y), torch.from_numpy(x)).flip(1)
        values = torch.stack([self(w) for w in grid]).view(resolution, resolution)
        return x, y, values.numpy()


def _squares(z: Tensor) -> Tensor:
    return z.square().sum()


def _rosenbrock(w: Tensor) -> Tensor:
    return torch.stack([10.0 * (w[1] - w[0] ** 2), 1.0 - w[0]])


def _beale(w: Tensor) -> Tensor:
    return torch.stack([c - w[0] * (1.0 - w[1] ** k) for k, c in ((1, 1.5), (2, 2.25), (3, 2.625))])


def _saddle(z: Tensor) -> Tensor:
    return z[0] ** 2 - z[1] ** 2 + z[1] ** 4 / 4.0


def _ravine(w: Tensor) -> Tensor:
    return torch.stack([math.sqrt(0.5) * w[0], 5.0 * w[1]])


FUNCTIONS: dict[str, PlanarFunction] = {
    function.name: function
    for function in (
        PlanarFunction(
            name="rosenbrock",
            formula="100 (y - x^2)^2 + (1 - x)^2",
            outputs=_rosenbrock,
            loss=_squares,
            start=(-1.2, 1.0),
            x=(-2.0, 2.0),
            y=(-1.0, 3.0),
            minimum=0.0,
            marks=(("minimum", 1.0, 1.0),),
        ),
        PlanarFunction(
            name="beale",
            formula="(1.5 - x + x y)^2 + (2.25 - x + x y^2)^2 + (2.625 - x + x y^3)^2",
            outputs=_beale,
            loss=_squares,
            start=(1.0, 1.0),
            x=(-1.0, 4.5),
            y=(-1.5, 1.5),
            minimum=0.0,
            marks=(("minimum", 3.0, 0.5), ("saddle", 0.0, 1.0)),
        ),
        PlanarFunction(
            name="saddle",
            formula="x^2 - y^2 + y^4/4",
            outputs=lambda w: w.clone(),
            loss=_saddle,
            start=(1.2, 0.01),
            x=(-1.5, 1.5),
            y=(-2.0, 2.0),
            minimum=-1.0,
            marks=(("saddle", 0.0, 0.0), ("minimum", 0.0, math.sqrt(2.0)), ("minimum", 0.0, -math.sqrt(2.0))),
        ),
        PlanarFunction(
            name="ravine",
            formula="(x^2 + 50 y^2)/2",
            outputs=_ravine,
            loss=_squares,
            start=(-4.0, 1.0),
            x=(-5.0, 5.0),
            y=(-2.0, 2.0),
            minimum=0.0,
            marks=(("minimum", 0.0, 0.0),),
        ),
    )
}

STEP_SIZES: dict[str, dict[str, float]] = {
    "muon": {"rosenbrock": 0.2, "beale": 0.1, "saddle": 0.1, "ravine": 5.0},
    "sgd": {"rosenbrock": 0.005, "beale": 0.05, "saddle": 0.05, "ravine": 0.02},
    "momentum": {"rosenbrock": 0.002, "beale": 0.01, "saddle": 0.1, "ravine": 0.02},
    "nesterov": {"rosenbrock": 0.002, "beale": 0.01, "saddle": 0.02, "ravine": 0.02},
    "adagrad": {"rosenbrock": 2.0, "beale": 1.0, "saddle": 0.2, "ravine": 1.0},
    "rmsprop": {"rosenbrock": 0.2, "beale": 0.02, "saddle": 0.01, "ravine": 0.05},
    "adam": {"rosenbrock": 1.0, "beale": 0.2, "saddle": 0.2, "ravine": 0.5},
    "adamw": {"rosenbrock": 1.0, "beale": 0.2, "saddle": 0.2, "ravine": 0.5},
}
"""Learning rates of the methods that need one: of 1, 2 and 5 times powers of ten the one with the lowest value after 200 steps."""


@dataclass(frozen=True, eq=False)
class PlanarTrajectory:
    """Where an optimiser went.

    Attributes:
        method: its name.
        points: [T + 1, 2], from the start on, T at most the iterations that were allowed.
        values: [T + 1], the function there.
        lr: the step size; None for methods that find it themselves.
        ended: why there is no further point: "max_iter", "not_finite", or what the optimiser's status says.
    """

    method: str
    points: Floats
    values: Floats
    lr: float | None
    ended: str


def trajectory_of(
    method: str,
    function: str | PlanarFunction,
    start: Sequence[float] | None = None,
    *,
    max_iter: int = 200,
    lr: float | None = None,
    **options: Any,
) -> PlanarTrajectory:
    """Return the trajectory of an optimiser over a function of two variables, in float64.

    Args:
        method: one of `OPTIMISERS`.
        function: one of `FUNCTIONS`, or a function of your own.
        start: (x, y); None for the function's own.
        max_iter: the most iterations.
        lr: the step size; None for the one of `STEP_SIZES`, or 0.01 for functions of your own, and 1 for methods that search. Muon's falls
            linearly to nothing, for its steps are as long however small the gradient is.
        options: the optimiser's own, as for `build`.

    Raises:
        InputError: a name is not known, or an argument is out of range.
    """
    if isinstance(function, str):
        if function not in FUNCTIONS:
            raise unknown_name("function", function, FUNCTIONS)
        function = FUNCTIONS[function]
    if max_iter < 1:
        raise bad_value("max_iter", max_iter, "at least 1")
    place = function.start if start is None else tuple(start)
    if len(place) != 2 or not all(math.isfinite(value) for value in place):
        raise bad_value("start", place, "two finite numbers")
    w = nn.Parameter(torch.tensor(place, dtype=torch.float64))
    closure_method = OPTIMISERS[method].factory.closure
    if lr is None and not closure_method:
        lr = STEP_SIZES.get(method, {}).get(function.name, 0.01)
    optimizer = build(method, [("w", w)], lr=lr, **options)
    advance = _searching if closure_method else _following
    points, ended = advance(optimizer, function, w, max_iter)
    values = torch.stack([function(point) for point in points])
    return PlanarTrajectory(method, torch.stack(points).numpy(), values.numpy(), lr, ended)


def _searching(
    optimizer: torch.optim.Optimizer, function: PlanarFunction, w: nn.Parameter, max_iter: int
) -> tuple[list[Tensor], str]:
    """Return the points of a method that evaluates the function itself, and why it ended."""

    def graph() -> Any:
        z = function.outputs(w)
        loss = function.loss(z)
        return (loss, z) if isinstance(optimizer, Newton) and optimizer.curvature == "gauss_newton" else loss

    def closure() -> Any:
        optimizer.zero_grad()
        loss = function(w)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    step: Any = optimizer.step
    points = [w.detach().clone()]
    for _ in range(max_iter):
        step(graph if isinstance(optimizer, Newton) else closure, fresh=False)
        status = optimizer.status  # type: ignore[attr-defined]
        if status.step_length:
            points.append(w.detach().clone())
        if status.reason != "progress":
            return points, str(status.reason)
    return points, "max_iter"


def _following(
    optimizer: torch.optim.Optimizer, function: PlanarFunction, w: nn.Parameter, max_iter: int
) -> tuple[list[Tensor], str]:
    """Return the points of a first-order method, and why it ended."""
    shares = schedule("linear", total_steps=max_iter)
    rates = [group["lr"] for group in optimizer.param_groups]
    falls = type(optimizer).__name__ == "Muon"
    points = [w.detach().clone()]
    for step in range(max_iter):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * (shares(step) if falls else 1.0)
        optimizer.zero_grad()
        function(w).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if not (bool(w.isfinite().all()) and bool(function(w).isfinite())):
            return points, "not_finite"
        points.append(w.detach().clone())
    return points, "max_iter"
