"""A DCGAN with batch norm on digits: two optimisers in one class, noise on the labels, an averaged generator or none."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from held_out.base import Hand, Watcher
from held_out.data import pixels

LATENT = 12


class G(nn.Module):
    """Linear map to 2 x 2, two transposed convolutions, tanh."""

    def __init__(self, norm: bool = True, act: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.project = nn.Linear(LATENT, 48 * 4)
        self.net = nn.Sequential(
            nn.BatchNorm2d(48) if norm else nn.Identity(),
            act(),
            nn.ConvTranspose2d(48, 24, 4, 2, 1, bias=False),
            nn.BatchNorm2d(24) if norm else nn.Identity(),
            act(),
            nn.ConvTranspose2d(24, 1, 4, 2, 1),
            nn.Tanh(),
        )

    def forward(self, z: Tensor) -> Tensor:  # noqa: D102
        return self.net(self.project(z).view(-1, 48, 2, 2))


class D(nn.Module):
    """Two convolutions with stride, leaky ReLU, a linear map to a logit."""

    def __init__(self, norm: bool = False, wrap: Any = lambda part: part, end: Any = None) -> None:
        super().__init__()
        self.c1, self.c2 = wrap(nn.Conv2d(1, 16, 4, 2, 1)), wrap(nn.Conv2d(16, 32, 4, 2, 1))
        self.norm = nn.BatchNorm2d(32) if norm else nn.Identity()
        self.out, self.end = wrap(nn.Linear(128, 1)), end

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        x = F.leaky_relu(self.c1(x), 0.2)
        x = self.out(F.leaky_relu(self.norm(self.c2(x)), 0.2).flatten(1))
        return x if self.end is None else self.end(x)


def bce(z: Tensor, value: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(z, torch.full_like(z, value))


def squares(z: Tensor, value: float) -> Tensor:
    return (z - value).square().mean()


@torch.no_grad()
def likeness(g: nn.Module, real: Tensor) -> float:
    """Return 1 minus the Frechet distance of pixels, as a share of that of the mean image."""
    fake = g(torch.randn(2000, LATENT)).flatten(1).double()
    real = real.flatten(1).double()
    if not bool(fake.isfinite().all()):
        return -1.0
    a, b = torch.cov(real.T), torch.cov(fake.T)
    cross = torch.linalg.eigvals(a @ b).real.clamp_min(0).sqrt().sum()
    return 1 - float(((real.mean(0) - fake.mean(0)).square().sum() + a.trace() + b.trace() - 2 * cross) / a.trace())


def train(
    watch: Watcher,
    seed: int,
    *,
    g_net: dict[str, Any] | None = None,
    d_net: dict[str, Any] | None = None,
    g_lr: float = 1e-3,
    d_lr: float = 2e-3,
    beta1: float = 0.0,
    steps: int = 400,
    batch: int = 48,
    turns: int = 1,
    loss: Any = bce,
    real_label: float = 0.9,
    clears_d: bool = True,
    detaches: bool = True,
    mixed_up: bool = False,
    feed: Any = lambda x: 2 * x - 1,
) -> tuple[Any, float]:
    """Train with the arguments' slips or oddities."""
    x, _, x_val, _ = pixels(seed)
    real = feed(x)
    g, d = G(**(g_net or {})), D(**(d_net or {}))
    for net in (g, d):
        for part in net.modules():
            if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d)) and "weight" in part._parameters:
                nn.init.normal_(part.weight, 0.0, 0.08)
    opt_g = torch.optim.Adam((d if mixed_up else g).parameters(), g_lr, (beta1, 0.999))
    opt_d = torch.optim.Adam(d.parameters(), d_lr, (beta1, 0.999))
    why = watch(g, opt_g, discriminator=d, d_optimizer=opt_d)
    for _ in range(steps):
        for _ in range(turns):
            z = torch.randn(batch, LATENT)
            if clears_d:
                opt_d.zero_grad()
            fake = g(z)
            fake = fake.detach() if detaches else fake
            picked = real[torch.randperm(len(real))[:batch]]
            loss_d = loss(d(picked), real_label) + loss(d(fake), 0.0)
            loss_d.backward()
            opt_d.step()
        opt_g.zero_grad()
        loss(d(g(torch.randn(batch, LATENT))), 1.0).backward()
        opt_g.step()
    why.close()
    return why, likeness(g, 2 * x_val - 1)


def spectral(part: nn.Module) -> nn.Module:
    return nn.utils.parametrizations.spectral_norm(part)


HAND = Hand(
    "dcgan",
    train,
    {
        "zero_grad missing": ("zero_grad_missing", {"clears_d": False}),
        "generator's optimiser of the discriminator": (
            "parameters_not_in_optimizer parameters_frozen",
            {"mixed_up": True},
        ),
        "discriminator too strong": ("discriminator_wins", {"g_lr": 1e-5, "d_lr": 5e-3, "turns": 3, "real_label": 1.0}),
        "generator too fast": ("mode_collapse learning_rate_too_high", {"g_lr": 0.05, "d_lr": 5e-4}),
        "images from 0 to 255": ("inputs_unscaled inputs_one_signed discriminator_wins", {"feed": lambda x: 255 * x}),
        "sigmoid before the loss with logits": (
            "sigmoid_before_logits_loss activation_before_loss",
            {"d_net": {"end": torch.sigmoid}},
        ),
        "rate too low": ("learning_rate_too_low", {"g_lr": 1e-6, "d_lr": 1e-6}),
        "the image is repeated": (
            "inputs_constant mode_collapse",
            {"feed": lambda x: (2 * x[:1] - 1).repeat(1300, 1, 1, 1)},
        ),
    },
    {
        "labels of 1": {"real_label": 1.0},
        "least squares": {"loss": squares, "real_label": 1.0},
        "spectral norm": {"d_net": {"wrap": spectral}},
        "norm in the discriminator": {"d_net": {"norm": True}, "d_lr": 1e-3},
        "rates of 3 to 2": {"d_lr": 3e-3, "g_lr": 2e-3},
        "SiLU": {"g_net": {"act": nn.SiLU}},
        "batches of 96": {"batch": 96, "steps": 300},
        "the generator's graph kept": {"detaches": False},
        "GELU": {"g_net": {"act": nn.GELU}},
        "batches of 32": {"batch": 32},
    },
)
