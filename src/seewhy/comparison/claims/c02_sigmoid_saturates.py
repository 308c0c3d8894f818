"""C02: sigmoid saturates, and gradients vanish with depth."""

from __future__ import annotations

from seewhy.comparison.claims.base import Claim, Criterion, Measured, differences
from seewhy.comparison.claims.fitting import accuracy, best_rate, fit, mean_loss, mlp
from seewhy.comparison.claims.layers import DEPTH, WIDTH, by_layer, factor_per_layer, hidden_statistics
from seewhy.comparison.claims.setting import Setting

RATES = (0.01, 0.03, 0.1, 0.3, 1.0)
DEEP, SHALLOW = 6, 1


def measure(setting: Setting) -> Measured:
    """Measure gradients by layer at the start, saturation by training, and what depth does to training."""
    seeds, steps = range(setting.seeds), setting.amount(600, 20)
    gradients: dict[str, list[list[float]]] = {"sigmoid": [], "relu": []}
    for name, init in (("sigmoid", "xavier"), ("relu", "he")):
        for seed in seeds:
            net = mlp(setting, seed=seed, activation=name, init=init, depth=DEPTH, width=WIDTH)
            gradients[name].append([row.gradient_std for row in hidden_statistics(net, setting)])
    factors = {name: [factor_per_layer(run[::-1]) for run in runs] for name, runs in gradients.items()}
    trained, rates = _trained(setting, steps)
    return Measured(
        criteria=(
            Criterion(
                text="training drives sigmoid units into saturation",
                measure="share of saturated activations after training, minus at the start",
                values=differences(trained, "saturated", "saturated at the start"),
                low=0.05,
            ),
            Criterion(
                text="the gradient halves at least in each sigmoid layer on its way back",
                measure="root mean square gradient, a layer / the layer behind it, sigmoid",
                values=tuple(factors["sigmoid"]),
                high=0.5,
                kind="ratio",
            ),
            Criterion(
                text=f"{DEEP} sigmoid layers are trained less well than {SHALLOW}",
                measure=f"test accuracy of {DEEP} layers minus {SHALLOW}, sigmoid",
                values=differences(trained, "deep", "shallow"),
                high=0.0,
            ),
        ),
        experiment=f"At the start: {DEPTH} hidden layers of {WIDTH} units, Xavier for sigmoid, He for ReLU. "
        f"Trained: {steps} steps of momentum, batch 64, width 64; rates chosen on the validation images: {rates}.",
        figure=by_layer("root mean square gradient by layer", gradients),
        remarks=(("ReLU's factor per layer", f"{sum(factors['relu']) / len(factors['relu']):.3g}"),),
    )


def _trained(setting: Setting, steps: int) -> tuple[dict[str, list[float]], str]:
    """Return accuracies of a deep and a shallow network, and the saturation of the shallow one, by seed."""
    found: dict[str, list[float]] = {"deep": [], "shallow": [], "saturated": [], "saturated at the start": []}
    chosen = []
    for name, depth in (("deep", DEEP), ("shallow", SHALLOW)):

        def score(lr: float, seed: int, depth: int = depth) -> float:
            net = mlp(setting, seed=seed, activation="sigmoid", init="xavier", depth=depth)
            fit(net, setting.train.x, setting.train.y, steps=steps, lr=lr, seed=seed)
            return mean_loss(net, setting.val.x, setting.val.y)

        rate = best_rate(RATES, score)
        chosen.append(f"{rate:g} for {depth} hidden {'layer' if depth == 1 else 'layers'}")
        for seed in range(setting.seeds):
            net = mlp(setting, seed=seed, activation="sigmoid", init="xavier", depth=depth)
            start = hidden_statistics(net, setting)
            fit(net, setting.train.x, setting.train.y, steps=steps, lr=rate, seed=seed)
            found[name].append(accuracy(net, setting.test))
            if depth == SHALLOW:
                end = hidden_statistics(net, setting)
                found["saturated at the start"].append(start[0].saturated or 0.0)
                found["saturated"].append(end[0].saturated or 0.0)
    return found, ", ".join(chosen)


CLAIM = Claim(
    code="C02",
    title="Sigmoid saturates, and gradients vanish with depth",
    sentence="A sigmoid unit saturates, and through a stack of them gradients vanish.",
    source="Hochreiter 1991 and Bengio, Simard & Frasconi 1994: the gradient through a chain of saturating units shrinks exponentially. "
    "Glorot & Bengio 2010 see sigmoid networks of four layers saturate and stop for a long time. The sigmoid's slope is at most 1/4.",
    measure=measure,
)
