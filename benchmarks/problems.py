"""The eighteen problems of unconstrained minimisation of More, Garbow & Hillstrom (1981, ACM Transactions on Mathematical Software 7, 17-41),
and `SCALED`: quadratics whose scales differ, and a long valley.

Each is a sum of squares f(x) = sum of r_i(x)^2 with the standard start of the paper, in float64; the gradient is torch's for every method.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Problem:
    """A name, the residuals x (n) -> r (m), and the standard start."""

    name: str
    residuals: Callable[[Tensor], Tensor]
    start: tuple[float, ...]

    def value(self, x: Tensor) -> Tensor:
        """Return f(x)."""
        return self.residuals(x).square().sum()

    def from_start(self, factor: float) -> Tensor:
        """Return the start, times a factor."""
        return factor * torch.tensor(self.start, dtype=torch.float64)


def _range(low: int, high: int) -> Tensor:
    return torch.arange(low, high + 1, dtype=torch.float64)


def helical_valley(x: Tensor) -> Tensor:
    angle = torch.atan2(x[1], x[0]) / (2 * math.pi)  # the paper's theta, but for a turn where x1 < 0 and x2 < 0
    angle = torch.where((x[0] < 0) & (x[1] < 0), angle + 1.0, angle)
    return torch.stack([10 * (x[2] - 10 * angle), 10 * (x[:2].norm() - 1), x[2]])


def biggs_exp6(x: Tensor) -> Tensor:
    t = 0.1 * _range(1, 13)
    y = torch.exp(-t) - 5 * torch.exp(-10 * t) + 3 * torch.exp(-4 * t)
    return x[2] * torch.exp(-t * x[0]) - x[3] * torch.exp(-t * x[1]) + x[5] * torch.exp(-t * x[4]) - y


def gaussian(x: Tensor) -> Tensor:
    half = [0.0009, 0.0044, 0.0175, 0.0540, 0.1295, 0.2420, 0.3521]
    y = torch.tensor([*half, 0.3989, *reversed(half)], dtype=torch.float64)
    t = (8 - _range(1, 15)) / 2
    return x[0] * torch.exp(-x[1] * (t - x[2]) ** 2 / 2) - y


def powell_badly_scaled(x: Tensor) -> Tensor:
    return torch.stack([1e4 * x[0] * x[1] - 1, torch.exp(-x[0]) + torch.exp(-x[1]) - 1.0001])


def box_three_dimensional(x: Tensor) -> Tensor:
    t = 0.1 * _range(1, 10)
    return torch.exp(-t * x[0]) - torch.exp(-t * x[1]) - x[2] * (torch.exp(-t) - torch.exp(-10 * t))


def variably_dimensioned(x: Tensor) -> Tensor:
    total = (_range(1, len(x)) * (x - 1)).sum()
    return torch.cat([x - 1, torch.stack([total, total**2])])


def watson(x: Tensor) -> Tensor:
    n = len(x)
    t = (_range(1, 29) / 29)[:, None]
    powers = t ** torch.arange(n, dtype=torch.float64)
    slopes = (torch.arange(1, n, dtype=torch.float64) * x[1:]) @ powers[:, : n - 1].T
    return torch.cat([slopes - (powers @ x) ** 2 - 1, torch.stack([x[0], x[1] - x[0] ** 2 - 1])])


def penalty_1(x: Tensor) -> Tensor:
    return torch.cat([math.sqrt(1e-5) * (x - 1), (x.square().sum() - 0.25)[None]])


def penalty_2(x: Tensor) -> Tensor:
    n, a = len(x), math.sqrt(1e-5)
    i = _range(2, n)
    y = torch.exp(i / 10) + torch.exp((i - 1) / 10)
    first = a * (torch.exp(x[1:] / 10) + torch.exp(x[:-1] / 10) - y)
    second = a * (torch.exp(x[1:] / 10) - math.exp(-0.1))
    weights = n - _range(1, n) + 1
    return torch.cat([(x[0] - 0.2)[None], first, second, ((weights * x**2).sum() - 1)[None]])


def brown_badly_scaled(x: Tensor) -> Tensor:
    return torch.stack([x[0] - 1e6, x[1] - 2e-6, x[0] * x[1] - 2])


def brown_and_dennis(x: Tensor) -> Tensor:
    t = _range(1, 20) / 5
    return (x[0] + t * x[1] - torch.exp(t)) ** 2 + (x[2] + x[3] * torch.sin(t) - torch.cos(t)) ** 2


def gulf(x: Tensor) -> Tensor:
    t = _range(1, 99) / 100
    y = 25 + (-50 * torch.log(t)) ** (2 / 3)
    return torch.exp(-((y - x[1]).abs() ** x[2]) / x[0]) - t


def trigonometric(x: Tensor) -> Tensor:
    n = len(x)
    return n - torch.cos(x).sum() + _range(1, n) * (1 - torch.cos(x)) - torch.sin(x)


def rosenbrock(x: Tensor) -> Tensor:
    return torch.cat([10 * (x[1::2] - x[::2] ** 2), 1 - x[::2]])


def powell_singular(x: Tensor) -> Tensor:
    a, b, c, d = x[::4], x[1::4], x[2::4], x[3::4]
    return torch.cat([a + 10 * b, math.sqrt(5) * (c - d), (b - 2 * c) ** 2, math.sqrt(10) * (a - d) ** 2])


def beale(x: Tensor) -> Tensor:
    y = torch.tensor([1.5, 2.25, 2.625], dtype=torch.float64)
    return y - x[0] * (1 - x[1] ** _range(1, 3))


def wood(x: Tensor) -> Tensor:
    a, b, c, d = x
    return torch.stack(
        [
            10 * (b - a**2),
            1 - a,
            math.sqrt(90) * (d - c**2),
            1 - c,
            math.sqrt(10) * (b + d - 2),
            (b - d) / math.sqrt(10),
        ]
    )


def chebyquad(x: Tensor) -> Tensor:
    z = 2 * x - 1
    values, before = [z], torch.ones_like(x)
    for _ in range(len(x) - 1):
        values.append(2 * z * values[-1] - (values[-2] if len(values) > 1 else before))
    i = _range(1, len(x))
    integrals = torch.where(i % 2 == 0, -1 / (i**2 - 1 + (i == 1)), torch.zeros_like(i))
    return torch.stack(values).mean(1) - integrals


PROBLEMS = (
    Problem("helical valley", helical_valley, (-1, 0, 0)),
    Problem("Biggs EXP6", biggs_exp6, (1, 2, 1, 1, 1, 1)),
    Problem("Gaussian", gaussian, (0.4, 1, 0)),
    Problem("Powell badly scaled", powell_badly_scaled, (0, 1)),
    Problem("Box three-dimensional", box_three_dimensional, (0, 10, 20)),
    Problem("variably dimensioned", variably_dimensioned, tuple(1 - j / 10 for j in range(1, 11))),
    Problem("Watson", watson, (0,) * 9),
    Problem("penalty I", penalty_1, tuple(range(1, 11))),
    Problem("penalty II", penalty_2, (0.5,) * 10),
    Problem("Brown badly scaled", brown_badly_scaled, (1, 1)),
    Problem("Brown and Dennis", brown_and_dennis, (25, 5, -5, -1)),
    Problem("Gulf", gulf, (5, 2.5, 0.15)),
    Problem("trigonometric", trigonometric, (0.1,) * 10),
    Problem("extended Rosenbrock", rosenbrock, (-1.2, 1) * 5),
    Problem("extended Powell singular", powell_singular, (3, -1, 0, 1) * 3),
    Problem("Beale", beale, (1, 1)),
    Problem("Wood", wood, (-3, -1, -3, -1)),
    Problem("Chebyquad", chebyquad, tuple(j / 9 for j in range(1, 9))),
)


def quadratic(low: float, high: float, n: int, *, rotated: bool = False) -> Callable[[Tensor], Tensor]:
    """Return the residuals of x'Hx/2, the eigenvalues of H in equal ratios from low to high, along the axes or along random directions."""
    weights = torch.logspace(math.log10(low), math.log10(high), n, dtype=torch.float64).div(2).sqrt()
    if not rotated:
        return lambda x: weights * x
    rng = torch.Generator().manual_seed(1)
    Q = torch.linalg.qr(torch.randn(n, n, dtype=torch.float64, generator=rng))[0]
    return lambda x: weights * (Q.T @ x)


def chained_wood(x: Tensor) -> Tensor:
    """Conn, Gould & Toint (1988, Mathematics of Computation 50, 399-430): Wood's function of each four neighbours."""
    a, b, c, d = x[:-2:2], x[1:-1:2], x[2::2], x[3::2]
    valleys = [10 * (b - a**2), 1 - a, math.sqrt(90) * (d - c**2), 1 - c]
    return torch.cat([*valleys, math.sqrt(10) * (b + d - 2), math.sqrt(0.1) * (b - d)])


SCALED = (
    Problem("quadratic, 1 to 1e6", quadratic(1, 1e6, 50), (1,) * 50),
    Problem("rotated quadratic, 1 to 1e6", quadratic(1, 1e6, 50, rotated=True), (1,) * 50),
    Problem("quadratic, 1e-6 to 1", quadratic(1e-6, 1, 50), (1,) * 50),
    Problem("rotated quadratic, 1e-6 to 1", quadratic(1e-6, 1, 50, rotated=True), (1,) * 50),
    Problem("quadratic, 1e-2 to 1e2", quadratic(1e-2, 1e2, 50), (1,) * 50),
    Problem("chained Wood, n = 100", chained_wood, (-3, -1, -3, -1, *(-2, 0) * 48)),
)
