"""Holes: a rectangle of each image is painted over, so that no single part can be relied on.

Letters: N images, H height, W width, C channels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from seewhy.core.errors import bad_value
from seewhy.core.seeding import uniform
from seewhy.data.boxes import Boxes, check_range, draw_boxes

Fill = tuple[float, ...] | Literal["noise"]
"""A colour in [0, 1], one value a channel or one for all, such as the data set's mean; or every value at random."""

GREY: Fill = (0.5,)


@dataclass(frozen=True, kw_only=True)
class Cutout:
    """Cutout: a square hole in every image (DeVries & Taylor 2017, 1708.04552).

    The hole covers rows y - s // 2 to y - s // 2 + s - 1 and the like columns around a centre (y, x) drawn from all of the image's pixels, so
    that a part of it may lie outside the image.

    Attributes:
        side: s in pixels.
        fill: what the hole shows; the paper's is the data set's mean.

    Raises:
        InputError: a number is out of range.
    """

    side: int = 16
    fill: Fill = GREY

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.side < 1:
            raise bad_value("Cutout.side", self.side, "at least 1 pixel")
        _check_fill("Cutout.fill", self.fill)

    def __call__(self, images: Tensor, keys: Tensor, *, seed: int, epoch: int) -> Tensor:
        """Return the images with holes; the input is left as it is.

        Args:
            images: uint8 (N, C, H, W); fastest in channels-last memory format.
            keys: int64 (N,): the images' places in the data set.
            seed: the run's seed.
            epoch: from 0.

        Returns:
            uint8 (N, C, H, W), channels last.

        Raises:
            InputError: the fill has another number of channels.
        """
        height, width = images.shape[2:]
        top = (uniform(keys, seed, "cutout row", epoch) * height).long() - self.side // 2
        left = (uniform(keys, seed, "cutout column", epoch) * width).long() - self.side // 2
        side = torch.full_like(keys, self.side)
        other = _paint("Cutout.fill", self.fill, images, keys, seed, epoch)
        return painted(images, Boxes(top, left, side, side), other)


@dataclass(frozen=True, kw_only=True)
class RandomErasing:
    """Random erasing: a rectangle of random area, shape and place (Zhong et al. 2020, 1708.04896).

    The logarithm of the ratio is drawn uniformly, so that wide and high rectangles are equally likely. An image in which `boxes.TRIES` draws
    find no rectangle that fits stays as it is.

    Attributes:
        probability: share of the images with a hole.
        scale: the hole's share of the image's area, drawn uniformly.
        ratio: the hole's width / height.
        fill: what the hole shows.

    Raises:
        InputError: a number is out of range.
    """

    probability: float = 0.5
    scale: tuple[float, float] = (0.02, 0.4)
    ratio: tuple[float, float] = (0.3, 1 / 0.3)
    fill: Fill = "noise"

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not 0 <= self.probability <= 1:
            raise bad_value("RandomErasing.probability", self.probability, "from 0 to 1")
        check_range("RandomErasing.scale", self.scale, 0, 1, "two ascending shares above 0 and at most 1")
        check_range("RandomErasing.ratio", self.ratio, 0, math.inf, "two ascending ratios above 0")
        _check_fill("RandomErasing.fill", self.fill)

    def __call__(self, images: Tensor, keys: Tensor, *, seed: int, epoch: int) -> Tensor:
        """Return the images with holes, like `Cutout`."""
        height, width = images.shape[2:]
        boxes, fits = draw_boxes(
            keys, (height, width), self.scale, self.ratio, seed=seed, epoch=epoch, purpose="erasing"
        )
        chosen = fits & (uniform(keys, seed, "erasing", epoch) < self.probability)
        none = torch.zeros_like(keys)
        other = _paint("RandomErasing.fill", self.fill, images, keys, seed, epoch)
        return painted(images, boxes.where(chosen, Boxes(none, none, none, none)), other)


def painted(images: Tensor, boxes: Boxes, other: Tensor) -> Tensor:
    """Return the images with other pixels inside their rectangles.

    Args:
        images: uint8 (N, C, H, W); fastest in channels-last memory format.
        boxes: one rectangle an image.
        other: uint8 (N, H, W C), or what can be expanded to it.

    Returns:
        uint8 (N, C, H, W), channels last.
    """
    count, channels, height, width = images.shape
    pixels = images.permute(0, 2, 3, 1).reshape(count, height, width * channels)
    hole = boxes.inside(height, width, channels)
    return torch.where(hole, other, pixels).view(count, height, width, channels).permute(0, 3, 1, 2)


def _check_fill(field: str, fill: Fill) -> None:
    colour = isinstance(fill, tuple) and len(fill) > 0 and all(0 <= value <= 1 for value in fill)
    if fill != "noise" and not colour:
        raise bad_value(field, fill, "'noise' or a colour with values from 0 to 1")


def _paint(field: str, fill: Fill, images: Tensor, keys: Tensor, seed: int, epoch: int) -> Tensor:
    """Return what holes show: uint8 (N, H, W C), or (W C,) where all rows are alike."""
    count, channels, height, width = images.shape
    if fill == "noise":
        return noise(keys, height * width * channels, seed=seed, epoch=epoch).view(count, height, width * channels)
    if len(fill) not in (1, channels):
        raise bad_value(field, fill, f"one value for all channels or one for each of the {channels}")
    colour = [round(255 * value) for value in fill] * (1 if len(fill) == channels else channels)
    return torch.tensor(colour * width, dtype=torch.uint8, device=images.device)


_STEP = 0x9E3779B9 - (1 << 32)
_MIX1 = 0x85EBCA6B - (1 << 32)
_MIX2 = 0xC2B2AE35 - (1 << 32)


def noise(keys: Tensor, count: int, *, seed: int, epoch: int) -> Tensor:
    """Return uniform random bytes that are a pure function of (seed, epoch, key, place).

    Four at a time are a hash of a counter, by the 32-bit finaliser of MurmurHash3 (Appleby 2011), in int32 arithmetic, which wraps as the hash
    needs.

    Args:
        keys: int64 (N,): the images' places in the data set.
        count: bytes an image.
        seed: the run's seed.
        epoch: from 0.

    Returns:
        uint8 (N, count).
    """
    high, low = ((uniform(keys, seed, f"noise {half}", epoch) * (1 << 16)).to(torch.int32) for half in ("high", "low"))
    words = torch.arange(-(-count // 4), dtype=torch.int32, device=keys.device) * _STEP
    x = (high << 16 | low)[:, None] + words
    for shift, factor in ((16, _MIX1), (13, _MIX2), (16, 1)):
        x ^= (x >> shift) & ((1 << (32 - shift)) - 1)  # a logical shift
        x *= factor
    return x.view(torch.uint8)[:, :count]
