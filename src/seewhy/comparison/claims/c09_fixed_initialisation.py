"""C09: a small fixed initialisation collapses a deep network, a large one saturates it."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn

from seewhy.comparison.claims.base import Claim, Criterion, Measured, differences
from seewhy.comparison.claims.fitting import Recipe, accuracy, mlp
from seewhy.comparison.claims.layers import DEPTH, WIDTH, by_layer, hidden_statistics
from seewhy.comparison.claims.setting import Setting

SMALL, LARGE, XAVIER = "standard deviation 0.01", "standard deviation 1", "Xavier"
STARTS: dict[str, dict[str, Any]] = {
    SMALL: {"init": "normal", "std": 0.01},
    LARGE: {"init": "normal", "std": 1.0},
    XAVIER: {"init": "xavier"},
}
RATES = (0.001, 0.01, 0.1, 1.0)
TRAINED_WIDTH = 128


def measure(setting: Setting) -> Measured:
    """Measure outputs by layer at the start, and what training makes of them."""
    steps = setting.amount(300, 10)
    spread: dict[str, list[list[float]]] = {name: [] for name in STARTS}
    last: dict[str, list[float]] = {name: [] for name in STARTS}
    saturated: dict[str, list[float]] = {name: [] for name in STARTS}
    results: dict[str, list[float]] = {name: [] for name in STARTS}
    chosen = {}
    for name, options in STARTS.items():
        for seed in range(setting.seeds):
            rows = hidden_statistics(_network(setting, options, WIDTH, seed), setting)
            spread[name].append([row.std for row in rows])
            last[name].append(rows[-1].std / rows[0].std)
            saturated[name].append(sum(row.saturated or 0.0 for row in rows) / len(rows))
        recipe = Recipe(make=partial(_network, setting, options, TRAINED_WIDTH), steps=steps)
        chosen[name] = recipe.rate(setting, RATES)
        for seed in range(setting.seeds):
            results[name].append(accuracy(recipe.train(setting, chosen[name], seed)[0], setting.test))
    return Measured(
        criteria=(
            Criterion(
                text="with small weights the signal collapses to less than a hundredth",
                measure=f"standard deviation of the outputs, layer {DEPTH} / layer 1, small weights",
                values=tuple(last[SMALL]),
                high=0.01,
                kind="ratio",
            ),
            Criterion(
                text="with large weights most units are saturated",
                measure="share of saturated activations at the start, large weights",
                values=tuple(saturated[LARGE]),
                low=0.5,
            ),
            Criterion(
                text="small weights train worse than Xavier's",
                measure="test accuracy, small minus Xavier",
                values=differences(results, SMALL, XAVIER),
                high=0.0,
            ),
            Criterion(
                text="large weights train worse than Xavier's",
                measure="test accuracy, large minus Xavier",
                values=differences(results, LARGE, XAVIER),
                high=0.0,
            ),
        ),
        experiment=f"{DEPTH} hidden layers of tanh, {WIDTH} units at the start, {TRAINED_WIDTH} where trained; {steps} steps of "
        "momentum, batch 64; "
        f"rates chosen on the validation images: {', '.join(f'{rate:g} for {name}' for name, rate in chosen.items())}.",
        figure=by_layer("standard deviation of the outputs by layer", spread),
        remarks=(("saturated with Xavier", f"{sum(saturated[XAVIER]) / len(saturated[XAVIER]):.1%}"),),
    )


def _network(setting: Setting, options: dict[str, Any], width: int, seed: int) -> nn.Module:
    return mlp(setting, seed=seed, activation="tanh", depth=DEPTH, width=width, **options)


CLAIM = Claim(
    code="C09",
    title="A fixed initialisation fails with depth",
    sentence="A small fixed initialisation collapses a deep network, and a large one saturates it.",
    source="The notes, after CS231n: ten tanh layers of 500 units with a standard deviation of 0.01 end in zeros, with 1 at -1 "
    "and 1, and neither "
    "learns. Glorot & Bengio 2010 give the reason, and the rule between the two.",
    measure=measure,
)
