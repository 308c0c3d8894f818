"""Augmentation: every training image is moved, mirrored and recoloured anew in each epoch.

The whole batch is changed at once, as tensors, where it lies in memory: uint8, channels last. Each draw is a pure function of (seed, purpose,
epoch, the image's key), so an image is treated alike whatever batch it is in, and an interrupted run takes up the same pictures.

Order: flip, crop, brightness, contrast, saturation, hue, hole. The four colour changes follow torchvision's `ColorJitter` in arithmetic and in
how factors are drawn, but come in this fixed order, where torchvision shuffles them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from seewhy.core.errors import InputError, bad_value
from seewhy.core.seeding import uniform
from seewhy.data.colour import (
    Change,
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    recoloured,
)
from seewhy.data.crop import ResizedCrop, resample
from seewhy.data.erase import Cutout, RandomErasing

Flip = Literal["none", "random", "alternating"]
FLIPS: tuple[Flip, ...] = ("none", "random", "alternating")
CHANGES = ("flip", "crop_padding", "resized_crop", "brightness", "contrast", "saturation", "hue", "hole")
"""The fields of `Augment`, in the order in which they are applied."""


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Random changes of training images (Krizhevsky et al. 2012).

    Attributes:
        crop_padding: p; each image is padded by p pixels that mirror its inside (the border itself is not repeated), and a window of its own
            size is taken from one of the (2 p + 1)^2 places, all equally likely.
        flip: "random": mirrored left to right with probability 1/2 in each epoch; "alternating": that is drawn once, then every image is
            mirrored in every other epoch, so that two epochs show both sides (Jordan 2024, 2404.00498).
        brightness: b; all values times a factor from U(max(0, 1 - b), 1 + b).
        contrast: the same for the distance from the image's mean grey.
        saturation: the same for the distance from each pixel's grey.
        hue: h at most 0.5; the hue turns by U(-h, h) of the circle.
        resized_crop: windows of random area and shape, instead of the padded crop.
        hole: a part of each image that is painted over, last of all.

    Raises:
        InputError: a number is out of range, the name of the flip is not known, or both crops are asked for.
    """

    crop_padding: int = 0
    flip: Flip = "none"
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    resized_crop: ResizedCrop | None = None
    hole: Cutout | RandomErasing | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.crop_padding < 0:
            raise bad_value("reg.crop_padding", self.crop_padding, "at least 0 pixels")
        if self.flip not in FLIPS:
            raise bad_value("reg.flip", self.flip, f"one of {', '.join(FLIPS)}")
        for name in ("brightness", "contrast", "saturation"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise bad_value(f"reg.{name}", getattr(self, name), "at least 0 and finite")
        if not 0 <= self.hue <= 0.5:
            raise bad_value("reg.hue", self.hue, "from 0 to 0.5")
        if self.crop_padding and self.resized_crop is not None:
            raise bad_value("reg.crop_padding", self.crop_padding, "0 beside a resized crop", "choose one of the crops")

    def __call__(self, images: Tensor, keys: Tensor, *, seed: int, epoch: int) -> Tensor:
        """Return the changed images; the input is left as it is.

        Args:
            images: uint8 (N, C, H, W); fastest in channels-last memory format.
            keys: int64 (N,): the images' places in the data set.
            seed: the run's seed.
            epoch: from 0.

        Returns:
            uint8 (N, C, H, W), channels last; of the resized crop's size where that has one.

        Raises:
            InputError: the padding is not smaller than the images, or images without colour are to change saturation or hue, or
                neither grey nor coloured ones contrast.
        """
        _, channels, height, width = images.shape
        if self.crop_padding >= min(height, width):
            raise bad_value("reg.crop_padding", self.crop_padding, f"less than the images' side ({min(height, width)})")
        if channels == 1 and (self.saturation or self.hue):
            raise InputError(
                "reg.saturation, reg.hue: grey images have neither, but the images have 1 channel; set both to 0"
            )
        if channels not in (1, 3) and (self.contrast or self.saturation or self.hue):
            raise InputError(
                f"reg.contrast, reg.saturation, reg.hue: are for grey or colour images, but the images have {channels} channels; "
                "set them to 0"
            )
        mirrored = None if self.flip == "none" else self._mirrored(keys, seed, epoch)
        if self.resized_crop is not None:
            boxes = self.resized_crop.boxes(keys, (height, width), seed=seed, epoch=epoch)
            shape, antialias = self.resized_crop.shape_of(images), self.resized_crop.antialias
            pixels = resample(images, boxes, shape, antialias=antialias, mirrored=mirrored).permute(0, 2, 3, 1)
        else:
            pixels = images.permute(0, 2, 3, 1).contiguous()  # (N, H, W, C)
            if self.crop_padding or mirrored is not None:
                pixels = self._moved(pixels, mirrored, keys, seed, epoch)
        pixels = recoloured(pixels, self._changes(keys, seed, epoch))
        images = pixels.permute(0, 3, 1, 2)
        return images if self.hole is None else self.hole(images, keys, seed=seed, epoch=epoch)

    def parts(self) -> dict[str, Augment]:
        """Return each change by itself, by the name of its field, in the order in which they are made."""
        blank = Augment()
        asked = {name: getattr(self, name) for name in CHANGES}
        return {name: replace(blank, **{name: value}) for name, value in asked.items() if value != getattr(blank, name)}

    def _moved(self, pixels: Tensor, mirrored: Tensor | None, keys: Tensor, seed: int, epoch: int) -> Tensor:
        """Return windows of uint8 (N, H, W, C), mirrored first where asked for."""
        height, width = pixels.shape[1:3]
        rows = self._places(height, "crop top", keys, seed, epoch)
        columns = self._places(width, "crop left", keys, seed, epoch)
        if mirrored is not None:
            columns = torch.where(mirrored[:, None], width - 1 - columns, columns)
        return _gathered(pixels, rows, columns)

    def _places(self, side: int, axis: str, keys: Tensor, seed: int, epoch: int) -> Tensor:
        """Return which row (or column) of its image each row of a window shows: int32 (N, side)."""
        shown = torch.arange(side, dtype=torch.int32, device=keys.device).expand(len(keys), side)
        if not self.crop_padding:
            return shown
        shift = (uniform(keys, seed, axis, epoch) * (2 * self.crop_padding + 1)).int() - self.crop_padding
        shown = (shown + shift[:, None]).abs_()  # mirrored at the first row
        return torch.where(shown >= side, 2 * (side - 1) - shown, shown)  # and at the last

    def _mirrored(self, keys: Tensor, seed: int, epoch: int) -> Tensor:
        """Return which images are mirrored: bool (N,)."""
        if self.flip == "random":
            return uniform(keys, seed, "flip", epoch) < 0.5
        return (uniform(keys, seed, "flip") < 0.5) ^ (epoch % 2 == 1)

    def _changes(self, keys: Tensor, seed: int, epoch: int) -> list[tuple[Change, Tensor]]:
        """Return the colour changes with the images' factors."""
        scales: tuple[tuple[str, Change, float], ...] = (
            ("brightness", adjust_brightness, self.brightness),
            ("contrast", adjust_contrast, self.contrast),
            ("saturation", adjust_saturation, self.saturation),
        )
        changes: list[tuple[Change, Tensor]] = []
        for name, adjust, reach in scales:
            if reach:
                low = max(0.0, 1.0 - reach)
                changes.append((adjust, low + (1.0 + reach - low) * uniform(keys, seed, name, epoch)))
        if self.hue:
            changes.append((adjust_hue, (2.0 * uniform(keys, seed, "hue", epoch) - 1.0) * self.hue))
        return changes


def _gathered(pixels: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return the pixels at rows (N, H) and columns (N, W) of images (N, H, W, C), in one gather of C bytes a pixel."""
    count, height, width, channels = pixels.shape
    first = torch.arange(0, count * height, height, dtype=torch.int32, device=pixels.device)
    places = (((first[:, None] + rows) * width)[:, :, None] + columns[:, None, :]).flatten()
    return pixels.view(-1, channels).index_select(0, places).view(pixels.shape)
