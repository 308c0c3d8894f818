"""C02: sigmoid saturates, and gradients vanish with depth."""

from __future__ import annotations

from functools import partial

from torch import nn

from seewhy.comparison.claims.base import Claim, Criterion, Measured, differences
from seewhy.comparison.claims.fitting import Recipe, accuracy, mlp
from seewhy.comparison.claims.layers import DEPTH, VANISHED, WIDTH, arriving, by_layer, hidden_statistics
from seewhy.comparison.claims.setting import Setting

RATES = (0.01, 0.03, 0.1, 0.3, 1.0)
DEEP, SHALLOW = 6, 1


def measure(setting: Setting) -> Measured:
    """Measure gradients by layer at the start, saturation by training, and what depth does to training."""
    gradients: dict[str, list[list[float]]] = {"sigmoid": [], "ReLU": []}
    left: dict[str, list[float]] = {"sigmoid": [], "ReLU": []}
    for name, init in (("sigmoid", "xavier"), ("ReLU", "he")):
        for seed in range(setting.seeds):
            net = mlp(setting, seed=seed, activation=name.lower(), init=init, depth=DEPTH, width=WIDTH)
            rows = hidden_statistics(net, setting)
            gradients[name].append([row.gradient_std for row in rows])
            left[name].append(arriving(rows))
    steps = setting.amount(600, 20)
    found, rates = _trained(setting, steps)
    return Measured(
        criteria=(
            Criterion(
                text="training drives sigmoid units into saturation",
                measure="share of saturated activations after training, minus at the start",
                values=differences(found, "saturated", "saturated at the start"),
                low=0.05,
            ),
            Criterion(
                text=f"through {DEPTH} sigmoid layers less than a tenth of the gradient arrives",
                measure="root mean square gradient, first layer / last layer, sigmoid",
                values=tuple(left["sigmoid"]),
                high=VANISHED,
                kind="ratio",
            ),
            Criterion(
                text=f"{DEEP} sigmoid layers are trained less well than {SHALLOW}",
                measure=f"test accuracy of {DEEP} layers minus {SHALLOW}, sigmoid",
                values=differences(found, "deep", "shallow"),
                high=0.0,
            ),
        ),
        experiment=f"At the start: {DEPTH} hidden layers of {WIDTH} units, Xavier for sigmoid, He for ReLU. "
        f"Trained: {steps} steps of momentum, batch 64, width 64; rates chosen on the validation images: {rates}.",
        figure=by_layer("root mean square gradient by layer", gradients),
        remarks=(("ReLU's gradient, first layer / last", f"{sum(left['ReLU']) / len(left['ReLU']):.3g}"),),
    )


def _trained(setting: Setting, steps: int) -> tuple[dict[str, list[float]], str]:
    """Return accuracies of a deep and a shallow network, and the saturation of the shallow one, by seed; and the rates in words."""
    found: dict[str, list[float]] = {"deep": [], "shallow": [], "saturated": [], "saturated at the start": []}
    chosen = []
    for name, depth in (("deep", DEEP), ("shallow", SHALLOW)):
        make = partial(_network, setting, depth)
        recipe = Recipe(make=make, steps=steps)
        rate = recipe.rate(setting, RATES)
        chosen.append(f"{rate:g} for {depth} hidden {'layer' if depth == 1 else 'layers'}")
        for seed in range(setting.seeds):
            net, _ = recipe.train(setting, rate, seed)
            found[name].append(accuracy(net, setting.test))
            if depth == SHALLOW:
                found["saturated at the start"].append(hidden_statistics(make(seed), setting)[0].saturated or 0.0)
                found["saturated"].append(hidden_statistics(net, setting)[0].saturated or 0.0)
    return found, ", ".join(chosen)


def _network(setting: Setting, depth: int, seed: int) -> nn.Module:
    return mlp(setting, seed=seed, activation="sigmoid", init="xavier", depth=depth)


CLAIM = Claim(
    code="C02",
    title="Sigmoid saturates, and gradients vanish with depth",
    sentence="A sigmoid unit saturates, and through a stack of them gradients vanish.",
    source="Hochreiter 1991 and Bengio, Simard & Frasconi 1994: the gradient through a chain of saturating units shrinks exponentially. "
    "Glorot & Bengio 2010 see sigmoid networks of four layers saturate and stop for a long time. The sigmoid's slope is at most 1/4.",
    measure=measure,
)
