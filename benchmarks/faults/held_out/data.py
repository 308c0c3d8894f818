"""The data of the held-out programs, none of which needs a download: tables, images in colour, sequences, scenes."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from sklearn.datasets import load_digits, make_classification, make_friedman1
from torch import Tensor

Split = tuple[Tensor, Tensor, Tensor, Tensor]
"""Inputs and targets of training, then of validation."""


def source(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(1000 + seed)


def divided(x: Tensor, y: Tensor, n: int) -> Split:
    return x[:n], y[:n], x[n:], y[n:]


def standardised(x: Tensor) -> Tensor:
    """Standardise each column of a table, or all pixels of images together."""
    return (x - x.mean(0)) / x.std(0) if x.dim() == 2 else (x - x.mean()) / x.std()


def clusters(seed: int) -> Split:
    """Return five classes of three clusters each, (N, 20) in units of their own: 1,600 rows and 800 others."""
    x, y = make_classification(
        2400,
        20,
        n_informative=8,
        n_redundant=4,
        n_classes=5,
        n_clusters_per_class=3,
        class_sep=1.8,
        flip_y=0.0,
        random_state=seed,
    )
    return divided(torch.tensor(x, dtype=torch.float32), torch.tensor(y), 1600)


def friedman(seed: int) -> Split:
    """Return Friedman's first function of ten variables, standardised, (N, 10) and (N, 1): 800 rows and 600 others."""
    x, y = make_friedman1(1400, 10, noise=0.7, random_state=seed)
    x, y = (
        standardised(torch.tensor(x, dtype=torch.float32)),
        standardised(torch.tensor(y, dtype=torch.float32)[:, None]),
    )
    return divided(x, y, 800)


def pixels(seed: int) -> Split:
    """Return the digits from 0 to 1, (N, 1, 8, 8): 1,300 and 497 others."""
    found = load_digits()
    order = torch.randperm(len(found.target), generator=source(seed))
    x = torch.tensor(found.images, dtype=torch.float32)[order, None] / 16
    return divided(x, torch.tensor(found.target)[order], 1300)


def coloured(seed: int) -> Split:
    """Return digits in a colour, somewhere on ground of another, bytes (N, 3, 16, 16): 1,300 and 497 others."""
    x, y, x_val, y_val = pixels(seed)
    ink, g = torch.cat([x, x_val]), source(seed)
    n = len(ink)
    canvas = torch.zeros(n, 1, 16, 16)
    corner = torch.randint(0, 9, (n, 2), generator=g).tolist()
    for place, (top, left) in enumerate(corner):
        canvas[place, :, top : top + 8, left : left + 8] = ink[place]
    ground = 0.45 * torch.rand(n, 3, 1, 1, generator=g)
    colour = 0.65 + 0.35 * torch.rand(n, 3, 1, 1, generator=g)
    images = ground + (colour - ground) * canvas + 0.04 * torch.randn(n, 3, 16, 16, generator=g)
    return divided((255 * images.clamp(0, 1)).round(), torch.cat([y, y_val]), 1300)


def textures(seed: int) -> Split:
    """Return six textures in any colours, from 0 to 1, (N, 3, 16, 16): 1,000 and 400 others."""
    g, n = source(seed), 1400
    y = torch.randint(6, (n,), generator=g)
    turn = torch.tensor([0.0, 90, 45, 135, 0, 0])[y] + 9 * torch.randn(n, generator=g)
    wave = 0.9 + 0.9 * torch.rand(n, 1, 1, generator=g)
    phase = 2 * math.pi * torch.rand(n, 2, 1, 1, generator=g)
    axis = torch.arange(16.0)
    rows, columns = axis[:, None].expand(16, 16), axis[None].expand(16, 16)
    angle = (turn * math.pi / 180)[:, None, None]
    along = wave * (rows * angle.cos() + columns * angle.sin()) + phase[:, 0]
    across = wave * (columns * angle.cos() - rows * angle.sin()) + phase[:, 1]
    stripes, checks = along.sin(), along.sin() * across.sin() * 1.4
    spots = (along.cos() + across.cos()) / 2
    pattern = torch.where(
        (y < 4)[:, None, None], stripes, torch.where((y == 4)[:, None, None], checks, spots.abs() * 2 - 1)
    )
    dark, light = 0.5 * torch.rand(n, 3, 1, 1, generator=g), 0.5 + 0.5 * torch.rand(n, 3, 1, 1, generator=g)
    mixed = dark + (light - dark) * (pattern[:, None] * 0.5 + 0.5)
    return divided((mixed + 0.12 * torch.randn(n, 3, 16, 16, generator=g)).clamp(0, 1), y, 1000)


