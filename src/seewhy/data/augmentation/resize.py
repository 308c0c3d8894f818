"""Whole batches at a lower resolution."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def downsample(images: Tensor, side: int) -> Tensor:
    """Return square images at a smaller side, bilinear with antialiasing.

    Args:
        images: uint8 (N, C, H, H).
        side: in pixels, at most H.

    Returns:
        uint8 (N, C, side, side), channels last.
    """
    if images.device.type == "cpu":  # has a kernel for bytes
        small = F.interpolate(images, size=(side, side), mode="bilinear", antialias=True)
    else:
        small = (
            F.interpolate(images.float(), size=(side, side), mode="bilinear", antialias=True).round_().to(images.dtype)
        )
    return small.contiguous(memory_format=torch.channels_last)
