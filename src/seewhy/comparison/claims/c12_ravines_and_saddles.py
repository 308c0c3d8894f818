"""C12: SGD crawls along ravines and at saddles; momentum does not."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from seewhy.comparison.claims.base import Claim, Criterion, Measured, paired
from seewhy.comparison.claims.fitting import TUNING, Fit, best_rate, dense, fit
from seewhy.comparison.claims.layers import band
from seewhy.comparison.claims.setting import Setting
from seewhy.core.seeding import rng
from seewhy.reporting.claim_records import Lines

RATES = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
IMAGES = 512
"""A sample of the training images, another for every seed."""

METHODS = {"gradient descent": "sgd", "momentum 0.9": "momentum"}
ESCAPED = 0.9
"""A saddle is left where the loss is below this share of that of guessing."""

START = 0.002
"""Standard deviation of the weights beside the saddle at 0."""

CRAWLS = 2.0
"""Times the steps of momentum."""


def measure(setting: Setting) -> Measured:
    """Measure steps to a loss on a ravine and at a saddle, both with all images at every step."""
    steps = setting.amount(400, 30)
    ravine, saddle = partial(_ravine, setting), partial(_saddle, setting)
    valley, rates = _descend(setting, ravine, setting.train.pixels, steps)
    plateau, saddle_rates = _descend(setting, saddle, setting.train.x, setting.amount(600, 30))
    sooner = []
    for slow, quick in zip(valley["gradient descent"], valley["momentum 0.9"], strict=True):
        target = slow.losses[-1]
        sooner.append(len(slow.losses) / _reached(quick, target))
    guessing = ESCAPED * math.log(setting.classes)
    escapes = {name: [float(_reached(run, guessing)) for run in runs] for name, runs in plateau.items()}
    stride = max(1, len(plateau["gradient descent"][0].losses) // 80)
    return Measured(
        criteria=(
            Criterion(
                text="along a ravine gradient descent needs at least twice the steps of momentum",
                measure="steps of gradient descent / steps of momentum to the same loss",
                values=tuple(sooner),
                low=CRAWLS,
                kind="ratio",
            ),
            Criterion(
                text="to leave a saddle it needs at least twice the steps",
                measure="steps until the loss is a tenth below that of guessing, gradient descent / momentum",
                values=paired(escapes, "gradient descent", "momentum 0.9"),
                low=CRAWLS,
                kind="ratio",
            ),
        ),
        experiment=f"{IMAGES} training images, all at every step. Ravine: softmax regression on pixels from 0 to 1, whose common "
        "mean makes "
        "one direction far steeper "
        f"than the others; the loss is what gradient descent reaches in {steps} steps. Saddle: 3 tanh layers that start at a "
        f"standard deviation of {START:g}, "
        f"beside the saddle at 0. The rate with the lowest loss in the end: {rates} on the ravine, {saddle_rates} at the saddle.",
        figure=Lines(
            x="step",
            y="training loss at the saddle (nats)",
            lines={
                name: band([run.losses[::stride] for run in runs], range(0, len(runs[0].losses), stride))
                for name, runs in plateau.items()
            },
        ),
    )


def _ravine(setting: Setting, seed: int) -> nn.Module:
    return dense([setting.features, setting.classes], seed=seed, init="normal", std=0.01)


def _saddle(setting: Setting, seed: int) -> nn.Module:
    return dense([setting.features, 32, 32, setting.classes], seed=seed, activation="tanh", init="normal", std=START)


def _descend(
    setting: Setting, make: Callable[[int], nn.Module], x: Tensor, steps: int
) -> tuple[dict[str, list[Fit]], str]:
    """Return each method's fits, with its best rate; and the rates in words."""
    found, words = {}, []
    for name, optimizer in METHODS.items():

        def run(lr: float, seed: int, optimizer: str = optimizer) -> Fit:
            rows = torch.randperm(len(x), generator=rng(seed, "claims", "images"))[:IMAGES]
            return fit(
                make(seed),
                x[rows],
                setting.train.y[rows],
                steps=steps,
                lr=lr,
                seed=seed,
                optimizer=optimizer,
                batch=None,
            )

        rate = best_rate(RATES, lambda lr, seed, run=run: run(lr, seed).last(0.02))  # type: ignore[misc]
        assert not run(rate, TUNING).diverged
        found[name] = [run(rate, seed) for seed in range(setting.seeds)]
        words.append(f"{rate:g} for {name}")
    return found, ", ".join(words)


def _reached(fitted: Fit, target: float) -> int:
    """Return the number of steps after which the loss is at most `target`; all of them where it never is."""
    return next((step for step, loss in enumerate(fitted.losses, start=1) if loss <= target), len(fitted.losses))


CLAIM = Claim(
    code="C12",
    title="SGD crawls along ravines and at saddles",
    sentence="SGD crawls along ravines and at saddles; momentum does not.",
    source="Polyak 1964: on a quadratic of condition number k, heavy-ball momentum needs about sqrt(k) steps where gradient "
    "descent needs k. "
    "Sutskever et al. 2013 find momentum decisive in deep networks; Dauphin et al. 2014 hold saddles for the hard places of "
    "high-dimensional losses.",
    measure=measure,
)
