"""Augmentation of whole batches."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seewhy.core.seeding import uniform


@dataclass(frozen=True)
class Augment:
    """Random crop and flip of each image."""

    crop_padding: int = 0
    flip: str = "none"
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __call__(self, images: Tensor, keys: Tensor, *, seed: int, epoch: int) -> Tensor:
        """Return the images changed; uint8 (N, C, H, W), channels last."""
        flips = None
        if self.flip == "random":
            flips = uniform(keys, seed, "flip", epoch) < 0.5
        elif self.flip == "alternating":
            flips = (uniform(keys, seed, "flip") < 0.5) ^ (epoch % 2 == 1)
        if flips is not None:
            images = torch.where(flips.view(-1, 1, 1, 1), images.flip(3), images)
        return images.contiguous(memory_format=torch.channels_last)
