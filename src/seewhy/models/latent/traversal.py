"""Latent interpolation, from one image to another, and latent traversal, along single dimensions.

linear      z(t) = (1 - t) a + t b: between two samples from N(0, I) of many dimensions it passes through shorter latents than any in training
spherical   the direction turns by equal angles and the length changes evenly (White 2016, 1609.04468): between latents of equal length all
            have that length
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from seewhy.core.errors import InputError, bad_value, unknown_name

PATHS = ("spherical", "linear")

NEARLY = 1e-4
"""Angles, in radians, from 0 or pi, closer to which directions have no arc of their own."""


def interpolate_latents(start: Tensor, end: Tensor, steps: int, *, path: str = "spherical") -> Tensor:
    """Return latents from one to the other, both ends included: (steps, *, D).

    Args:
        start: latents (*, D).
        end: latents (*, D).
        steps: how many, at least 2.
        path: "spherical" or "linear". Where directions agree within 1e-4 radians, are opposite, or a latent is zero, both are the same.

    Raises:
        InputError: steps is below 2, shapes differ, or the path is not known.
    """
    if steps < 2:
        raise bad_value("steps", steps, "at least 2, the two ends")
    if start.shape != end.shape:
        raise InputError(f"end: must have the shape of start {tuple(start.shape)}, got {tuple(end.shape)}")
    if path not in PATHS:
        raise unknown_name("path", path, PATHS)
    share = torch.linspace(0.0, 1.0, steps, dtype=start.dtype, device=start.device)
    share = share.view(-1, *[1] * start.ndim)
    straight = (1 - share) * start + share * end
    if path == "linear":
        return straight
    lengths = start.norm(dim=-1, keepdim=True), end.norm(dim=-1, keepdim=True)
    tiny = torch.finfo(start.dtype).tiny
    a, b = start / lengths[0].clamp_min(tiny), end / lengths[1].clamp_min(tiny)
    angle = torch.acos((a * b).sum(-1, keepdim=True).clamp(-1.0, 1.0))
    turned = (torch.sin((1 - share) * angle) * a + torch.sin(share * angle) * b) / torch.sin(angle)
    length = (1 - share) * lengths[0] + share * lengths[1]
    undefined = (angle < NEARLY) | (angle > torch.pi - NEARLY) | (lengths[0] * lengths[1] == 0)
    return torch.where(undefined, straight, turned * length)


def by_kl(kl: Tensor) -> Tensor:
    """Return the dimensions in falling order of their mean KL over images (N, D), or of what stands for it (D): int64 (D)."""
    mean = kl.mean(0) if kl.ndim == 2 else kl
    return torch.argsort(mean, descending=True, stable=True)


def normal_quantiles(steps: int, *, tail: float = 0.02) -> Tensor:
    """Return quantiles of N(0, 1) at equal steps of probability from `tail` to 1 - `tail`: float32 (steps).

    Raises:
        InputError: steps is not positive, or the tail is not within (0, 0.5).
    """
    if steps < 1:
        raise bad_value("steps", steps, "at least 1")
    if not 0 < tail < 0.5:
        raise bad_value("tail", tail, "more than 0 and less than 0.5")
    quantiles: Tensor = torch.special.ndtri(torch.linspace(tail, 1 - tail, steps, dtype=torch.float64))
    return quantiles.float()


def traverse_latents(
    latent: Tensor, order: Tensor, positions: Tensor, *, mean: Tensor | None = None, scale: Tensor | None = None
) -> Tensor:
    """Return a latent with one dimension at a time moved over positions, the others as they are: (len(order), len(positions), D).

    Dimension j goes to mean_j + scale_j positions.

    Args:
        latent: the latent to start from, (D).
        order: dimensions to move, int64, such as `by_kl(kl)[:10]`.
        positions: where to, such as `normal_quantiles(9)`.
        mean: (D), None for 0: those of the prior, or of fitted latents.
        scale: (D), None for 1.
    """
    traversal = latent.expand(len(order), len(positions), len(latent)).clone()
    mean = torch.zeros_like(latent) if mean is None else mean
    scale = torch.ones_like(latent) if scale is None else scale
    for row, dimension in enumerate(order.tolist()):
        traversal[row, :, dimension] = mean[dimension] + scale[dimension] * positions.to(latent)
    return traversal


def decode_traversal(
    latents: Tensor, decode_images: Callable[[Tensor, Tensor | None], Tensor], label: int | None = None
) -> Tensor:
    """Return the images of a grid of latents (rows, columns, D), uint8 (rows, columns, C, H, W).

    Args:
        latents: such as those of `traverse_latents`.
        decode_images: a model's function from latents (N, D) and labels to images, such as `VAE.decode_images`.
        label: the class of all, where the model is class-conditional.
    """
    rows = latents.flatten(0, 1)
    labels = None if label is None else torch.full((len(rows),), label, device=latents.device)
    images = decode_images(rows, labels)
    return images.view(*latents.shape[:2], *images.shape[1:])
