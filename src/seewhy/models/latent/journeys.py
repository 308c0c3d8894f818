"""Journeys through code space: from one picture to another, and along single dimensions.

linear      z(t) = (1 - t) a + t b: between two draws from N(0, I) of many dimensions it passes through shorter codes than any that was seen
spherical   the direction turns by equal angles and the length changes evenly (White 2016, 1609.04468): between codes of equal length all
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


def interpolate(start: Tensor, end: Tensor, steps: int, *, path: str = "spherical") -> Tensor:
    """Return codes from one to the other, both ends included: (steps, *, D).

    Args:
        start: codes (*, D).
        end: codes (*, D).
        steps: how many, at least 2.
        path: "spherical" or "linear". Where directions agree within 1e-4 radians, are opposite, or a code is zero, both are the same.

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
    lost = (angle < NEARLY) | (angle > torch.pi - NEARLY) | (lengths[0] * lengths[1] == 0)
    return torch.where(lost, straight, turned * length)


def by_information(kl: Tensor) -> Tensor:
    """Return the dimensions in falling order of their mean KL over pictures (N, D), or of what stands for it (D): int64 (D)."""
    mean = kl.mean(0) if kl.ndim == 2 else kl
    return torch.argsort(mean, descending=True, stable=True)


def quantiles(steps: int, *, tail: float = 0.02) -> Tensor:
    """Return quantiles of N(0, 1) at equal steps of probability from `tail` to 1 - `tail`: float32 (steps).

    Raises:
        InputError: steps is not positive, or the tail is not within (0, 0.5).
    """
    if steps < 1:
        raise bad_value("steps", steps, "at least 1")
    if not 0 < tail < 0.5:
        raise bad_value("tail", tail, "more than 0 and less than 0.5")
    found: Tensor = torch.special.ndtri(torch.linspace(tail, 1 - tail, steps, dtype=torch.float64))
    return found.float()


def traverse(
    code: Tensor, order: Tensor, places: Tensor, *, mean: Tensor | None = None, scale: Tensor | None = None
) -> Tensor:
    """Return a code with one dimension at a time moved over places, the others as they are: (len(order), len(places), D).

    Dimension j goes to mean_j + scale_j places.

    Args:
        code: the code to start from, (D).
        order: dimensions to move, int64, such as `by_information(kl)[:10]`.
        places: where to, such as `quantiles(9)`.
        mean: (D), None for 0: those of the prior, or of fitted codes.
        scale: (D), None for 1.
    """
    made = code.expand(len(order), len(places), len(code)).clone()
    middle = torch.zeros_like(code) if mean is None else mean
    width = torch.ones_like(code) if scale is None else scale
    for row, dimension in enumerate(order.tolist()):
        made[row, :, dimension] = middle[dimension] + width[dimension] * places.to(code)
    return made


def shown(codes: Tensor, pictures: Callable[[Tensor, Tensor | None], Tensor], label: int | None = None) -> Tensor:
    """Return the pictures of a grid of codes (rows, columns, D), uint8 (rows, columns, C, H, W).

    Args:
        codes: such as those of `traverse`.
        pictures: a model's way from codes (N, D) and labels to pictures, such as `VAE.pictures`.
        label: the class of all, where the model is conditioned on classes.
    """
    rows = codes.flatten(0, 1)
    labels = None if label is None else torch.full((len(rows),), label, device=codes.device)
    made = pictures(rows, labels)
    return made.view(*codes.shape[:2], *made.shape[1:])
