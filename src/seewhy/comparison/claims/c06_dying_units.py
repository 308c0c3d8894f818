"""C06: ReLU units die (large steps, bad biases); leaky ReLU, PReLU and ELU do not."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from seewhy.comparison.claims.base import Claim, Criterion, Measured
from seewhy.comparison.claims.fitting import Recipe, mlp
from seewhy.comparison.claims.layers import hidden_statistics
from seewhy.comparison.claims.setting import Setting
from seewhy.reporting.claim_records import Dots

UNITS = {"ReLU": "relu", "leaky ReLU": "leaky_relu", "PReLU": "prelu", "ELU": "elu"}
LARGE, MODERATE = 0.3, 0.03
BAD_BIAS = -3.0
CONDITIONS = {"a large step": (LARGE, 0.0), "bad biases": (MODERATE, BAD_BIAS)}
DEATHS = 0.05
"""Units die where more than this share is dead, and do not where less is."""


def measure(setting: Setting) -> Measured:
    """Measure the share of dead units after training."""
    steps = setting.amount(300, 15)
    dead: dict[str, list[float]] = {}
    for stress, (lr, bias) in {**CONDITIONS, "a moderate step": (MODERATE, 0.0)}.items():
        for unit, name in UNITS.items():
            recipe = Recipe(make=partial(_network, setting, name, bias), steps=steps)
            dead[f"{unit}, {stress}"] = [_dead(recipe, setting, lr, seed) for seed in range(setting.seeds)]
    criteria = []
    for stress in CONDITIONS:
        for unit in UNITS:
            dies = unit == "ReLU"
            criteria.append(
                Criterion(
                    text=f"{unit} units {'die' if dies else 'do not die'} after {stress}: {'more' if dies else 'less'} than {DEATHS:.0%}",
                    measure=f"share of dead hidden units, {unit}, {stress}",
                    values=tuple(dead[f"{unit}, {stress}"]),
                    low=DEATHS if dies else None,
                    high=None if dies else DEATHS,
                )
            )
    return Measured(
        criteria=tuple(criteria),
        experiment=f"3 hidden layers of 64 units, He, momentum 0.9, batch 64, {steps} steps; a large step is {LARGE:g}, a moderate "
        f"one {MODERATE:g}, bad biases "
        f"start at {BAD_BIAS:g}. A unit is dead where its slope is below 0.001 at every training image.",
        figure=Dots(y="share of dead hidden units", groups={name: tuple(values) for name, values in dead.items()}),
    )


def _network(setting: Setting, name: str, bias: float, seed: int) -> nn.Module:
    net = mlp(setting, seed=seed, activation=name, depth=3)
    with torch.no_grad():
        for module in net.get_submodule("layers").modules():
            if isinstance(module, nn.Linear):
                module.bias.fill_(bias)
    return net


def _dead(recipe: Recipe, setting: Setting, lr: float, seed: int) -> float:
    """Return the share of dead units in the hidden layers, of a network that may have diverged: one that has is asked as it was left."""
    net, _ = recipe.train(setting, lr, seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.nan_to_num_(0.0, 1e30, -1e30)
    rows = hidden_statistics(net, setting, len(setting.train))
    return sum(row.dead or 0.0 for row in rows) / len(rows)


CLAIM = Claim(
    code="C06",
    title="ReLU units die, others do not",
    sentence="ReLU units die after large steps or with bad biases; leaky ReLU, PReLU and ELU units do not.",
    source="The notes, after CS231n: as many as 40% of a network's ReLU units can be dead where the rate is too high. "
    "Maas et al. 2013 gave leaky ReLU its slope so that gradients never are 0, but found its accuracy no better. ELU has a slope "
    "everywhere, "
    "which however falls exponentially below 0.",
    measure=measure,
)
