"""Augmentation: every training image is shifted, flipped and recoloured differently in each epoch.

The whole batch is changed at once, as tensors, where it lies in memory: uint8, channels last. Each random number is a pure function of (seed,
purpose, epoch, sample id), so an image is treated alike whatever batch it is in, and an interrupted run resumes with the same images.

Order: flip, crop, brightness, contrast, saturation, hue, erase. The four colour changes follow torchvision's `ColorJitter` in arithmetic and in
how factors are sampled, but come in this fixed order, where torchvision shuffles them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from seewhy.core.errors import InputError, bad_value, unknown_name
from seewhy.core.seeding import uniform
from seewhy.data.augmentation.colour import (
    Change,
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    recolour,
)
from seewhy.data.augmentation.crop import ResizedCrop, resample
from seewhy.data.augmentation.erase import Cutout, RandomErasing

Flip = Literal["none", "random", "alternating"]
FLIPS: tuple[Flip, ...] = ("none", "random", "alternating")
CHANGES = ("flip", "crop_padding", "resized_crop", "brightness", "contrast", "saturation", "hue", "erase")
"""The fields of `Augment`, in the order in which they are applied."""


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Random changes of training images (Krizhevsky et al. 2012).

    Attributes:
        crop_padding: p; each image is padded by p pixels that mirror its inside (the border itself is not repeated), and a window of its own
            size is taken from one of the (2 p + 1)^2 positions, all equally likely.
        flip: "random": flipped left to right with probability 1/2 in each epoch; "alternating": that is sampled once, then every image is
            flipped in every other epoch, so that two epochs show both sides (Jordan 2024, 2404.00498).
        brightness: b; all values times a factor from U(max(0, 1 - b), 1 + b).
        contrast: the same for the distance from the image's mean grey.
        saturation: the same for the distance from each pixel's grey.
        hue: h at most 0.5; the hue turns by U(-h, h) of the circle.
        resized_crop: windows of random area and shape, instead of the padded crop.
        erase: what erases a region of each image, last of all.

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
    erase: Cutout | RandomErasing | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.crop_padding < 0:
            raise bad_value("crop_padding", self.crop_padding, "at least 0 pixels")
        if self.flip not in FLIPS:
            raise unknown_name("flip", self.flip, FLIPS)
        for name in ("brightness", "contrast", "saturation"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise bad_value(name, getattr(self, name), "at least 0 and finite")
        if not 0 <= self.hue <= 0.5:
            raise bad_value("hue", self.hue, "from 0 to 0.5")
        if self.crop_padding and self.resized_crop is not None:
            raise bad_value("crop_padding", self.crop_padding, "0 beside a resized crop", "choose one of the crops")

    def __call__(self, images: Tensor, sample_ids: Tensor, *, seed: int, epoch: int) -> Tensor:
        """Return the changed images; the input is left as it is.

        Args:
            images: uint8 (N, C, H, W); fastest in channels-last memory format.
            sample_ids: int64 (N,).
            seed: the run's seed.
            epoch: from 0.

        Returns:
            uint8 (N, C, H, W), channels last; of the resized crop's size where that has one.

        Raises:
            InputError: the padding is not smaller than the images, or images without colour are to change saturation or hue, or
                neither grey nor coloured ones contrast.
        """
        self._validate_images(images)
        height, width = images.shape[2:]
        flipped = None if self.flip == "none" else self._flipped(sample_ids, seed, epoch)
        if self.resized_crop is not None:
            boxes = self.resized_crop.boxes(sample_ids, (height, width), seed=seed, epoch=epoch)
            shape, antialias = self.resized_crop.shape_of(images), self.resized_crop.antialias
            pixels = resample(images, boxes, shape, antialias=antialias, flipped=flipped).permute(0, 2, 3, 1)
        else:
            pixels = images.permute(0, 2, 3, 1).contiguous()  # (N, H, W, C)
            if self.crop_padding or flipped is not None:
                pixels = self._shift(pixels, flipped, sample_ids, seed, epoch)
        pixels = recolour(pixels, self._colour_changes(sample_ids, seed, epoch))
        images = pixels.permute(0, 3, 1, 2)
        return images if self.erase is None else self.erase(images, sample_ids, seed=seed, epoch=epoch)

    def single_changes(self) -> dict[str, Augment]:
        """Return each change by itself, by the name of its field, in the order in which they are made."""
        blank = Augment()
        values = {name: getattr(self, name) for name in CHANGES}
        return {
            name: replace(blank, **{name: value}) for name, value in values.items() if value != getattr(blank, name)
        }

    def _validate_images(self, images: Tensor) -> None:
        """Refuse images that the changes do not fit."""
        channels, side = images.shape[1], min(images.shape[2:])
        if self.crop_padding >= side:
            raise bad_value("crop_padding", self.crop_padding, f"less than the images' side ({side})")
        if channels == 1 and (self.saturation or self.hue):
            raise InputError("saturation, hue: grey images have neither, but the images have 1 channel; set both to 0")
        if channels not in (1, 3) and (self.contrast or self.saturation or self.hue):
            raise InputError(
                f"contrast, saturation, hue: are for grey or colour images, but the images have {channels} channels; set them to 0"
            )

    def _shift(self, pixels: Tensor, flipped: Tensor | None, sample_ids: Tensor, seed: int, epoch: int) -> Tensor:
        """Return windows of uint8 (N, H, W, C), flipped first where asked for."""
        height, width = pixels.shape[1:3]
        rows = self._positions(height, "crop top", sample_ids, seed, epoch)
        columns = self._positions(width, "crop left", sample_ids, seed, epoch)
        if flipped is not None:
            columns = torch.where(flipped[:, None], width - 1 - columns, columns)
        return _gather(pixels, rows, columns)

    def _positions(self, side: int, axis: str, sample_ids: Tensor, seed: int, epoch: int) -> Tensor:
        """Return which row (or column) of its image each row of a window shows: int32 (N, side)."""
        positions = torch.arange(side, dtype=torch.int32, device=sample_ids.device).expand(len(sample_ids), side)
        if not self.crop_padding:
            return positions
        shift = (uniform(sample_ids, seed, axis, epoch) * (2 * self.crop_padding + 1)).int() - self.crop_padding
        positions = (positions + shift[:, None]).abs_()  # mirrored at the first row
        return torch.where(positions >= side, 2 * (side - 1) - positions, positions)  # and at the last

    def _flipped(self, sample_ids: Tensor, seed: int, epoch: int) -> Tensor:
        """Return which images are flipped: bool (N,)."""
        if self.flip == "random":
            return uniform(sample_ids, seed, "flip", epoch) < 0.5
        return (uniform(sample_ids, seed, "flip") < 0.5) ^ (epoch % 2 == 1)

    def _colour_changes(self, sample_ids: Tensor, seed: int, epoch: int) -> list[tuple[Change, Tensor]]:
        """Return the colour changes with the images' factors."""
        scales: tuple[tuple[str, Change, float], ...] = (
            ("brightness", adjust_brightness, self.brightness),
            ("contrast", adjust_contrast, self.contrast),
            ("saturation", adjust_saturation, self.saturation),
        )
        changes: list[tuple[Change, Tensor]] = []
        for name, adjust, strength in scales:
            if strength:
                low = max(0.0, 1.0 - strength)
                changes.append((adjust, low + (1.0 + strength - low) * uniform(sample_ids, seed, name, epoch)))
        if self.hue:
            changes.append((adjust_hue, (2.0 * uniform(sample_ids, seed, "hue", epoch) - 1.0) * self.hue))
        return changes


def _gather(pixels: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return the pixels at rows (N, H) and columns (N, W) of images (N, H, W, C), in one gather of C bytes per pixel."""
    count, height, width, channels = pixels.shape
    first = torch.arange(0, count * height, height, dtype=torch.int32, device=pixels.device)
    positions = (((first[:, None] + rows) * width)[:, :, None] + columns[:, None, :]).flatten()
    return pixels.view(-1, channels).index_select(0, positions).view(pixels.shape)
