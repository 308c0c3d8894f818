"""The experiment that the claims about AdaGrad, RMSprop and Adam share: one network, each method with its best rate, every update watched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from torch import nn

from seewhy.comparison.claims.fitting import Fit, Recipe, mlp
from seewhy.comparison.claims.layers import band
from seewhy.comparison.claims.setting import Setting
from seewhy.comparison.claims.updates import UpdateWatch
from seewhy.reporting.claim_records import Lines

RATES = {
    "sgd": (0.03, 0.1, 0.3, 1.0, 3.0),
    "momentum": (0.003, 0.01, 0.03, 0.1, 0.3),
    "adagrad": (0.003, 0.01, 0.03, 0.1, 0.3),
    "rmsprop": (0.001, 0.003, 0.01, 0.03, 0.1),
    "adam": (0.001, 0.003, 0.01, 0.03, 0.1),
}
"""Five rates each, half a decade apart, about what is usual for the method."""


@dataclass
class Watched:
    """What was seen of a method, by seed."""

    rate: float
    figures: list[float] = field(default_factory=list)
    watches: list[UpdateWatch] = field(default_factory=list)
    curves: list[list[float]] = field(default_factory=list)


def watched(setting: Setting, methods: Sequence[str], steps: int, figure: Callable[[Fit], float]) -> dict[str, Watched]:
    """Return what each method does in so many steps, with the rate that has the lowest `figure`, which becomes its result."""
    found = {}
    for method in methods:
        recipe = Recipe(make=partial(_network, setting), steps=steps, optimizer=method)
        seen = Watched(recipe.rate(setting, RATES[method], by=figure))
        for seed in range(setting.seeds):
            watch = UpdateWatch()
            _, fitted = recipe.train(setting, seen.rate, seed, observe=watch.observe)
            seen.figures.append(figure(fitted))
            seen.watches.append(watch)
            seen.curves.append(fitted.losses)
        found[method] = seen
    return found


def _network(setting: Setting, seed: int) -> nn.Module:
    return mlp(setting, seed=seed, depth=1, width=16)  # so small that no method fits all images at once


def described(found: dict[str, Watched], steps: int, chosen: str) -> str:
    """Say what was done; `chosen` says how the rates were."""
    rates = ", ".join(f"{seen.rate:g} for {method}" for method, seen in found.items())
    return f"One hidden layer of 16 ReLU units, batch 64, {steps} steps; {chosen}: {rates}."


def drawn(found: dict[str, Watched]) -> Lines:
    """Draw the training losses."""
    return Lines(
        x="step",
        y="training loss (nats)",
        lines={
            method: band([_smoothed(run)[1] for run in seen.curves], _smoothed(seen.curves[0])[0])
            for method, seen in found.items()
        },
        log_y=True,
    )


def _smoothed(losses: Sequence[float], points: int = 60) -> tuple[list[float], list[float]]:
    """Return steps, and the mean loss of the stretch up to each."""
    width = max(1, len(losses) // points)
    ends = range(width, len(losses) + 1, width)
    return [float(end) for end in ends], [sum(losses[end - width : end]) / width for end in ends]
