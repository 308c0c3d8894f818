"""C19: L1 makes weights sparse, L2 makes them small."""

from __future__ import annotations

from functools import partial

from torch import nn

from seewhy.comparison.claims.base import Claim, Criterion, Measured, differences, paired
from seewhy.comparison.claims.fitting import accuracy, best_rate, fit, mean_loss, mlp
from seewhy.comparison.claims.setting import Setting
from seewhy.reporting.claim_records import Dots

RATE = 0.05
STRENGTHS = (3e-4, 1e-3, 3e-3, 1e-2)
"""Of both penalties; each gets the one with the lowest loss on the validation images."""


def measure(setting: Setting) -> Measured:
    """Train with L1, with L2 and with neither, and look at the weights."""
    steps = setting.amount(1200, 20)
    found: dict[str, dict[str, list[float]]] = {name: {} for name in ("zeros", "norm", "accuracy")}
    chosen = {"none": 0.0}
    for name in ("L1", "L2"):
        chosen[name] = best_rate(STRENGTHS, partial(_score, setting, steps, name))
    for name, strength in chosen.items():
        for seed in range(setting.seeds):
            for what, value in _figures(_trained(setting, name, strength, seed, steps), setting).items():
                found[what].setdefault(name, []).append(value)
    return Measured(
        criteria=(
            Criterion(
                text="with L1 at least half of the weights are exactly 0",
                measure="share of weights that are 0, with L1",
                values=tuple(found["zeros"]["L1"]),
                low=0.5,
            ),
            Criterion(
                text="they are not needed: accuracy stays within a point",
                measure="test accuracy with L1, minus without a penalty",
                values=differences(found["accuracy"], "L1", "none"),
                low=-0.01,
            ),
            Criterion(
                text="with L2 none is",
                measure="share of weights that are 0, with L2",
                values=tuple(found["zeros"]["L2"]),
                high=0.001,
                kind="exact",
            ),
            Criterion(
                text="L2 makes them smaller",
                measure="Euclidean norm of all weights, with L2 / without a penalty",
                values=paired(found["norm"], "L2", "none"),
                high=0.95,
                kind="ratio",
            ),
        ),
        experiment=f"Two hidden layers of 64 ReLU units, {steps} steps of momentum, batch 64, rate {RATE:g}; "
        "L1 by its proximal step, L2 in the loss; "
        f"strengths chosen on the validation images: L1 {chosen['L1']:g}, L2 {chosen['L2']:g}.",
        figure=Dots(
            y="share of weights that are exactly 0",
            groups={name: tuple(values) for name, values in found["zeros"].items()},
        ),
        remarks=tuple(
            (f"norm of the weights, {name}", f"{sum(values) / len(values):.3g}")
            for name, values in found["norm"].items()
        ),
    )


def _figures(net: nn.Module, setting: Setting) -> dict[str, float]:
    """Return what share of a network's weights is 0, their norm, and the test accuracy."""
    from seewhy.metrics import weight_sparsity
    from seewhy.nn import penalised_weights

    weights = penalised_weights(net)
    norm = sum(float(weight.detach().square().sum()) for weight in weights.values()) ** 0.5
    return {"zeros": weight_sparsity([weights])["sparsity"], "norm": norm, "accuracy": accuracy(net, setting.test)}


def _score(setting: Setting, steps: int, name: str, strength: float, seed: int) -> float:
    return mean_loss(_trained(setting, name, strength, seed, steps), setting.val.x, setting.val.y)


def _trained(setting: Setting, name: str, strength: float, seed: int, steps: int) -> nn.Module:
    from seewhy.nn import penalised_weights
    from seewhy.optim.penalties import soft_threshold_

    net = mlp(setting, seed=seed)
    weights = list(penalised_weights(net).values())

    def threshold(step: int) -> None:
        if step:  # what is observed before a step is the end of the one before
            soft_threshold_(weights, [RATE * strength] * len(weights))

    fit(
        net, setting.train.x, setting.train.y, steps=steps, lr=RATE, seed=seed,
        observe=threshold if name == "L1" else None, weight_decay=strength if name == "L2" else 0.0,
    )  # fmt: skip
    return net


CLAIM = Claim(
    code="C19",
    title="L1 makes weights sparse, L2 makes them small",
    sentence="L1 makes weights sparse, L2 makes them small.",
    source="Tibshirani 1996: the absolute values in the penalty set some weights to exactly 0, which squares do not. "
    "Daubechies et al. 2004: the proximal step does so along the way; a plain subgradient leaves small numbers. "
    "Krogh & Hertz 1991: decay by L2 suppresses what is irrelevant in the weights.",
    measure=measure,
)
