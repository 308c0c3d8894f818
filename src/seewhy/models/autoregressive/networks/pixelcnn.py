"""PixelCNN: masked convolutions in residual blocks (van den Oord et al. 2016, 1601.06759, section 3.3 and figure 5).

    x = conv_A(v)                                                          first_kernel_size x first_kernel_size, 2h features
    x = x + conv_1(relu(conv_B(relu(conv_1(relu(x))))))                    depth times: 2h -> h, h -> h (kernel_size x kernel_size), h -> 2h
    logits = conv_1(relu(conv_1(relu(x))))

v are the values scaled to [-1, 1]. What a stack of such convolutions sees of an image has a blind spot: to the right of a pixel, more than
(kernel_size - 1) / 2 columns per row. `seewhy.models.autoregressive.networks.gated_pixelcnn` has none.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seewhy.core.errors import bad_value
from seewhy.models.autoregressive.networks.masked import MaskedConv
from seewhy.models.autoregressive.raster import by_level, scaled, validate_raster, validate_values


class Block(nn.Module):
    """A residual block over 2h features: (N, 2h, *axes) -> (N, 2h, *axes).

    Args:
        width: h.
        sides: the inner kernel, odd sides.
        channels: C, the colours that features belong to.
        classes: K classes that shift the h features before they are rectified for the last time, or None.
    """

    def __init__(self, width: int, sides: tuple[int, ...], channels: int, classes: int | None) -> None:
        super().__init__()
        point = (1,) * len(sides)
        self.narrow = MaskedConv("B", 2 * width, width, point, channels=channels)
        self.inner = MaskedConv("B", width, width, sides, channels=channels)
        self.widen = MaskedConv("B", width, 2 * width, point, channels=channels)
        self.labels = None if classes is None else nn.Parameter(torch.zeros(classes, width))

    def shift(self, labels: Tensor | None) -> Tensor | None:
        """Return what the class adds to the h features, (N, h)."""
        return None if self.labels is None or labels is None else self.labels[labels]

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """Return x plus the residual branch."""
        y = self.inner(torch.relu(self.narrow(torch.relu(x))))
        shift = self.shift(labels)
        if shift is not None:
            y = y + shift[(..., *[None] * (y.ndim - 2))].to(y.dtype)
        result: Tensor = x + self.widen(torch.relu(y))
        return result


class PixelCNN(nn.Module):
    """Values (N, C, *axes) -> logits (N, L, C, *axes), float32: each value's distribution given all values before it.

    Args:
        shape: (C, *axes): channels, which are predicted in order, and the sides of 1 to 3 axes.
        levels: L, from 2 to 256.
        classes: K, for a network that is conditioned on a class.
        width: h; blocks carry 2h features.
        depth: blocks.
        kernel_size: side of the blocks' convolution, odd, at least 3.
        first_kernel_size: side of the first convolution, odd, at least 3.

    Raises:
        InputError: an argument is out of range, or (on a call) values or labels do not fit.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        levels: int,
        *,
        classes: int | None = None,
        width: int = 32,
        depth: int = 7,
        kernel_size: int = 3,
        first_kernel_size: int = 7,
    ) -> None:
        super().__init__()
        validate_raster(shape, levels, classes)
        validate_sizes(depth, kernel_size, first_kernel_size)
        self.shape, self.levels, self.classes = tuple(shape), levels, classes
        channels, axes = shape[0], len(shape) - 1
        point = (1,) * axes
        self.first = MaskedConv("A", channels, 2 * width, (first_kernel_size,) * axes, channels=channels)
        self.blocks = nn.ModuleList(Block(width, (kernel_size,) * axes, channels, classes) for _ in range(depth))
        self.hidden = MaskedConv("B", 2 * width, 2 * width, point, channels=channels)
        self.last = MaskedConv("B", 2 * width, channels * levels, point, channels=channels)

    def forward(self, values: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, C, *axes) int64 or uint8, labels int64 (N) where there are classes -> (N, L, C, *axes)."""
        validate_values(self, values, labels)
        x = last_format(self.first(scaled(values, self.levels)))
        for block in self.blocks:
            x = block(x, labels)
        return by_level(self.last(torch.relu(self.hidden(torch.relu(x)))), self.shape[0], self.levels)


def validate_sizes(depth: int, kernel_size: int, first_kernel_size: int) -> None:
    """Raise InputError unless there is a block and the kernels are odd and at least 3."""
    if depth < 1:
        raise bad_value("depth", depth, "at least 1")
    for name, side in (("kernel_size", kernel_size), ("first_kernel_size", first_kernel_size)):
        if side < 3 or side % 2 == 0:
            raise bad_value(name, side, "odd and at least 3")


def last_format(x: Tensor) -> Tensor:
    """Return x with its features last in memory, in which convolutions are fastest."""
    if x.ndim == 4:
        return x.contiguous(memory_format=torch.channels_last)
    return x.contiguous(memory_format=torch.channels_last_3d) if x.ndim == 5 else x
