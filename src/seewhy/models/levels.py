"""The levels of brightness that a generator tells apart: from uint8 pictures to its values, and back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seewhy.core.errors import bad_value, unknown_name

BINARISE = ("stochastic", "threshold")


@dataclass(frozen=True)
class Levels:
    """L levels of equal width over 0 ... 255.

    With 2 levels a pixel is white with its brightness over 255 as probability, drawn anew at every call ("stochastic": Salakhutdinov & Murray
    2008), or from 128 on ("threshold"). With more, level = floor(pixel L / 256).

    Attributes:
        count: L, from 2 to 256.
        binarise: "stochastic" or "threshold".

    Raises:
        InputError: an attribute is out of range.
    """

    count: int
    binarise: str = "stochastic"

    def __post_init__(self) -> None:
        if not 2 <= self.count <= 256:
            raise bad_value("levels", self.count, "from 2 to 256")
        if self.binarise not in BINARISE:
            raise unknown_name("generator.binarise", self.binarise, BINARISE)

    def values(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the values, int64 within 0 ... L - 1, of uint8 images of any shape; `generator` is the source of stochastic ones."""
        if self.count > 2:
            return images.long() * self.count // 256
        if self.binarise == "threshold":
            return (images >= 128).long()
        # 16 random bits a pixel, four pixels a draw: exact to 2^-16, and several times faster than a draw each.
        count = images.numel()
        draws = torch.randint(-(2**63), 2**63 - 1, (-(-count // 4),), generator=generator, device=images.device)
        bits = draws.view(torch.int16)[:count].view(images.shape).clamp_max_(2**15 - 2)  # so that 255 is always white
        return bits.lt_((images.short() - 128).mul_(256).add_(images)).long()  # 257 v - 2^15 without overflow

    def pictures(self, values: Tensor) -> Tensor:
        """Return uint8 pictures of values of any shape: level l becomes 255 l / (L - 1)."""
        return (values * 255 / (self.count - 1)).round().to(torch.uint8)
