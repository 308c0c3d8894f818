"""C08: maxout learns a convex piecewise-linear activation, and can become ReLU."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seewhy.comparison.claims.base import Claim, Criterion, Measured
from seewhy.comparison.claims.fitting import Recipe, fit, mlp
from seewhy.comparison.claims.layers import band
from seewhy.comparison.claims.setting import Setting
from seewhy.core.seeding import rng
from seewhy.models import seeded_weights
from seewhy.nn import Maxout, MaxoutLinear
from seewhy.reporting.claim_records import Lines

TARGETS = {"ReLU": (torch.relu, 2), "absolute value": (torch.abs, 2), "square": (torch.square, 4)}
RATES = (0.003, 0.01, 0.03, 0.1)
UNITS = 64


def measure(setting: Setting) -> Measured:
    """Set a maxout to ReLU, fit it to functions of projected images, and look at the units of a trained network."""
    steps = setting.amount(800, 60)
    apart: list[float] = []
    unexplained: dict[str, list[float]] = {name: [] for name in TARGETS}
    learned: list[Tensor] = []
    for seed in range(setting.seeds):
        apart.append(_as_relu(setting, seed))
        for name in TARGETS:
            missing, curve = _fitted(setting, name, seed, steps)
            unexplained[name].append(missing)
            if seed == 0:
                learned.append(curve)
    convexity, used, rate = _trained(setting)
    most = {"ReLU": 0.01, "absolute value": 0.01, "square": 0.05}
    return Measured(
        criteria=(
            Criterion(
                text="with its second piece at 0, a maxout layer is a ReLU layer",
                measure="largest difference of their outputs on test images",
                values=tuple(apart),
                high=1e-6,
                kind="exact",
            ),
            Criterion(
                text="what a trained unit computes is convex",
                measure="largest violation of f((a + b) / 2) <= (f(a) + f(b)) / 2 over pairs of test images, relative to the outputs' size",
                values=tuple(convexity),
                high=1e-5,
                kind="exact",
            ),
            *(
                Criterion(
                    text=f"{pieces} pieces learn the {'function ' if name == 'ReLU' else ''}{name} to {most[name]:.0%} of its variance",
                    measure=f"variance unexplained on test images, {name}",
                    values=tuple(unexplained[name]),
                    high=most[name],
                )
                for name, (_, pieces) in TARGETS.items()
            ),
            Criterion(
                text="training leaves most units with both pieces in use",
                measure="share of units each of whose two pieces wins at 5% of the test images or more",
                values=tuple(used),
                low=0.5,
            ),
        ),
        experiment=f"Functions of one variable: random projections of the images, {steps} steps of Adam at 0.02. Network: 2 hidden "
        f"layers of {UNITS} maxout "
        f"units with 2 pieces, {_steps(setting)} steps of momentum at {rate:g}, chosen on the validation images.",
        figure=Lines(
            x="projection of an image",
            y="learned activation",
            lines={
                name: band([curve[:, 1].tolist()], curve[:, 0].tolist())
                for name, curve in zip(TARGETS, learned, strict=True)
            },
        ),
    )


def _as_relu(setting: Setting, seed: int) -> float:
    with seeded_weights(rng(seed, "claims", "C08")):
        layer = MaxoutLinear(setting.features, UNITS)
        plain = nn.Linear(setting.features, UNITS)
    x = setting.test.x.flatten(1)
    with torch.no_grad():
        layer.weight[:UNITS], layer.weight[UNITS:] = plain.weight, 0.0
        assert layer.bias is not None
        layer.bias[:UNITS], layer.bias[UNITS:] = plain.bias, 0.0
        return float((layer(x) - F.relu(plain(x))).abs().max())


def _projected(setting: Setting, x: Tensor, seed: int) -> Tensor:
    """Return one number an image, of mean 0 and standard deviation 1 on the training images."""
    direction = torch.randn(setting.features, generator=rng(seed, "claims", "projection"))
    train = setting.train.x.flatten(1) @ direction
    return ((x.flatten(1) @ direction - train.mean()) / train.std())[:, None]


def _fitted(setting: Setting, name: str, seed: int, steps: int) -> tuple[float, Tensor]:
    """Return the share of a function's variance that a fitted maxout does not explain, and what it has learned, (101, 2)."""
    function, pieces = TARGETS[name]
    with seeded_weights(rng(seed, "claims", "C08", name)):
        layer = MaxoutLinear(1, 1, pieces)
    x, test = _projected(setting, setting.train.x, seed), _projected(setting, setting.test.x, seed)
    fit(layer, x, function(x), steps=steps, lr=0.02, seed=seed, optimizer="adam", loss=F.mse_loss)
    with torch.no_grad():
        missing = float(F.mse_loss(layer(test), function(test)) / function(test).var())
        grid = torch.linspace(-3, 3, 101)[:, None]
        return missing, torch.cat([grid, layer(grid)], 1)


def _steps(setting: Setting) -> int:
    return setting.amount(400, 20)


def _trained(setting: Setting) -> tuple[list[float], list[float], float]:
    """Return, of a network with maxout units, the violation of convexity and the share of units in use; and the rate."""
    recipe = Recipe(make=lambda seed: mlp(setting, seed=seed, activation="maxout", width=UNITS), steps=_steps(setting))
    rate = recipe.rate(setting, RATES)
    convexity, used = [], []
    for seed in range(setting.seeds):
        net, _ = recipe.train(setting, rate, seed)
        layers = list(net.get_submodule("layers").children())
        linear = next(layer for layer in layers if isinstance(layer, nn.Linear))
        act = next(layer for layer in layers if isinstance(layer, Maxout))
        x = setting.test.x.flatten(1)
        with torch.no_grad():
            y = x.roll(1, 0)
            outputs = act(linear(x))
            bend = act(linear((x + y) / 2)) - (outputs + outputs.roll(1, 0)) / 2
            convexity.append(float(bend.max() / outputs.abs().mean()))
            winner = linear(x).unflatten(1, (2, UNITS)).argmax(1).float().mean(0)
        used.append(float(((winner >= 0.05) & (winner <= 0.95)).float().mean()))
    return convexity, used, rate


CLAIM = Claim(
    code="C08",
    title="Maxout learns its own activation",
    sentence="A maxout unit learns a convex, piecewise-linear activation, and can become a ReLU.",
    source="Goodfellow et al. 2013 (1302.4389), figure 1: with k pieces a maxout unit can be ReLU, the absolute value, or "
    "approximate any convex "
    "function; two units' difference approximates any continuous one.",
    measure=measure,
)