def waves(seed: int) -> Split:
    """Return sequences of five kinds of oscillation in two channels with noise, (N, 24, 2): 1,000 and 500 others."""
    g, n = source(seed), 1500
    y = torch.randint(5, (n,), generator=g)
    t = torch.arange(24.0)[None]
    phase = torch.rand(n, 1, generator=g) * 2 * math.pi
    speed = 0.5 + 0.35 * torch.rand(n, 1, generator=g)
    angle = speed * t + phase
    saw = (angle / math.pi) % 2 - 1
    kinds = torch.stack(
        [angle.sin(), angle.sin().sign(), saw, (angle + 0.03 * t * t).sin(), angle.sin() * (-t / 9).exp() * 2]
    )
    first = kinds[y, torch.arange(n)]
    second = first.roll(3, 1) * (0.5 + torch.rand(n, 1, generator=g))
    x = torch.stack([first, second], 2) + 0.25 * torch.randn(n, 24, 2, generator=g)
    return divided(x, y, 1000)


class Scenes(NamedTuple):
    """Images (N, 3, 16, 16), standardised, with what is drawn on them.

    Attributes:
        x: the images.
        map: (N, 16, 16): 0 the ground, 1 to 3 the kind of thing that is seen there.
        tags: (N, 3): which kinds are there.
        kind, centre: of the thing in front, (N) and (N, 2) from -1 to 1.
    """

    x: Tensor
    map: Tensor
    tags: Tensor
    kind: Tensor
    centre: Tensor


def scenes(seed: int, n: int = 1200, crowd: float = 0.5) -> Scenes:
    """Return rings, squares and crosses in any colours on clutter: one in front, the others there with probability `crowd`."""
    g = source(seed)
    x = 0.5 + 0.06 * torch.randn(n, 3, 16, 16, generator=g) + 0.2 * torch.randn(n, 3, 1, 1, generator=g)
    front = torch.randint(3, (n,), generator=g)
    places, axis = torch.zeros(n, 16, 16, dtype=torch.long), torch.arange(16.0)
    centre = torch.zeros(n, 2)
    for turn in range(3):
        kind = (front + 1 + turn) % 3  # that in front comes last
        centre = 3 + 10 * torch.rand(n, 2, generator=g)
        radius = (2.6 + 1.6 * torch.rand(n, generator=g))[:, None, None]
        dy = (axis[:, None] - centre[:, 0, None, None]).expand(n, 16, 16)
        dx = (axis[None] - centre[:, 1, None, None]).expand(n, 16, 16)
        drawn = torch.stack(
            [
                (dx.square() + dy.square() - 0.62 * radius.square()).abs() < 0.42 * radius.square(),
                (dx.abs() < radius * 0.9) & (dy.abs() < radius * 0.9),
                ((dx.abs() < 0.9) & (dy.abs() < radius * 1.2)) | ((dy.abs() < 0.9) & (dx.abs() < radius * 1.2)),
            ]
        )[kind, torch.arange(n)]
        if turn < 2:
            drawn &= (torch.rand(n, generator=g) < crowd)[:, None, None]
        sign = torch.randint(0, 2, (n, 3, 1, 1), generator=g) * 2 - 1
        colour = 0.5 + sign * (0.3 + 0.4 * torch.rand(n, 3, 1, 1, generator=g))
        x = torch.where(drawn[:, None], colour + 0.05 * torch.randn(n, 3, 16, 16, generator=g), x)
        places = torch.where(drawn, kind[:, None, None] + 1, places)
    tags = torch.stack([(places == kind).flatten(1).any(1) for kind in (1, 2, 3)], 1).float()
    return Scenes(standardised(x), places, tags, front, centre / 8 - 1)
