"""Resizing tensors by the rule for image files: antialiased, and cropped, padded or stretched (`seewhy.data.DecodeRule`).

The weights are those of Pillow's bilinear filter: a triangle, as wide as the factor of downsampling, normalised, in units of 2^-22;
rows first rounded to uint8, then columns: two matrix products. Pillow from version 13 on resizes the columns of tall images first; there the
results differ by at most one intensity level.

`resample` and `any_to_channels` branch on no size, so that they can be traced for images of any (`torch.export`).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from seewhy.data import Fit

LUMA = (19595, 38470, 7471)
"""Weights of red, green and blue in grey, in units of 2^-16 (ITU-R 601-2, as Pillow has them)."""

UNIT = 2.0**22
"""Weights of pixels are whole multiples of 1 / this."""


def to_channels(images: Tensor, channels: int) -> Tensor:
    """Return uint8 images (N, C, H, W) with 1 or 3 channels: grey repeated, or colours weighed by their luma."""
    if images.shape[1] == channels:
        return images
    return images.expand(-1, 3, -1, -1) if channels == 3 else _luma(images)


def any_to_channels(images: Tensor, channels: int) -> Tensor:
    """Return what `to_channels` does, of images whose channels, 1 or 3, are not known when the call is traced."""
    last = images.shape[1] - torch.ones((), dtype=torch.int64)
    colours = images.index_select(1, torch.minimum(torch.arange(3), last))
    return colours if channels == 3 else _luma(colours)  # which leaves grey as it is, for the weights sum to 1


def _luma(colours: Tensor) -> Tensor:
    weights = torch.tensor(LUMA, dtype=torch.int32, device=colours.device).view(1, 3, 1, 1)
    grey = ((colours.int() * weights).sum(1, keepdim=True, dtype=torch.int32) + 0x8000) // 0x10000
    return grey.to(torch.uint8)


def cover(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Return uint8 images (N, C, H, W) at another size (height, width), cropped."""
    if tuple(images.shape[2:]) == tuple(size):
        return images
    with torch.autocast(images.device.type, enabled=False):
        return resample(images, size, "crop")


class Axis(NamedTuple):
    """How one axis is resized: pixels from `low` to `high` become `inner` ones, which begin at `offset`; 0-d tensors."""

    low: Tensor
    high: Tensor
    inner: Tensor
    offset: Tensor


def resample(images: Tensor, size: tuple[int, int], fit: Fit) -> Tensor:
    """Return uint8 images (N, C, H, W) at a size (height, width), by a rule for other shapes; call it without autocast."""
    dtype = torch.float32 if images.device.type == "mps" else torch.float64  # which mps has not
    one = torch.ones((), dtype=dtype, device=images.device)
    height, width = images.shape[2] * one, images.shape[3] * one
    down, along = _axes(height, width, size, fit)
    rows, columns = _weights(images.shape[2], size[0], down, 1), _weights(images.shape[3], size[1], along, 0)
    across = _rounded(images.to(dtype) @ columns)  # sums of whole numbers, exact in float64
    return _rounded(rows @ across).to(torch.uint8)


def _axes(height: Tensor, width: Tensor, size: tuple[int, int], fit: Fit) -> tuple[Axis, Axis]:
    """Return how rows and columns of images of a height and width are resized."""
    zero, sides = torch.zeros_like(height), (height, width)
    wholes = [torch.full_like(height, target) for target in size]
    if fit == "pad":
        scale = torch.minimum(size[1] / width, size[0] / height)
        inner = [(side * scale).round().clamp_min(1) for side in sides]
        offsets = [((whole - own) / 2).floor() for whole, own in zip(wholes, inner, strict=True)]
        return tuple(Axis(zero, *each) for each in zip(sides, inner, offsets, strict=True))  # type: ignore[return-value]
    scale = torch.minimum(width / size[1], height / size[0])
    margins = [
        ((side - target * scale) / 2).clamp_min(0) if fit == "crop" else zero
        for side, target in zip(sides, size, strict=True)
    ]
    return tuple(  # type: ignore[return-value]
        Axis(_single(margin), _single(side - margin), whole, zero)
        for side, margin, whole in zip(sides, margins, wholes, strict=True)
    )


def _single(value: Tensor) -> Tensor:
    """Return a coordinate as Pillow has it, which is a float of 32 bits."""
    return value.float().to(value.dtype)


def _rounded(values: Tensor) -> Tensor:
    return (values / UNIT + 0.5).floor().clamp(0, 255)


def _weights(source: int, target: int, axis: Axis, dim: int) -> Tensor:
    """Return the weights of one axis in units: 0 outside of the inner pixels; the source's pixels lie in `dim`, 0 or 1.

    None is transposed when it is used: onnxruntime up to 1.25 fuses a product with a transposition into one that it does not have in float64.
    """
    dtype, device = axis.low.dtype, axis.low.device
    factor = (axis.high - axis.low) / axis.inner
    position = torch.arange(target, dtype=dtype, device=device) - axis.offset
    centres = axis.low + (position + 0.5) * factor
    pixels = torch.arange(source, dtype=dtype, device=device)
    distance = (pixels.unsqueeze(1 - dim) - centres.unsqueeze(dim) + 0.5) * (1.0 / factor.clamp_min(1.0))
    inside = ((position >= 0) & (position < axis.inner)).to(dtype)
    weights = (1.0 - distance.abs()).clamp_min(0) * inside.unsqueeze(dim)
    return (weights / weights.sum(dim, keepdim=True).clamp_min(0.1) * UNIT + 0.5).floor()
