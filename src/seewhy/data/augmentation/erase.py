"""Erasing: a rectangle of each image is painted over, so that no single part of it can be relied on.

Letters: N images, H height, W width, C channels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from seewhy.core.errors import bad_value
from seewhy.core.seeding import murmur_hash_, uniform
from seewhy.data.augmentation.boxes import Boxes, sample_boxes, validate_range

Fill = tuple[float, ...] | Literal["noise"]
"""A colour in [0, 1], one value per channel or one for all, such as the data set's mean; or every value at random."""

GREY: Fill = (0.5,)


@dataclass(frozen=True, kw_only=True)
class Cutout:
    """Cutout: a square of every image is erased (DeVries & Taylor 2017, 1708.04552).

    The erased region covers rows y - s // 2 to y - s // 2 + s - 1 and the like columns around a centre (y, x) sampled from all of the image's
    pixels, so that some of it may lie outside the image.

    Attributes:
        size: s, the side of the square in pixels.
        fill: what the erased region shows; the paper's is the data set's mean.

    Raises:
        InputError: a number is out of range.
    """

    size: int = 16
    fill: Fill = GREY

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.size < 1:
            raise bad_value("size", self.size, "at least 1 pixel")
        _validate_fill(self.fill)

    def __str__(self) -> str:
        return f"a square of {self.size} px cut out"

    def __call__(self, images: Tensor, sample_ids: Tensor, *, seed: int, epoch: int) -> Tensor:
        """Return the images with erased regions; the input is left as it is.

        Args:
            images: uint8 (N, C, H, W); fastest in channels-last memory format.
            sample_ids: int64 (N,).
            seed: the run's seed.
            epoch: from 0.

        Returns:
            uint8 (N, C, H, W), channels last.

        Raises:
            InputError: the fill has another number of channels.
        """
        height, width = images.shape[2:]
        top = (uniform(sample_ids, seed, "cutout row", epoch) * height).long() - self.size // 2
        left = (uniform(sample_ids, seed, "cutout column", epoch) * width).long() - self.size // 2
        side = torch.full_like(sample_ids, self.size)
        fill = _fill_pixels(self.fill, images, sample_ids, seed, epoch)
        return replace_inside(images, Boxes(top, left, side, side), fill)


@dataclass(frozen=True, kw_only=True)
class RandomErasing:
    """Random erasing: a rectangle of random area, shape and position (Zhong et al. 2020, 1708.04896).

    The logarithm of the ratio is uniform, so that wide and high rectangles are equally likely. An image for which none of `boxes.TRIES` sampled
    rectangles fits stays as it is.

    Attributes:
        probability: share of the images with an erased region.
        area: the erased region's share of the image's area, uniform.
        ratio: the erased region's width / height.
        fill: what the erased region shows.

    Raises:
        InputError: a number is out of range.
    """

    probability: float = 0.5
    area: tuple[float, float] = (0.02, 0.4)
    ratio: tuple[float, float] = (0.3, 1 / 0.3)
    fill: Fill = "noise"

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not 0 <= self.probability <= 1:
            raise bad_value("probability", self.probability, "from 0 to 1")
        validate_range("area", self.area, 0, 1, "two ascending shares above 0 and at most 1")
        validate_range("ratio", self.ratio, 0, math.inf, "two ascending ratios above 0")
        _validate_fill(self.fill)

    def __str__(self) -> str:
        low, high = self.area
        return f"{low:.0%} to {high:.0%} of the area erased in {self.probability:.0%} of the images"

    def __call__(self, images: Tensor, sample_ids: Tensor, *, seed: int, epoch: int) -> Tensor:
        """Return the images with erased regions, like `Cutout`."""
        height, width = images.shape[2:]
        boxes, fits = sample_boxes(
            sample_ids, (height, width), self.area, self.ratio, seed=seed, epoch=epoch, purpose="erasing"
        )
        erased = fits & (uniform(sample_ids, seed, "erasing", epoch) < self.probability)
        none = torch.zeros_like(sample_ids)
        fill = _fill_pixels(self.fill, images, sample_ids, seed, epoch)
        return replace_inside(images, boxes.where(erased, Boxes(none, none, none, none)), fill)


def replace_inside(images: Tensor, boxes: Boxes, other: Tensor) -> Tensor:
    """Return the images with other pixels inside their rectangles.

    Args:
        images: uint8 (N, C, H, W); fastest in channels-last memory format.
        boxes: one rectangle per image.
        other: uint8 (N, H, W C), or what can be expanded to it.

    Returns:
        uint8 (N, C, H, W), channels last.
    """
    count, channels, height, width = images.shape
    pixels = images.permute(0, 2, 3, 1).reshape(count, height, width * channels)
    inside = boxes.inside(height, width, channels)
    return torch.where(inside, other, pixels).view(count, height, width, channels).permute(0, 3, 1, 2)


def _validate_fill(fill: Fill) -> None:
    colour = isinstance(fill, tuple) and len(fill) > 0 and all(0 <= value <= 1 for value in fill)
    if fill != "noise" and not colour:
        raise bad_value("fill", fill, "'noise' or a colour with values from 0 to 1")


def _fill_pixels(fill: Fill, images: Tensor, sample_ids: Tensor, seed: int, epoch: int) -> Tensor:
    """Return what erased regions show: uint8 (N, H, W C), or (W C,) where all rows are alike."""
    count, channels, height, width = images.shape
    if fill == "noise":
        values = noise(sample_ids, height * width * channels, seed=seed, epoch=epoch)
        return values.view(count, height, width * channels)
    if len(fill) not in (1, channels):
        raise bad_value("fill", fill, f"one value for all channels or one for each of the {channels}")
    colour = [round(255 * value) for value in fill] * (1 if len(fill) == channels else channels)
    return torch.tensor(colour * width, dtype=torch.uint8).to(images.device, non_blocking=True)


_STEP = 0x9E3779B9 - (1 << 32)


def noise(sample_ids: Tensor, count: int, *, seed: int, epoch: int) -> Tensor:
    """Return uniform random bytes that are a pure function of (seed, epoch, sample id, position).

    Four at a time are a hash of a counter.

    Args:
        sample_ids: int64 (N,).
        count: bytes per image.
        seed: the run's seed.
        epoch: from 0.

    Returns:
        uint8 (N, count).
    """
    high, low = (
        (uniform(sample_ids, seed, f"noise {half}", epoch) * (1 << 16)).to(torch.int32) for half in ("high", "low")
    )
    counters = torch.arange(-(-count // 4), dtype=torch.int32, device=sample_ids.device) * _STEP
    return murmur_hash_((high << 16 | low)[:, None] + counters).view(torch.uint8)[:, :count]
