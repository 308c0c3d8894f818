"""A convolutional VAE on digits: Adam, a warm-up of the rate term, sums in nats; the model returns a dictionary."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from held_out.base import Hand, Watcher
from held_out.data import pixels


class ConvVAE(nn.Module):
    """Two convolutions down, two up, six latent values."""

    def __init__(self, latent: int = 6, act: Any = F.silu, norm: bool = False, end: Any = None) -> None:
        super().__init__()
        self.e1, self.e2 = nn.Conv2d(1, 16, 3, 2, 1), nn.Conv2d(16, 32, 3, 2, 1)
        self.norm = nn.GroupNorm(4, 32) if norm else nn.Identity()
        self.mu, self.logvar = nn.Linear(128, latent), nn.Linear(128, latent)
        self.d0 = nn.Linear(latent, 128)
        self.d1, self.d2 = nn.ConvTranspose2d(32, 16, 4, 2, 1), nn.ConvTranspose2d(16, 1, 4, 2, 1)
        self.act, self.end = act, end

    def forward(self, x: Tensor) -> dict[str, Tensor]:  # noqa: D102
        h = self.norm(self.act(self.e2(self.act(self.e1(x))))).flatten(1)
        mu, logvar = self.mu(h), self.logvar(h)
        z = torch.normal(0, 1, mu.shape) * torch.exp(logvar / 2) + mu
        h = self.act(self.d0(z)).view(-1, 32, 2, 2)
        x = self.d2(self.act(self.d1(h)))
        return {"reconstruction": x if self.end is None else self.end(x), "mu": mu, "logvar": logvar}


def terms(out: dict[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Return distortion and rate of each image, nats."""
    distortion = F.binary_cross_entropy_with_logits(out["reconstruction"], x, reduction="none").flatten(1).sum(1)
    rate = 0.5 * (out["mu"] ** 2 + out["logvar"].exp() - out["logvar"] - 1).sum(1)
    return distortion, rate


@torch.no_grad()
def score(model: nn.Module, x: Tensor, x_val: Tensor) -> float:
    """Return the share of the nats beyond the least possible that the model saves over independent pixels."""
    distortion, rate = terms(model(x_val), x_val)
    p = x.mean(0).clamp(1e-3, 1 - 1e-3)
    floor = float(-(p * p.log() + (1 - p) * (1 - p).log()).sum())
    v = x_val.clamp(1e-6, 1 - 1e-6)
    least = float(-(v * v.log() + (1 - v) * (1 - v).log()).flatten(1).sum(1).mean())
    return (floor - float((distortion + rate).mean())) / (floor - least)


def train(
    watch: Watcher,
    seed: int,
    *,
    net: dict[str, Any] | None = None,
    lr: float = 6e-3,
    beta: float = 1.0,
    averaged: bool = False,
    warm: int = 60,
    steps: int = 500,
    batch: int = 64,
    feed: Any = lambda x: x,
    clears: bool = True,
    initial: Any = None,
    held: Any = lambda model: model.parameters(),
    binary: bool = False,
    clip: float = 0.0,
    reseed: bool = False,
    optimizer: Any = torch.optim.Adam,
) -> tuple[Any, float]:
    """Train with the arguments' slips or oddities."""
    x, _, x_val, _ = pixels(seed)
    shown = feed(x)
    model = ConvVAE(**(net or {}))
    if initial is not None:
        model.apply(initial)
    opt = optimizer(held(model), lr=lr)
    with watch(model, opt) as why:
        for it in range(1, steps + 1):
            if reseed:
                torch.manual_seed(7)
            i = torch.randint(len(x), (batch,))
            target = torch.bernoulli(x[i]) if binary else x[i]
            distortion, rate = terms(model(shown[i]), target)
            weight = beta * min(1.0, it / warm)
            nats = distortion / 64 if averaged else distortion  # averaged over pixels, but not the rate
            loss = (nats + weight * rate).mean()
            if clears:
                opt.zero_grad()
            loss.backward()
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            opt.step()
    model.eval()
    return why, score(model, x, x_val)


def zeros(part: nn.Module) -> None:
    if isinstance(part, (nn.Conv2d, nn.Linear, nn.ConvTranspose2d)):
        nn.init.zeros_(part.weight)


HAND = Hand(
    "cvae",
    train,
    {
        "distortion averaged, rate summed": ("posterior_collapse", {"averaged": True}),
        "rate term too heavy": ("posterior_collapse", {"beta": 12.0, "warm": 1}),
        "sigmoid before the loss with logits": (
            "sigmoid_before_logits_loss activation_before_loss",
            {"net": {"end": torch.sigmoid}},
        ),
        "zero_grad missing": ("zero_grad_missing", {"clears": False}),
        "optimiser of the decoder only": (
            "parameters_not_in_optimizer parameters_frozen",
            {"held": lambda model: [*model.d0.parameters(), *model.d1.parameters(), *model.d2.parameters()]},
        ),
        "rate too high": ("learning_rate_too_high loss_oscillates", {"lr": 0.5}),
        "rate too low": ("learning_rate_too_low", {"lr": 3e-7}),
        "weights all zero": ("initialisation_symmetric outputs_ignore_inputs posterior_collapse", {"initial": zeros}),
        "the image is blank": ("inputs_constant", {"feed": lambda x: x * 0}),
        "the batch is always the same": ("augmentation_repeats batches_repeat overfitting", {"reseed": True}),
    },
    {
        "no warm-up": {"warm": 1},
        "ReLU": {"net": {"act": F.relu}},
        "binarised": {"binary": True},
        "three latent values": {"net": {"latent": 3}},
        "spare latent values": {"net": {"latent": 20}},
        "group norm": {"net": {"norm": True}},
        "clipped": {"clip": 5.0},
        "AdamW": {"optimizer": torch.optim.AdamW},
        "a quarter of the rate": {"lr": 1e-3},
        "tanh": {"net": {"act": torch.tanh}},
        "batches of 128": {"batch": 128},
        "NAdam": {"optimizer": torch.optim.NAdam, "lr": 3e-3},
    },
)
