"""Data that need no download: sklearn's digits, and two synthetic sets, spirals and shapes."""

from __future__ import annotations

import math

import torch
from sklearn.datasets import load_digits
from torch import Tensor

Split = tuple[Tensor, Tensor, Tensor, Tensor]
"""Inputs and targets of training, then of validation."""


def digits(seed: int) -> Split:
    """Return 1,300 digits and 497 others, (N, 1, 8, 8), standardised over all pixels."""
    found = load_digits()
    x = torch.tensor(found.images, dtype=torch.float32)[:, None]
    y = torch.tensor(found.target)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    x, y = ((x - x.mean()) / x.std())[order], y[order]
    return x[:1300], y[:1300], x[1300:], y[1300:]


def spirals(seed: int, noise: float = 0.12) -> Split:
    """Return three spirals, turned into ten dimensions: 1,200 points and 600 others, (N, 10)."""
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(3, (1800,), generator=g)
    t = torch.rand(1800, generator=g).sqrt()
    angle = 4.5 * t + y * 2 * math.pi / 3
    plane = torch.stack([t * angle.cos(), t * angle.sin()], 1) * 2 + noise * torch.randn(1800, 2, generator=g)
    x = plane @ torch.linalg.qr(torch.randn(10, 10, generator=g))[0][:2]
    x = (x + 0.05 * torch.randn(1800, 10, generator=g)) / 0.45
    return x[:1200], y[:1200], x[1200:], y[1200:]


def shapes(seed: int, size: int = 16) -> tuple[Split, Tensor, Tensor]:
    """Return noisy images of four shapes, (N, 1, 16, 16), 900 and 400, with their masks (N, 1, 16, 16) and centres (N, 2)."""
    g = torch.Generator().manual_seed(seed)
    n = 1300
    y = torch.randint(4, (n,), generator=g)
    centre = 4 + (size - 9) * torch.rand(n, 2, generator=g)
    radius = (2.5 + 1.5 * torch.rand(n, generator=g))[:, None, None]
    axis = torch.arange(size, dtype=torch.float32)
    dy = (axis[:, None] - centre[:, 0, None, None]).expand(n, size, size)
    dx = (axis[None, :] - centre[:, 1, None, None]).expand(n, size, size)
    kinds = torch.stack(
        [
            (dx.abs() < radius) & (dy.abs() < radius),
            dx.square() + dy.square() < 1.2 * radius.square(),
            ((dx.abs() < 1) & (dy.abs() < radius)) | ((dy.abs() < 1) & (dx.abs() < radius)),
            (dx.abs() < (dy + radius) / 2) & (dy < radius),
        ]
    )
    masks = kinds[y, torch.arange(n)][:, None].float()
    x = masks * (0.7 + 0.6 * torch.rand(n, 1, 1, 1, generator=g)) + 0.2 * torch.randn(n, 1, size, size, generator=g)
    x = (x - x.mean()) / x.std()
    return (x[:900], y[:900], x[900:], y[900:]), masks, centre / size * 2 - 1
