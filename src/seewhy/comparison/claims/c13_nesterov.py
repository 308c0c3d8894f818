"""C13: Nesterov's look-ahead damps momentum's overshoot."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

from torch import nn

from seewhy.comparison.claims.base import Claim, Criterion, Measured, differences
from seewhy.comparison.claims.fitting import Fit, best_rate, dense, fit
from seewhy.comparison.claims.layers import band
from seewhy.comparison.claims.setting import Setting
from seewhy.reporting.claim_records import Lines

RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
MOMENTA = (0.9, 0.97)
METHODS = ("momentum", "nesterov")


def measure(setting: Setting) -> Measured:
    """Measure how far the loss rises again on the way down, with all images at every step."""
    steps = setting.amount(250, 20)
    criteria, chosen, drawn = [], [], {}
    problems: dict[str, Callable[[int], nn.Module]] = {
        "softmax regression": partial(_regression, setting),
        "a network": partial(_network, setting),
    }
    for problem, make in problems.items():
        for rho in MOMENTA:

            def run(
                lr: float, seed: int, method: str, make: Callable[[int], nn.Module] = make, rho: float = rho
            ) -> Fit:
                return fit(
                    make(seed), setting.train.x, setting.train.y, steps=steps, lr=lr, seed=seed,
                    optimizer=method, batch=None, momentum=rho,
                )  # fmt: skip

            rate = best_rate(RATES, lambda lr, seed, run=run: run(lr, seed, "momentum").last(0.05))  # type: ignore[misc]
            fits = {method: [run(rate, seed, method) for seed in range(setting.seeds)] for method in METHODS}
            rises = {method: [_rises(each) for each in runs] for method, runs in fits.items()}
            chosen.append(f"{rate:g} for {problem} at momentum {rho:g}")
            criteria.append(
                Criterion(
                    text=f"look-ahead damps the overshoot on {problem} at momentum {rho:g}",
                    measure="sum of all rises of the loss, Nesterov minus momentum",
                    values=differences(rises, "nesterov", "momentum"),
                    high=0.0,
                    unit="nats",
                )
            )
            if rho == MOMENTA[-1]:
                drawn.update({f"{method}, {problem}": [each.losses for each in runs] for method, runs in fits.items()})
    return Measured(
        criteria=tuple(criteria),
        experiment=f"All training images at every step, {steps} steps; both methods with the rate that is best for momentum, since "
        "the claim is about its "
        f"overshoot: {', '.join(chosen)}. The network has a hidden layer of 32 tanh units.",
        figure=Lines(
            x="step",
            y=f"training loss (nats), momentum {MOMENTA[-1]:g}",
            lines={name: band(runs, range(min(map(len, runs)))) for name, runs in drawn.items()},
            log_y=True,
        ),
    )


def _regression(setting: Setting, seed: int) -> nn.Module:
    return dense([setting.features, setting.classes], seed=seed, init="normal", std=0.01)


def _network(setting: Setting, seed: int) -> nn.Module:
    return dense([setting.features, 32, setting.classes], seed=seed, activation="tanh", init="xavier")


def _rises(fitted: Fit) -> float:
    """Return the sum of what the loss has risen from step to step."""
    return sum(max(0.0, after - before) for before, after in pairwise(fitted.losses))


CLAIM = Claim(
    code="C13",
    title="Nesterov damps momentum's overshoot",
    sentence="Nesterov's look-ahead damps the overshoot of momentum.",
    source="Nesterov 1983 proves the better rate on convex functions. Sutskever et al. 2013, section 2.1: the gradient at the "
    "point ahead corrects the "
    "velocity sooner, so that large momenta oscillate less. Nesterov's method is momentum with a coefficient that is smaller "
    "where curvature is large.",
    measure=measure,
)
