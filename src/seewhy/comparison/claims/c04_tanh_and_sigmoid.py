"""C04: tanh, zero-centred, beats sigmoid and still vanishes."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from torch import nn

from seewhy.comparison.claims.base import Claim, Criterion, Measured, differences, paired
from seewhy.comparison.claims.fitting import Recipe, accuracy, mlp
from seewhy.comparison.claims.layers import DEPTH, VANISHED, WIDTH, arriving, by_layer, hidden_statistics
from seewhy.comparison.claims.setting import Setting
from seewhy.nn import LayerStatistics

RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
NAMES = ("tanh", "sigmoid")
TRAINED_DEPTH = 4
OLD = "tanh, Var w = 1 / (3 fan_in)"


def measure(setting: Setting) -> Measured:
    """Measure means and gradients by layer at the start, and training."""
    starts = {name: _at_start(setting, activation=name, init="xavier") for name in NAMES}
    starts[OLD] = _at_start(setting, activation="tanh", init="normal", std=1.0 / math.sqrt(3 * WIDTH))
    gradients = {name: [[row.gradient_std for row in rows] for rows in seeds] for name, seeds in starts.items()}
    left = {name: [arriving(rows) for rows in seeds] for name, seeds in starts.items()}
    offset = {name: [_offset(rows) for rows in seeds] for name, seeds in starts.items()}
    steps = setting.amount(600, 20)
    results: dict[str, list[float]] = {name: [] for name in NAMES}
    losses: dict[str, list[float]] = {name: [] for name in NAMES}
    chosen = {}
    for name in NAMES:
        recipe = Recipe(make=partial(_network, setting, name), steps=steps)
        chosen[name] = recipe.rate(setting, RATES)
        for seed in range(setting.seeds):
            net, fitted = recipe.train(setting, chosen[name], seed)
            losses[name].append(fitted.last())
            results[name].append(accuracy(net, setting.test))
    return Measured(
        criteria=(
            Criterion(
                text="tanh's outputs are centred, compared with sigmoid's",
                measure="|mean| / standard deviation of a layer's outputs, tanh / sigmoid",
                values=paired(offset, "tanh", "sigmoid"),
                high=0.5,
                kind="ratio",
            ),
            Criterion(
                text="tanh fits the training images better in as many steps",
                measure="training loss at the end, tanh / sigmoid",
                values=paired(losses, "tanh", "sigmoid"),
                high=1.0,
                kind="ratio",
            ),
            Criterion(
                text="tanh reaches a higher test accuracy",
                measure="test accuracy, tanh minus sigmoid",
                values=differences(results, "tanh", "sigmoid"),
                low=0.0,
            ),
            Criterion(
                text=f"through {DEPTH} tanh layers less than a tenth of the gradient arrives, with the weights usual before 2010",
                measure="root mean square gradient, first layer / last layer, tanh, Var w = 1 / (3 fan_in)",
                values=tuple(left[OLD]),
                high=VANISHED,
                kind="ratio",
            ),
            Criterion(
                text="the same with Xavier's weights",
                measure="the same, Xavier",
                values=tuple(left["tanh"]),
                high=VANISHED,
                kind="ratio",
            ),
        ),
        experiment=f"At the start: {DEPTH} hidden layers of {WIDTH} units. Trained: {TRAINED_DEPTH} hidden layers of 64 units with "
        f"Xavier, {steps} steps "
        f"of momentum, batch 64; rates chosen on the validation images: {chosen['tanh']:g} for tanh, {chosen['sigmoid']:g} for sigmoid.",
        figure=by_layer("root mean square gradient by layer", gradients),
        remarks=(("sigmoid's gradient, first layer / last", f"{sum(left['sigmoid']) / len(left['sigmoid']):.2g}"),),
    )


def _at_start(setting: Setting, **options: Any) -> list[tuple[LayerStatistics, ...]]:
    """Return the statistics of the hidden layers of untrained networks, a list a seed."""
    nets = (mlp(setting, seed=seed, depth=DEPTH, width=WIDTH, **options) for seed in range(setting.seeds))
    return [hidden_statistics(net, setting) for net in nets]


def _offset(rows: tuple[LayerStatistics, ...]) -> float:
    """Return |mean| / standard deviation of the outputs, on average over the layers."""
    return sum(abs(row.mean) / max(row.std, 1e-12) for row in rows) / len(rows)


def _network(setting: Setting, name: str, seed: int) -> nn.Module:
    return mlp(setting, seed=seed, activation=name, init="xavier", depth=TRAINED_DEPTH)


CLAIM = Claim(
    code="C04",
    title="Tanh beats sigmoid, and still vanishes",
    sentence="Tanh, which is zero-centred, beats sigmoid; its gradients vanish all the same.",
    source="LeCun et al. 1998, Efficient BackProp: symmetric functions such as tanh converge faster than the logistic one. "
    "Glorot & Bengio 2010: tanh networks do better than sigmoid ones; with the usual weights of the time their gradients shrink "
    "layer by layer, "
    "and Xavier's rule mends that.",
    measure=measure,
)
