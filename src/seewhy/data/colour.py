"""Brightness, contrast, saturation and hue of whole batches, one factor an image.

The arithmetic is that of torchvision.transforms.v2.functional on uint8 images, which takes one factor for the whole batch: products in float32,
grey = floor(0.2989 R + 0.587 G + 0.114 B), results clamped to [0, 255] and truncated. All functions map uint8 (N, H, W, C) and float32 factors
(N,) to uint8 (N, H, W, C).
"""

from __future__ import annotations

import torch
from torch import Tensor

GREY = (0.2989, 0.587, 0.114)


def _each(factors: Tensor) -> Tensor:
    return factors.view(-1, 1, 1, 1)


def _grey(pixels: Tensor) -> Tensor:
    """Return float32 (N, H, W, 1) with whole values."""
    if pixels.shape[3] == 1:
        return pixels.float()
    red, green, blue = pixels.unbind(3)
    return red.mul(GREY[0]).add_(green, alpha=GREY[1]).add_(blue, alpha=GREY[2]).floor_().unsqueeze(3)


def _towards(pixels: Tensor, other: Tensor, factors: Tensor) -> Tensor:
    """Return factor * pixels + (1 - factor) * other."""
    factors = _each(factors)
    return (pixels * factors).add_(other * (1.0 - factors)).clamp_(0, 255).to(torch.uint8)


def adjust_brightness(pixels: Tensor, factors: Tensor) -> Tensor:
    """All values times the factor."""
    return (pixels * _each(factors)).clamp_(0, 255).to(torch.uint8)


def adjust_contrast(pixels: Tensor, factors: Tensor) -> Tensor:
    """The distance of all values from the image's mean grey, times the factor."""
    return _towards(pixels, _grey(pixels).mean(dim=(1, 2, 3), keepdim=True), factors)


def adjust_saturation(pixels: Tensor, factors: Tensor) -> Tensor:
    """The distance of all values from their pixel's grey, times the factor."""
    return _towards(pixels, _grey(pixels), factors)


def adjust_hue(pixels: Tensor, turns: Tensor) -> Tensor:
    """Turn the hue by a share of the circle, in [-0.5, 0.5], in the HSV hexcone (Smith 1978).

    With V the largest value of a pixel, S = (max - min) / max and hue h in [0, 6), a channel whose peak lies at hue n is
    V - V S clamp(min(k, 4 - k), 0, 1) with k = (h + 5 - n) mod 6 counted from the far side: the whole way back to RGB is one formula.
    """
    values = pixels.to(torch.float32).div_(255.0)
    red, green, blue = values.unbind(3)
    low, high = torch.aminmax(values, dim=3)
    spread = high - low
    safe = torch.where(spread == 0, torch.ones_like(spread), spread)
    sector = torch.where(
        high == red,
        (green - blue) / safe,
        torch.where(high == green, (blue - red) / safe + 2.0, (red - green) / safe + 4.0),
    )
    hue = (sector + 6.0 * turns.view(-1, 1, 1)).unsqueeze(3)
    k = torch.remainder(hue + torch.tensor([5.0, 3.0, 1.0], device=pixels.device), 6.0)
    fall = torch.minimum(k, 4.0 - k).clamp_(0.0, 1.0)
    turned = high.unsqueeze(3) - spread.unsqueeze(3) * fall
    return turned.mul_(256.0 - 1e-3).to(torch.uint8)  # as torchvision converts floating point to uint8
