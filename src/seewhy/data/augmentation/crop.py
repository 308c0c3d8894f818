"""Windows of images, resampled: each image shows a part of itself, enlarged to a common size.

Resampling is linear along the columns, then along the rows. With s = window / side pixels of the window for one of the result, the value at
position i is the mean of the window's pixels j weighted by the triangle max(0, 1 - |j + 1/2 - s (i + 1/2)| / r), of radius r = max(1, s) with
antialiasing and r = 1 without. Both are the same where nothing is downsampled. Between the two passes values are rounded to whole levels, as
PyTorch does for bytes.

On a processor PyTorch has a vectorised kernel for bytes, which is called for one window after the other. Elsewhere a launch costs more than a
window, so whole batches are gathered pixel by pixel of the triangle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from seewhy.core.errors import bad_value
from seewhy.data.augmentation.boxes import Boxes, sample_boxes, validate_range
from seewhy.data.augmentation.chunks import as_bytes, chunks


@dataclass(frozen=True, kw_only=True)
class ResizedCrop:
    """Random resized crop: a window of random area, shape and position becomes the image (Szegedy et al. 2015, 1409.4842).

    Where none of `boxes.TRIES` sampled windows fits, the largest central one within the ratios is taken.

    Attributes:
        scale: the window's share of the image's area, uniform.
        ratio: the window's width / height, uniform in the logarithm.
        size: height and width of the result in pixels; None: the images' own height and width.
        antialias: whether downsampled windows are smoothed; where `size` is None, nothing is downsampled.

    Raises:
        InputError: a number is out of range.
    """

    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    size: int | None = None
    antialias: bool = True

    def __post_init__(self) -> None:
        """Check the numbers."""
        validate_range("scale", self.scale, 0, 1, "two ascending shares above 0 and at most 1")
        validate_range("ratio", self.ratio, 0, math.inf, "two ascending ratios above 0")
        if self.size is not None and self.size < 1:
            raise bad_value("size", self.size, "at least 1 pixel")

    def __call__(self, images: Tensor, sample_ids: Tensor, *, seed: int, epoch: int) -> Tensor:
        """Return the resampled windows.

        Args:
            images: uint8 (N, C, H, W).
            sample_ids: int64 (N,).
            seed: the run's seed.
            epoch: from 0.

        Returns:
            uint8 (N, C, size, size), channels last.
        """
        boxes = self.boxes(sample_ids, images.shape[2:], seed=seed, epoch=epoch)
        return resample(images, boxes, self.shape_of(images), antialias=self.antialias)

    def shape_of(self, images: Tensor) -> tuple[int, int]:
        """Return (height, width) of the result for images (N, C, H, W)."""
        return (images.shape[2], images.shape[3]) if self.size is None else (self.size, self.size)

    def boxes(self, sample_ids: Tensor, shape: tuple[int, ...], *, seed: int, epoch: int) -> Boxes:
        """Return the windows of images of a shape (H, W)."""
        height, width = shape
        sampled, fits = sample_boxes(
            sample_ids, (height, width), self.scale, self.ratio, seed=seed, epoch=epoch, purpose="resized crop"
        )
        rows = min(height, max(1, round(width / self.ratio[0])))
        columns = min(width, max(1, round(height * self.ratio[1])))
        central = ((height - rows) // 2, (width - columns) // 2, rows, columns)
        return sampled.where(fits, Boxes(*(torch.full_like(sample_ids, value) for value in central)))


def resample(
    images: Tensor, boxes: Boxes, shape: tuple[int, int], *, antialias: bool = True, flipped: Tensor | None = None
) -> Tensor:
    """Return each image's window at a common size.

    Args:
        images: uint8 (N, C, H, W); fastest in channels-last memory format.
        boxes: the windows, inside the images.
        shape: (height, width) of the result.
        antialias: whether downsampled windows are smoothed.
        flipped: bool (N,): which images are flipped left to right before the window is cut.

    Returns:
        uint8 (N, C, height, width), channels last.
    """
    if not len(images):
        return images.new_empty((0, images.shape[1], *shape)).contiguous(memory_format=torch.channels_last)
    resample_windows = resample_each if images.device.type == "cpu" else resample_together
    return resample_windows(images, boxes, shape, antialias, flipped)


def resample_each(
    images: Tensor, boxes: Boxes, shape: tuple[int, int], antialias: bool, flipped: Tensor | None
) -> Tensor:
    """Do what `resample` says by PyTorch's kernel for bytes, a window at a time."""
    width, flips = images.shape[3], [False] * len(images) if flipped is None else flipped.tolist()
    bounds = zip(*(column.tolist() for column in (boxes.top, boxes.left, boxes.height, boxes.width)), strict=True)
    windows = []
    images = images.contiguous(memory_format=torch.channels_last)
    for image, (top, left, rows, columns), flip in zip(torch.split(images, 1), bounds, flips, strict=True):
        first = width - left - columns if flip else left
        window = image[:, :, top : top + rows, first : first + columns]
        window = window.flip(3) if flip else window
        windows.append(F.interpolate(window, shape, mode="bilinear", antialias=antialias))
    return torch.cat(windows).contiguous(memory_format=torch.channels_last)


