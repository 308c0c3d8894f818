"""C07: ELU holds up better under input noise."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from seewhy.comparison.claims.base import Claim, Criterion, Measured, differences
from seewhy.comparison.claims.fitting import Recipe, accuracy, mlp
from seewhy.comparison.claims.layers import band
from seewhy.comparison.claims.setting import Setting
from seewhy.core.seeding import rng
from seewhy.reporting.claim_records import Lines

RATES = (0.003, 0.01, 0.03, 0.1)
UNITS = {"ELU": "elu", "ReLU": "relu", "leaky ReLU": "leaky_relu"}
NOISE = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)
"""Standard deviations of Gaussian noise, in units of the pixels' own."""


def measure(setting: Setting) -> Measured:
    """Measure test accuracy under noise of networks that were trained without."""
    steps = setting.amount(600, 20)
    curves: dict[str, list[list[float]]] = {unit: [] for unit in UNITS}
    chosen = {}
    for unit, name in UNITS.items():
        recipe = Recipe(make=partial(_network, setting, name), steps=steps)
        chosen[unit] = recipe.rate(setting, RATES)
        for seed in range(setting.seeds):
            net, _ = recipe.train(setting, chosen[unit], seed)
            curves[unit].append([_noisy(net, setting, level, seed) for level in NOISE])
    noisy = {unit: [sum(run[1:]) / len(run[1:]) for run in runs] for unit, runs in curves.items()}
    lost = {unit: [run[0] - sum(run[1:]) / len(run[1:]) for run in runs] for unit, runs in curves.items()}
    others = [unit for unit in UNITS if unit != "ELU"]
    return Measured(
        criteria=(
            *(
                Criterion(
                    text=f"ELU loses less test accuracy to noise than {unit}",
                    measure=f"accuracy lost, mean over the noise levels, ELU minus {unit}",
                    values=differences(lost, "ELU", unit),
                    high=0.0,
                )
                for unit in others
            ),
            *(
                Criterion(
                    text=f"ELU is more accurate under noise than {unit}",
                    measure=f"test accuracy, mean over the noise levels, ELU minus {unit}",
                    values=differences(noisy, "ELU", unit),
                    low=0.0,
                )
                for unit in others
            ),
        ),
        experiment=f"3 hidden layers of 64 units, He, momentum, batch 64, {steps} steps without noise; rates chosen on the "
        "validation images: "
        + ", ".join(f"{rate:g} for {unit}" for unit, rate in chosen.items())
        + f". Gaussian noise of {', '.join(f'{level:g}' for level in NOISE[1:])} times the pixels' standard deviation on the test images.",
        figure=Lines(
            x="noise / standard deviation of the pixels",
            y="test accuracy",
            lines={unit: band(runs, NOISE) for unit, runs in curves.items()},
        ),
    )


def _network(setting: Setting, name: str, seed: int) -> nn.Module:
    return mlp(setting, seed=seed, activation=name, depth=3)


def _noisy(net: nn.Module, setting: Setting, level: float, seed: int) -> float:
    """Return the accuracy on noisy test images; the noise of a seed is the same for every unit."""
    x = setting.test.x
    return accuracy(net, setting.test, x + level * torch.randn(x.shape, generator=rng(seed, "claims", "noise")))


CLAIM = Claim(
    code="C07",
    title="ELU holds up better under noise",
    sentence="ELU holds up better than ReLU and its relatives when the inputs are noisy.",
    source="Clevert et al. 2016 (1511.07289) argue that a unit which saturates below 0 is robust there: its output hardly varies "
    "however negative its "
    "input. They measure no noise on images; the notes state it as a fact.",
    measure=measure,
)
