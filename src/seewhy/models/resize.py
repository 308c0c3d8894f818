"""Resizing tensors by the rule for image files: scaled to just cover the wanted size, antialiased, and cut out of the centre.

The weights are those of Pillow's bilinear filter: a triangle, as wide as the factor of downsampling, normalised, in units of 2^-22;
rows first rounded to uint8, then columns. Pillow from version 13 on resizes the columns of tall images first; there the results differ by at
most one intensity level.
"""

from __future__ import annotations

import torch
from torch import Tensor

LUMA = (19595, 38470, 7471)
"""Weights of red, green and blue in grey, in units of 2^-16 (ITU-R 601-2, as Pillow has them)."""

UNIT = 2.0**22
"""Weights of pixels are whole multiples of 1 / this."""


def to_channels(images: Tensor, channels: int) -> Tensor:
    """Return uint8 images (N, C, H, W) with 1 or 3 channels: grey repeated, or colours weighed by their luma."""
    if images.shape[1] == channels:
        return images
    if channels == 3:
        return images.expand(-1, 3, -1, -1)
    weights = torch.tensor(LUMA, dtype=torch.int32, device=images.device).view(1, 3, 1, 1)
    grey = ((images.int() * weights).sum(1, keepdim=True) + 0x8000) >> 16
    return grey.to(torch.uint8)


def cover(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Return uint8 images (N, C, H, W) at another size (height, width)."""
    height, width = images.shape[2:]
    if (height, width) == tuple(size):
        return images
    scale = min(width / size[1], height / size[0])
    rows = _weights(height, size[0], scale, images.device)
    columns = _weights(width, size[1], scale, images.device)
    with torch.autocast(images.device.type, enabled=False):  # sums of whole numbers, exact in float64
        across = _rounded(images.to(rows.dtype) @ columns.T)
        return _rounded(rows @ across).to(torch.uint8)


def _rounded(values: Tensor) -> Tensor:
    return (values / UNIT + 0.5).floor().clamp(0, 255)


def _weights(source: int, target: int, scale: float, device: torch.device) -> Tensor:
    """Return the weights (target, source) of one axis in units, of which the central target x scale pixels are taken."""
    dtype = torch.float32 if device.type == "mps" else torch.float64  # which mps has not
    start = max((source - target * scale) / 2, 0.0)
    extent = source - 2 * start
    factor = extent / target
    support = max(factor, 1.0)
    centres = start + (torch.arange(target, dtype=dtype, device=device) + 0.5) * factor
    low = (centres - support + 0.5).floor().clamp_min(0)
    high = (centres + support + 0.5).floor().clamp_max(source)
    pixels = torch.arange(source, dtype=dtype, device=device)
    distance = ((pixels + 0.5)[None] - centres[:, None]) / support
    inside = (pixels[None] >= low[:, None]) & (pixels[None] < high[:, None])
    weights = (1.0 - distance.abs()).clamp_min(0) * inside
    return (weights / weights.sum(1, keepdim=True) * UNIT).round()