def resample_together(
    images: Tensor, boxes: Boxes, shape: tuple[int, int], antialias: bool, flipped: Tensor | None
) -> Tensor:
    """Do what `resample` says by a gather for each pixel of the triangle, many windows at a time."""
    pixels = images.permute(0, 2, 3, 1).contiguous()  # (N, H, W, C)
    count, height, width, channels = pixels.shape
    columns, across = _taps(boxes.left, boxes.width, width, shape[1], antialias)
    rows, down = _taps(boxes.top, boxes.height, height, shape[0], antialias)
    if flipped is not None:
        columns = torch.where(flipped[:, None, None], width - 1 - columns, columns)
    result = pixels.new_empty((count, *shape, channels))
    for chunk in chunks(count, max(height, shape[0]) * max(width, shape[1]) * channels, pixels.device):
        narrow = _across(pixels[chunk], columns[chunk], across[chunk])
        result[chunk] = _down(narrow, rows[chunk], down[chunk])
    return result.permute(0, 3, 1, 2)


def _taps(start: Tensor, length: Tensor, source: int, side: int, antialias: bool) -> tuple[Tensor, Tensor]:
    """Return which T pixels of an axis each pixel of the result is the weighted mean of.

    Args:
        start: int64 (N,), the windows' first pixels.
        length: int64 (N,), their lengths.
        source: pixels of the axis.
        side: pixels of the result.
        antialias: whether downsampled windows are smoothed.

    Returns:
        Positions int32 (N, side, T) within the axis, and their weights float32 (N, side, T).
    """
    span = length[:, None] / side
    radius = span.clamp(min=1.0)[:, :, None] if antialias else 1.0
    count = min(source, math.ceil(2 * max(1.0, source / side)) if antialias else 2)
    centre = span * (torch.arange(side, device=start.device) + 0.5)
    first = start[:, None] + torch.floor(centre[:, :, None] - radius + 0.5)[:, :, 0].long()
    positions = first.clamp_(0, source - count)[:, :, None] + torch.arange(count, device=start.device)
    within = positions - start[:, None, None]
    weights = (1.0 - (within + 0.5 - centre[:, :, None]).abs_() / radius).clamp_(min=0.0)
    weights = weights * ((within >= 0) & (within < length[:, None, None]))
    return positions.int(), weights.div_(weights.sum(dim=2, keepdim=True))


def _across(pixels: Tensor, columns: Tensor, weights: Tensor) -> Tensor:
    """Return uint8 (n, H, side, C), the weighted means along the columns of uint8 (n, H, W, C)."""
    count, height, width, channels = pixels.shape
    side, taps = columns.shape[1:]
    flat = pixels.reshape(-1, channels)
    first = torch.arange(0, count * height * width, width, dtype=torch.int32, device=pixels.device)
    factors = weights.repeat_interleave(channels, dim=1).unsqueeze(1)  # (n, 1, side C, T)
    total = torch.full((count, height, side * channels), 0.5, device=pixels.device)
    for tap in range(taps):
        positions = (first.view(count, height, 1) + columns[:, None, :, tap]).flatten()
        values = flat.index_select(0, positions).view(total.shape)
        total += values * factors[..., tap]
    return as_bytes(total).view(count, height, side, channels)


def _down(pixels: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """Return uint8 (n, side, W, C), the weighted means along the rows of uint8 (n, H, W, C)."""
    count, height, width, channels = pixels.shape
    side, taps = rows.shape[1:]
    flat = pixels.reshape(count * height, width * channels)
    first = torch.arange(0, count * height, height, dtype=torch.int32, device=pixels.device)
    total = torch.full((count, side, width * channels), 0.5, device=pixels.device)
    for tap in range(taps):
        values = flat.index_select(0, (first[:, None] + rows[:, :, tap]).flatten())
        total += values.view(total.shape) * weights[:, :, tap, None]
    return as_bytes(total).view(count, side, width, channels)
