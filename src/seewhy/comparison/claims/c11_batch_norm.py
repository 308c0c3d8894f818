"""C11: batch norm tolerates larger steps and worse initialisation and converges in fewer steps; as the identity it changes no function."""

from __future__ import annotations

import copy
from functools import partial

import torch
from torch import nn

from seewhy.comparison.claims.base import Claim, Criterion, Measured, differences, paired
from seewhy.comparison.claims.fitting import Recipe, accuracy, mlp, told_missed
from seewhy.comparison.claims.layers import band
from seewhy.comparison.claims.setting import Setting
from seewhy.nn import insert_batch_norm
from seewhy.reporting.claim_records import Lines

RATES = tuple(10 ** (k / 2) for k in range(-6, 5))
"""From 0.001 to 100."""

NORMS = {"batch norm": "batch", "without": "none"}
GOOD = 0.9
"""A rate is tolerated where the training accuracy reaches this."""

TARGET = 0.1
"""Running mean of the loss over about 20 steps, in nats, at which training has converged."""

SCALES = (0.1, 0.3, 3.0, 10.0)
"""Times He's standard deviation."""

DEPTH = 4


def measure(setting: Setting) -> Measured:
    """Train over a grid of rates and of initial scales with and without batch norm; insert it into a trained network."""
    steps = setting.steps(300, 20, epochs=8)
    accuracies: dict[str, list[list[float]]] = {name: [] for name in NORMS}
    largest: dict[str, list[float]] = {name: [] for name in NORMS}
    needed: dict[str, list[float]] = {name: [] for name in NORMS}
    bad: dict[str, list[float]] = {}
    rates = RATES if not setting.quick else RATES[::3]
    chosen = {}
    for name, norm in NORMS.items():
        recipe = Recipe(make=partial(_network, setting, norm, 1.0), steps=steps, optimizer="sgd")
        chosen[name] = recipe.rate(setting, rates, by=lambda fitted: fitted.lateness(TARGET, steps))
        for seed in range(setting.seeds):
            by_rate, steps_by_rate = _by_rate(setting, recipe, rates, seed)
            needed[name].append(steps_by_rate[rates.index(chosen[name])])
            accuracies[name].append(by_rate)
            largest[name].append(
                max((lr for lr, value in zip(rates, by_rate, strict=True) if value >= GOOD), default=rates[0])
            )
        bad[name] = _badly_started(setting, norm, steps)
    return Measured(
        criteria=(
            Criterion(
                text="batch norm tolerates larger steps",
                measure=f"largest rate with {GOOD:.0%} training accuracy, with / without",
                values=paired(largest, "batch norm", "without"),
                low=1.0,
                kind="ratio",
            ),
            Criterion(
                text="it tolerates a worse initialisation",
                measure="test accuracy, mean over bad scales of the weights, with minus without",
                values=differences(bad, "batch norm", "without"),
                low=0.0,
            ),
            Criterion(
                text=f"it converges to a loss of {TARGET:g} in fewer steps",
                measure="steps, with / without",
                values=paired(needed, "batch norm", "without"),
                high=1.0,
                kind="ratio",
            ),
            Criterion(
                text="put into a trained network as the identity, it does not change the function",
                measure="largest change of a logit on test images / largest logit",
                values=tuple(_inserted(setting, seed, steps) for seed in range(setting.seeds)),
                high=1e-4,
                kind="exact",
            ),
        ),
        experiment=f"{DEPTH} hidden layers of 64 ReLU units, He, plain SGD, batch 64, {steps} steps, rates from {rates[0]:g} to "
        f"{rates[-1]:g}; the rate that "
        f"converges soonest: {chosen['batch norm']:.3g} with, {chosen['without']:.3g} without{told_missed(needed, steps)}. Bad scales: "
        f"{', '.join(f'{scale:g}' for scale in SCALES)} "
        "times He's standard deviation, each with its own best rate on the validation images.",
        figure=Lines(
            x="learning rate",
            y="training accuracy",
            lines={name: band(runs, rates) for name, runs in accuracies.items()},
            log_x=True,
        ),
    )


def _network(setting: Setting, norm: str, scale: float, seed: int) -> nn.Module:
    net = mlp(setting, seed=seed, depth=DEPTH, norm=norm)
    with torch.no_grad():
        for module in net.get_submodule("layers").modules():
            if isinstance(module, nn.Linear):
                module.weight.mul_(scale)
    return net


def _by_rate(setting: Setting, recipe: Recipe, rates: tuple[float, ...], seed: int) -> tuple[list[float], list[float]]:
    """Return the training accuracy that each rate reaches, and the steps that it needs to the target."""
    accuracies, steps = [], []
    for lr in rates:
        net, fitted = recipe.train(setting, lr, seed)
        accuracies.append(1.0 / setting.classes if fitted.diverged else accuracy(net, setting.train))
        steps.append(float(fitted.steps_to(TARGET, recipe.steps)))
    return accuracies, steps


def _badly_started(setting: Setting, norm: str, steps: int) -> list[float]:
    """Return the test accuracy, on average over bad scales of the initial weights, by seed; each scale with its own best rate."""
    totals = [0.0] * setting.seeds
    for scale in SCALES:
        recipe = Recipe(make=partial(_network, setting, norm, scale), steps=steps, optimizer="sgd")
        rate = recipe.rate(setting, RATES[::2])
        for seed in range(setting.seeds):
            net, fitted = recipe.train(setting, rate, seed)
            totals[seed] += 1.0 / setting.classes if fitted.diverged else accuracy(net, setting.test)
    return [total / len(SCALES) for total in totals]


@torch.no_grad()
def _inserted(setting: Setting, seed: int, steps: int) -> float:
    """Return by how much the logits of a trained network change where batch norm is put into it."""
    recipe = Recipe(make=partial(_network, setting, "none", 1.0), steps=steps)
    with torch.enable_grad():
        net, _ = recipe.train(setting, 0.01, seed)
    normed = copy.deepcopy(net)
    insert_batch_norm(normed, [setting.train.x[:512]])
    logits, changed = net.eval()(setting.test.x), normed.eval()(setting.test.x)
    return float((changed - logits).abs().max() / logits.abs().max())


CLAIM = Claim(
    code="C11",
    title="Batch norm: larger steps, worse starts, fewer steps",
    sentence="Batch normalisation tolerates larger steps and worse initialisation and converges in fewer steps; "
    "started as the identity it does not change the function.",
    source="Ioffe & Szegedy 2015 (1502.03167): with batch normalisation and five times the rate, Inception reaches its accuracy "
    "in 14 times fewer steps, "
    "and with sigmoid it trains at all. gamma and beta can represent the identity, section 3; the notes start them so.",
    measure=measure,
)
