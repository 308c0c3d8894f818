"""Intensity levels, the values of generative models: from uint8 images to values, and back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seewhy.core.errors import bad_value, unknown_name
from seewhy.core.seeding import random_bits16

BINARISE = ("stochastic", "threshold")


@dataclass(frozen=True)
class IntensityLevels:
    """L levels of equal width over 0 ... 255.

    With 2 levels an image is binarised: a pixel is 1 with its intensity over 255 as probability, resampled at every call ("stochastic":
    Salakhutdinov & Murray 2008), or from 128 on ("threshold"). With more, level = floor(pixel L / 256).

    Attributes:
        count: L, from 2 to 256.
        binarise: "stochastic" or "threshold".

    Raises:
        InputError: an attribute is out of range.
    """

    count: int = 2
    binarise: str = "stochastic"

    def __post_init__(self) -> None:
        if not 2 <= self.count <= 256:
            raise bad_value("count", self.count, "from 2 to 256")
        if self.binarise not in BINARISE:
            raise unknown_name("binarise", self.binarise, BINARISE)

    def values(self, images: Tensor, rng: torch.Generator | None = None) -> Tensor:
        """Return the values, int64 within 0 ... L - 1, of uint8 images of any shape; `rng` is the source of stochastic ones."""
        if self.count > 2:
            return images.long() * self.count // 256
        if self.binarise == "threshold":
            return (images >= 128).long()
        bits = random_bits16(images.shape, rng, device=images.device).clamp_max_(2**15 - 2)  # so that 255 is always 1
        return bits.lt_((images.short() - 128).mul_(256).add_(images)).long()  # 257 v - 2^15 without overflow

    def images(self, values: Tensor) -> Tensor:
        """Return uint8 images of values of any shape: level l becomes 255 l / (L - 1)."""
        return (values * 255 / (self.count - 1)).round().to(torch.uint8)
