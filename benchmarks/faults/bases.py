"""The base programs: an architecture, data, an optimiser and a style of loop each. All learn."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from loops import (
    Setup,
    adversarial,
    bound,
    by_epochs,
    by_steps,
    explained,
    likeness,
    neighbours,
    overlap,
    recall,
)
from torch import Tensor, nn

from data import Split, digits, shapes, spirals
from models import VAE, ConvNet, Recurrent, ResNet, Transformer, UNet, convnet_bn, discriminator, generator, mlp

SGD, Adam, AdamW, RMSprop = torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop


def cross_entropy(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(model(x), y)


def own_loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Let the model compute its loss, as large libraries do."""
    return model(x, labels=y)["loss"]


def squares(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.mse_loss(model(x), y)


def mask_loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(model(x), y)


def elbo(model: nn.Module, x: Tensor, y: Tensor, beta: float = 1.0) -> Tensor:
    z, mu, logvar = model(x)
    rate = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return (F.binary_cross_entropy_with_logits(z, x.flatten(1), reduction="sum") + beta * rate) / len(x)


def triplets(model: nn.Module, x: Tensor, y: Tensor, distance: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """Return the margin by which the farthest row of a class fails to be nearer than the nearest of another."""
    e = model(x)
    d = torch.cdist(e, e) if distance is None else distance(e)
    same = y[:, None] == y
    return F.relu(1.0 + (d * same).amax(1) - (d + 1e6 * same).amin(1)).mean()


def setup(
    split: Split,
    model: nn.Module,
    optimizer: Callable,
    lr: float,
    loss: Callable = cross_entropy,
    metric: Callable = recall,
    loop: Callable = by_epochs,
    steps: int = 200,
    batch: int = 64,
    **options: object,
) -> Setup:
    return Setup(model, *split, partial(optimizer, lr=lr, **options), loss, metric, loop, steps, batch)


def unit(split: Split, low: float) -> Split:
    """Return the digits from `low` to 1, without channels where a loss compares them with outputs."""
    x, y, x_val, y_val = split
    least, most = float(x.min()), float(x.max())
    return (x - least) / (most - least) * (1 - low) + low, y, (x_val - least) / (most - least) * (1 - low) + low, y_val


def dense_gan(seed: int) -> Setup:
    x, y, x_val, y_val = unit(digits(seed), -1.0)
    made = setup(
        (x.flatten(1), y, x_val.flatten(1), y_val),
        generator(),
        Adam,
        1e-3,
        metric=likeness,
        loop=adversarial,
        steps=1000,
        betas=(0.5, 0.999),
    )
    made.rival, made.rival_optimizer = discriminator(), partial(Adam, lr=1e-3, betas=(0.5, 0.999))
    return made


def regression(seed: int) -> Setup:
    (x, _, x_val, _), _, centres = shapes(seed)
    return setup((x, centres[:900], x_val, centres[900:]), mlp([256, 96, 48, 2]), RMSprop, 1e-3, squares, explained)


def segmentation(seed: int) -> Setup:
    (x, _, x_val, _), masks, _ = shapes(seed)
    return setup(
        (x, masks[:900], x_val, masks[900:]), UNet(), Adam, 3e-3, mask_loss, overlap, by_steps, steps=120, batch=16
    )


BASES: dict[str, Callable[[int], Setup]] = {
    "mlp-shallow": lambda seed: setup(digits(seed), mlp([64, 64, 10]), SGD, 0.05, momentum=0.9),
    "mlp-deep": lambda seed: setup(
        spirals(seed), mlp([10, 64, 64, 64, 64, 3]), Adam, 1e-3, loop=by_steps, steps=300, batch=50
    ),
    "convnet": lambda seed: setup(digits(seed), ConvNet(), SGD, 0.05, momentum=0.9, batch=32),
    "convnet-bn": lambda seed: setup(shapes(seed)[0], convnet_bn(), AdamW, 2e-3, batch=50, steps=400),
    "resnet": lambda seed: setup(
        shapes(seed)[0], ResNet(), SGD, 0.03, batch=32, steps=400, momentum=0.9, nesterov=True
    ),
    "transformer": lambda seed: setup(
        digits(seed), Transformer(), AdamW, 2e-3, own_loss, loop=by_steps, steps=500, batch=32
    ),
    "rnn": lambda seed: setup(digits(seed), Recurrent(), Adam, 3e-3, batch=50),
    "unet": segmentation,
    "vae": lambda seed: setup(unit(digits(seed), 0.0), VAE(), Adam, 2e-3, elbo, bound, by_epochs, steps=600),
    "gan": dense_gan,
    "metric": lambda seed: setup(
        digits(seed), mlp([64, 96, 16]), Adam, 1e-3, triplets, neighbours, by_steps, steps=150, batch=100
    ),
    "regression": regression,
}
