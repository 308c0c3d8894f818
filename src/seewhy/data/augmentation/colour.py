"""Brightness, contrast, saturation and hue of whole batches, one factor per image.

The arithmetic is that of torchvision.transforms.v2.functional on uint8 images, which takes one factor for the whole batch: products in float32,
grey = floor(0.2989 R + 0.587 G + 0.114 B), results clamped to [0, 255] and truncated.

Each change works in place on planes: float32 (C, N, P), the P = H W pixels of N images, one plane per channel, so that every operation runs
over contiguous memory. It takes whole values from 0 to 255 and leaves values in [0, 256), whose fractions are then dropped. Factors are float32
(N, 1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from seewhy.data.augmentation.chunks import as_bytes, chunks

Change = Callable[[Tensor, Tensor], None]
GREY = (0.2989, 0.587, 0.114)


def recolour(pixels: Tensor, changes: Sequence[tuple[Change, Tensor]]) -> Tensor:
    """Apply changes one after the other.

    Args:
        pixels: uint8 (N, H, W, C), contiguous.
        changes: each with its factors, float32 (N,).

    Returns:
        uint8 (N, H, W, C).
    """
    count = len(pixels)
    if not (changes and count):
        return pixels
    channels = pixels.shape[3] if any(change is not adjust_brightness for change, _ in changes) else 1
    source = pixels.view(count, -1, channels)
    result = torch.empty_like(source)
    for chunk in chunks(count, source[:1].numel(), pixels.device):
        planes = torch.empty_like(
            source[chunk].permute(2, 0, 1), dtype=torch.float32, memory_format=torch.contiguous_format
        )
        planes.copy_(source[chunk].permute(2, 0, 1))
        for position, (change, factors) in enumerate(changes):
            if position:
                planes.floor_()
            change(planes, factors[chunk, None])
        torch.stack(as_bytes(planes).unbind(0), dim=2, out=result[chunk])
    return result.view(pixels.shape)


def adjust_brightness(planes: Tensor, factors: Tensor) -> None:
    """All values times the factor."""
    planes.mul_(factors).clamp_(0, 255)


def adjust_contrast(planes: Tensor, factors: Tensor) -> None:
    """The distance of all values from the image's mean grey, times the factor."""
    _away_from(_grey(planes).mean(dim=1, keepdim=True), planes, factors)


def adjust_saturation(planes: Tensor, factors: Tensor) -> None:
    """The distance of all values from their pixel's grey, times the factor."""
    _away_from(_grey(planes), planes, factors)


def _grey(planes: Tensor) -> Tensor:
    """Return float32 (N, P) with whole values."""
    if len(planes) == 1:
        return planes[0]
    red, green, blue = planes.unbind(0)
    return red.mul(GREY[0]).add_(green, alpha=GREY[1]).add_(blue, alpha=GREY[2]).floor_()


def _away_from(other: Tensor, planes: Tensor, factors: Tensor) -> None:
    """Compute factor * planes + (1 - factor) * other."""
    planes.mul_(factors).add_(other * (1.0 - factors)).clamp_(0, 255)


def adjust_hue(planes: Tensor, turns: Tensor) -> None:
    """Turn the hue by a share of the circle, in [-0.5, 0.5], in the HSV hexcone (Smith 1978).

    With V the largest value of a pixel, S = (max - min) / max and hue h in [0, 6), a channel whose peak lies at hue n is
    V - V S clamp(min(k, 4 - k), 0, 1) with k = (h + 5 - n) mod 6 counted from the far side: the whole way back to RGB is one formula.
    """
    planes.div_(255.0)
    red, green, blue = planes.unbind(0)
    high = torch.maximum(torch.maximum(red, green), blue)
    chroma = torch.minimum(torch.minimum(red, green), blue).neg_().add_(high)
    hue = _hue(red, green, blue, high, chroma).add_(6.0 * turns)
    for plane, far_side in zip(planes, (5.0, 3.0, 1.0), strict=True):
        k = hue + far_side
        k.sub_((k / 6.0).floor_(), alpha=6.0)  # exact, as k lies in [-3, 13); torch.remainder is ten times slower
        fall = torch.minimum(4.0 - k, k).clamp_(0.0, 1.0)
        torch.sub(high, fall.mul_(chroma), out=plane)
    planes.mul_(256.0 - 1e-3)  # as torchvision converts floating point to uint8


def _hue(red: Tensor, green: Tensor, blue: Tensor, high: Tensor, chroma: Tensor) -> Tensor:
    """Return the hue, in [-1, 5]; where several channels are highest, the first counts."""
    # Choices are products with 0 or 1, which are several times as fast as `where`.
    on_red = high.clone().eq_(red)
    on_green = high.clone().eq_(green).mul_(1.0 - on_red)
    on_blue = 1.0 - on_red - on_green
    rise = (green - blue).mul_(on_red).add_((blue - red).mul_(on_green)).add_((red - green).mul_(on_blue))
    rise.div_(chroma.clamp(min=1e-3))  # the least chroma above 0 is 1/255
    return rise.add_(on_green, alpha=2.0).add_(on_blue, alpha=4.0)
