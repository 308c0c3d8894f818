"""Rectangles within images, one per image: how they are sampled, and which pixels lie inside.

A size is sampled as a share of the image's area and a ratio of width to height, as in random resized crops (Szegedy et al. 2015, 1409.4842) and
random erasing (Zhong et al. 2020, 1708.04896). Sizes that the image cannot hold are sampled again, up to `TRIES` times; all tries of all images
are made at once, and the first that fits is taken. Letters: N images, H height, W width, C channels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from seewhy.core.errors import bad_value
from seewhy.core.seeding import uniform

TRIES = 10
"""Sizes that are sampled for each image before it counts as unable to hold one."""


@dataclass(frozen=True, eq=False)
class Boxes:
    """One rectangle per image, in whole pixels; it may reach beyond the image.

    Attributes:
        top: int64 (N,), the first row.
        left: int64 (N,), the first column.
        height: int64 (N,), rows.
        width: int64 (N,), columns.
    """

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor

    def where(self, condition: Tensor, other: Boxes) -> Boxes:
        """Return these rectangles where the condition, bool (N,), holds, else the others."""
        pairs = zip(self._columns(), other._columns(), strict=True)
        return Boxes(*(torch.where(condition, own, its) for own, its in pairs))

    def inside(self, height: int, width: int, channels: int) -> Tensor:
        """Return which values of images (N, H, W C), a row's channels beside each other, lie inside: bool (N, H, W C)."""
        rows = _between(height, self.top, self.height)
        columns = _between(width, self.left, self.width).repeat_interleave(channels, dim=1)
        return rows[:, :, None] & columns[:, None, :]

    def _columns(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.top, self.left, self.height, self.width


def _between(side: int, start: Tensor, length: Tensor) -> Tensor:
    """Return which of the positions 0 to side - 1 lie in [start, start + length): bool (N, side)."""
    positions = torch.arange(side, device=start.device) - start[:, None]
    return (positions >= 0) & (positions < length[:, None])


def sample_boxes(
    sample_ids: Tensor,
    shape: tuple[int, int],
    scale: tuple[float, float],
    ratio: tuple[float, float],
    *,
    seed: int,
    epoch: int,
    purpose: str,
) -> tuple[Boxes, Tensor]:
    """Sample one rectangle per image: area from U(scale) H W, log(width / height) from U(log ratio), all positions that hold it equally likely.

    Args:
        sample_ids: int64 (N,).
        shape: (H, W).
        scale: least and largest share of the image's area.
        ratio: least and largest width / height.
        seed: the run's seed.
        epoch: from 0.
        purpose: what the rectangle is for, part of the random numbers' address.

    Returns:
        The rectangles, and which of them fit: bool (N,). Those that do not are meaningless.
    """
    height, width = shape
    tries = sample_ids[:, None] * TRIES + torch.arange(TRIES, device=sample_ids.device)
    low, high = (math.log(bound) for bound in ratio)
    area = scale[0] + (scale[1] - scale[0]) * uniform(tries, seed, f"{purpose} area", epoch)
    aspect = torch.exp(low + (high - low) * uniform(tries, seed, f"{purpose} ratio", epoch))
    widths = (height * width * area * aspect).sqrt_().round_()
    heights = (height * width * area / aspect).sqrt_().round_()
    fits = (widths >= 1) & (widths <= width) & (heights >= 1) & (heights <= height)
    first = fits.int().argmax(dim=1, keepdim=True)
    rows, columns = heights.gather(1, first)[:, 0], widths.gather(1, first)[:, 0]
    top = uniform(sample_ids, seed, f"{purpose} top", epoch) * (height - rows + 1)
    left = uniform(sample_ids, seed, f"{purpose} left", epoch) * (width - columns + 1)
    return Boxes(top.long(), left.long(), rows.long(), columns.long()), fits.any(dim=1)


def validate_range(name: str, bounds: tuple[float, float], low: float, high: float, allowed: str) -> None:
    """Refuse a pair of numbers that is not ascending within (low, high].

    Raises:
        InputError: the pair is anything else.
    """
    if len(bounds) != 2 or not low < bounds[0] <= bounds[1] <= high or math.isinf(bounds[1]):
        raise bad_value(name, bounds, allowed)
