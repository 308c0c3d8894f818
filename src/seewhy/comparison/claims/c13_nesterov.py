"""C13: Nesterov's look-ahead damps momentum's overshoot."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seewhy.comparison.claims.base import Claim, Criterion, Measured, paired
from seewhy.comparison.claims.fitting import LARGEST, Fit, best_rate, dense, fit
from seewhy.comparison.claims.layers import band
from seewhy.comparison.claims.setting import Setting
from seewhy.core.seeding import rng
from seewhy.reporting.claim_records import Lines

RATES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
RHO = 0.97
METHODS = ("momentum", "nesterov")
SHARES = {"the best rate for momentum": 1.0, "a tenth of it": 0.1}
LEAST = 1e-3
"""Rises in all below this, of a loss that starts near 0.5, count as this."""

IMAGES = 512
"""A sample of the training images, another for every seed."""


def measure(setting: Setting) -> Measured:
    """Measure how far the loss rises again on the way down, with all images at every step."""
    steps = setting.amount(250, 20)
    problems: dict[str, Callable[[int], nn.Module]] = {
        "a linear model": partial(_regression, setting),
        "a network": partial(_network, setting),
    }
    criteria, chosen, drawn = [], [], {}
    for problem, make in problems.items():
        rate = best_rate(RATES, partial(_end, setting, make, steps))
        chosen.append(f"{rate:g} for {problem}")
        for name, share in SHARES.items():
            fits = {
                method: [_descend(setting, make, steps, share * rate, seed, method) for seed in range(setting.seeds)]
                for method in METHODS
            }
            criteria.append(
                Criterion(
                    text=f"look-ahead damps the overshoot on {problem} at {name}",
                    measure="sum of all rises of the loss, Nesterov / momentum",
                    values=paired(
                        {method: [_rises(each) for each in runs] for method, runs in fits.items()},
                        "nesterov",
                        "momentum",
                    ),
                    high=1.0,
                    kind="ratio",
                )
            )
            if problem == "a network":
                drawn.update({f"{method}, {name}": [each.losses for each in runs] for method, runs in fits.items()})
    return Measured(
        criteria=tuple(criteria),
        experiment=f"{IMAGES} training images, all at every step, {steps} steps, momentum {RHO:g}, squared error of one-hot "
        "labels; both methods with the same "
        "rate, since the claim is about "
        f"momentum's overshoot: the one with momentum's lowest loss in the end, {', '.join(chosen)}, and a tenth of it. "
        "The network has a hidden layer of 32 tanh units.",
        figure=Lines(
            x="step",
            y="squared error of the network",
            lines={
                name: band([run[:: max(1, steps // 80)] for run in runs], range(0, steps, max(1, steps // 80)))
                for name, runs in drawn.items()
            },
            log_y=True,
        ),
    )


def _regression(setting: Setting, seed: int) -> nn.Module:
    return dense([setting.features, setting.classes], seed=seed, init="normal", std=0.01)


def _network(setting: Setting, seed: int) -> nn.Module:
    return dense([setting.features, 32, setting.classes], seed=seed, activation="tanh", init="xavier")


def _descend(
    setting: Setting, make: Callable[[int], nn.Module], steps: int, lr: float, seed: int, method: str = "momentum"
) -> Fit:
    rows = torch.randperm(len(setting.train), generator=rng(seed, "claims", "images"))[:IMAGES]
    return fit(
        make(seed), setting.train.x[rows], setting.train.y[rows], steps=steps, lr=lr, seed=seed,
        optimizer=method, batch=None, momentum=RHO, loss=_squares,
    )  # fmt: skip


def _end(setting: Setting, make: Callable[[int], nn.Module], steps: int, lr: float, seed: int) -> float:
    return _descend(setting, make, steps, lr, seed).last(0.05)


def _squares(outputs: Tensor, y: Tensor) -> Tensor:
    """Return half the squared distance to one-hot targets, which has a minimum to overshoot."""
    return (outputs - F.one_hot(y, outputs.shape[1])).square().sum(1).mean() / 2


def _rises(fitted: Fit) -> float:
    """Return the sum of what the loss has risen from step to step, `LEAST` at least; `LARGEST` where it has diverged."""
    rises = sum(max(0.0, after - before) for before, after in pairwise(fitted.losses))
    return LARGEST if fitted.diverged else max(LEAST, rises)


CLAIM = Claim(
    code="C13",
    title="Nesterov damps momentum's overshoot",
    sentence="Nesterov's look-ahead damps the overshoot of momentum.",
    source="Nesterov 1983 proves the better rate on convex functions. Sutskever et al. 2013, section 2.1: the gradient at the "
    "point ahead corrects the "
    "velocity sooner, so that large momenta oscillate less. On a quadratic it is momentum with a coefficient that is smaller "
    "where curvature is large; "
    "its largest stable step is smaller too.",
    measure=measure,
)
