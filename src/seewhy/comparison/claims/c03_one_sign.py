"""C03: inputs of one sign force all weight gradients of a unit to share a sign; the path zig-zags; zero-mean data mends it."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seewhy.comparison.claims.base import Claim, Criterion, Measured, differences, paired
from seewhy.comparison.claims.fitting import Fit, best_rate, dense, fit
from seewhy.comparison.claims.layers import band
from seewhy.comparison.claims.setting import Setting
from seewhy.reporting.claim_records import Lines

RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
UNITS = 32
RAW, CENTRED = "pixels from 0 to 1", "zero-mean pixels"


def measure(setting: Setting) -> Measured:
    """Measure signs example by example, and the path of gradient descent on all images, with pixels as they are and centred."""
    pixels, steps = setting.train.pixels, setting.amount(300, 10)
    inputs = {RAW: pixels, CENTRED: pixels - pixels.mean()}
    seeds = range(setting.seeds)
    chosen = {name: best_rate(RATES, partial(_score, setting, x, steps)) for name, x in inputs.items()}
    signs = {name: [_one_signed(setting, x, seed) for seed in seeds] for name, x in inputs.items()}
    descents = {name: [_descend(setting, x, chosen[name], seed, steps) for seed in seeds] for name, x in inputs.items()}
    zigzag = {name: [path for _, path in each] for name, each in descents.items()}
    ends = {name: [fitted.last(0.02) for fitted, _ in each] for name, each in descents.items()}
    every = max(1, steps // 60)
    return Measured(
        criteria=(
            Criterion(
                text="with inputs of one sign, all weight gradients of a unit share a sign at every example",
                measure="share of units and examples where they do",
                values=tuple(signs[RAW]),
                low=1.0,
                kind="exact",
            ),
            Criterion(
                text="zero-mean inputs free them",
                measure="the same share, zero-mean minus as they are",
                values=differences(signs, CENTRED, RAW),
                high=-0.5,
            ),
            Criterion(
                text="the path of one-signed inputs is more crooked",
                measure="length of the path / distance covered: one sign / zero mean",
                values=paired(zigzag, RAW, CENTRED),
                low=1.0,
                kind="ratio",
            ),
            Criterion(
                text="zero-mean data are fitted better in as many steps",
                measure="training loss after the last step, zero mean / one sign",
                values=paired(ends, CENTRED, RAW),
                high=1.0,
                kind="ratio",
            ),
        ),
        experiment=f"One hidden layer of {UNITS} tanh units; gradient descent on all {len(pixels):,} images, {steps} steps, "
        f"the rate that has the lowest loss in the end: {chosen[RAW]:g} for one sign, {chosen[CENTRED]:g} for zero mean. "
        "Centring subtracts one number from all pixels and changes no scale.",
        figure=Lines(
            x="step",
            y="training loss (nats)",
            lines={
                name: band([fitted.losses[::every] for fitted, _ in each], range(0, steps, every))
                for name, each in descents.items()
            },
            log_y=True,
        ),
    )


def _network(setting: Setting, seed: int) -> nn.Sequential:
    return dense([setting.features, UNITS, setting.classes], seed=seed, activation="tanh", init="xavier")


def _one_signed(setting: Setting, x: Tensor, seed: int) -> float:
    """Return the share of (example, unit) at which all gradients of a unit's weights, x_i delta, share a sign; zeros have either."""
    net = _network(setting, seed)
    x, y = x[:256], setting.train.y[:256]
    hidden = net[1](x.flatten(1)).detach().requires_grad_()
    (delta,) = torch.autograd.grad(F.cross_entropy(net[2:](hidden), y, reduction="sum"), hidden)
    gradients = delta[:, :, None] * x.flatten(1)[:, None, :]
    return float(((gradients >= 0).all(2) | (gradients <= 0).all(2)).float().mean())


def _score(setting: Setting, x: Tensor, steps: int, lr: float, seed: int) -> float:
    return _descend(setting, x, lr, seed, steps)[0].last(0.02)


def _descend(setting: Setting, x: Tensor, lr: float, seed: int, steps: int) -> tuple[Fit, float]:
    """Return gradient descent's fit, and the length of the first layer's path over the distance that it covers."""
    net = _network(setting, seed)
    weight = net[1].weight
    assert isinstance(weight, Tensor)
    fitted = fit(
        net, x, setting.train.y, steps=steps, lr=lr, seed=seed, optimizer="sgd", batch=None,
        observe=lambda _: weight.detach().clone(),
    )  # fmt: skip
    places = [place for _, place in fitted.seen]
    length = sum(float((b - a).norm()) for a, b in pairwise(places))
    return fitted, length / max(float((places[-1] - places[0]).norm()), 1e-12)


CLAIM = Claim(
    code="C03",
    title="Inputs of one sign make the path zig-zag",
    sentence="Inputs of one sign force all weight gradients of a unit to share a sign, so that the path zig-zags; zero-mean data mend it.",
    source="LeCun et al. 1998, Efficient BackProp, section 4.3: with inputs of one sign the weights of a unit can only all rise "
    "or all fall "
    "for an example, and a change of direction has to be made by zig-zagging, which is slow. The notes give it as a reason "
    "against sigmoid.",
    measure=measure,
)
