"""Softmax regression of the images: a strongly convex function of a few hundred numbers, on which second-order methods are measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

from seewhy.comparison.claims.setting import Setting
from seewhy.core.seeding import rng


class Regression:
    """f(w) = mean cross-entropy + (lambda / 2) |w|^2 of images shrunk to `side` pixels a side, w (n) weights and biases in float64.

    Args:
        setting: whose training images it is of.
        side: pixels of a side; the images are averaged over regions.
        images: at most so many, which the seed chooses.
        penalty: lambda, the least curvature.
        seed: of the choice.
    """

    def __init__(self, setting: Setting, *, side: int, images: int, penalty: float, seed: int) -> None:
        rows = torch.randperm(len(setting.train), generator=rng(seed, "claims", "regression"))[:images]
        x = F.adaptive_avg_pool2d(setting.train.x[rows], side).flatten(1).double()
        self.x, self.y = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1), setting.train.y[rows]
        self.classes, self.penalty = setting.classes, penalty
        self.n = self.x.shape[1] * self.classes

    def __call__(self, w: Tensor) -> Tensor:
        """Return f(w)."""
        return F.cross_entropy(self.x @ w.view(-1, self.classes), self.y) + 0.5 * self.penalty * w.square().sum()

    def start(self, seed: int, scale: float) -> Tensor:
        """Return random weights of standard deviation `scale`, (n)."""
        return torch.randn(self.n, generator=rng(seed, "claims", "start"), dtype=torch.float64) * scale

    def minimum(self) -> Tensor:
        """Return the weights of the minimum, (n), to rounding."""
        from seewhy.optim import minimize

        w = torch.zeros(self.n, dtype=torch.float64)
        for _ in range(2):  # the second polishes: a step of Newton's method doubles the digits
            w = minimize(self, w, "damped_newton", gtol=1e-13).x
        return w


def path(f: Callable[[Tensor], Tensor], start: Tensor, method: str, **options: object) -> Iterator[Tensor]:
    """Yield the points of a minimisation, the start first."""
    from seewhy.optim import minimize

    points: list[Tensor] = [start]
    minimize(f, start, method, callback=lambda x, _: points.append(x.clone()), **options)  # type: ignore[arg-type]
    yield from points


def orders(errors: Sequence[float], floor: float) -> list[float]:
    """Return log(e_(k+1) / e_k) / log(e_k / e_(k-1)) of errors above `floor`: tends to 1 for linear convergence, to 2 for quadratic."""
    clear = [error for error in errors if error > floor]
    steps = [math.log(b / a) for a, b in pairwise(clear)]
    return [b / a for a, b in pairwise(steps)]
