"""Gated PixelCNN without a blind spot, over any number of axes (van den Oord et al. 2016, 1606.05328).

There is one stack of features for each axis. Stack k at position p sees every q that agrees with p in the first k coordinates and is smaller in
coordinate k, wherever its later coordinates lie: in an image stack 0 sees the rows above (the paper's vertical stack), stack 1 the pixels to the
left (the horizontal one). Each stack feeds the next, so that the last one sees all that comes before p and nothing else.

    gate(a, b) = tanh(a / 2) * sigmoid(b)
    y_k = gate(conv_k(h_k) + link_k(y_(k-1)) + V_k e + ...)                2F features before the gate, F after it; e: the class
    h_k = h_k + join_k(y_k)                                                from the second layer on
    logits = conv_1(relu(conv_1(relu(sum over layers of skip(y_last)))))

The last stack's convolutions are masked by colour; the stacks before it hold earlier positions only, all colours of which are visible.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from seewhy.models.autoregressive.networks.masked import MaskedConv, StackConv
from seewhy.models.autoregressive.networks.pixelcnn import last_format, validate_sizes
from seewhy.models.autoregressive.raster import by_level, scaled, validate_raster, validate_values


def gate(x: Tensor) -> Tensor:
    """(N, 2F, ...) -> (N, F, ...): tanh(a / 2) sigmoid(b) of the halves a and b.

    tanh(a / 2) = 2 sigmoid(a) - 1: one call then serves both halves, which lie side by side. The factor 1/2 is for the weights to absorb.
    """
    a, b = torch.sigmoid(x).chunk(2, 1)
    return (2.0 * a - 1.0) * b


class GatedLayer(nn.Module):
    """One layer of all stacks.

    Args:
        width: F.
        side: of the kernel along every axis, odd, at least 3.
        axes: D.
        channels: C, the colours that the last stack's features belong to.
        classes: K classes that shift every gate, or None.
        first: whether it is the one that reads the values: it sees nothing of p itself, and has no residual.
        last: whether only its skip is used.
    """

    def __init__(
        self, width: int, side: int, axes: int, channels: int, classes: int | None, *, first: bool, last: bool
    ) -> None:
        super().__init__()
        point, inputs = (1,) * axes, channels if first else width
        self.first, self.last, self.width, self.axes = first, last, width, axes
        self.convs = nn.ModuleList(
            StackConv(inputs, 2 * width, (1,) * axis + (side,) * (axes - axis), axis=axis, strict=first)
            for axis in range(axes - 1)
        )
        self.own = MaskedConv("A" if first else "B", inputs, width, (*point[1:], side), channels=channels, gates=2)
        self.links = nn.ModuleList(MaskedConv("B", width, 2 * width, point, bias=False) for _ in range(axes - 1))
        self.joins = nn.ModuleList(MaskedConv("B", width, width, point) for _ in range(0 if last else axes - 1))
        self.out = MaskedConv(
            "B", width, width, point, channels=channels, gates=1 if last else 2
        )  # residual, then skip
        self.labels = None if classes is None else nn.Parameter(torch.zeros(classes, axes, 2 * width))

    def stack_layers(self, axis: int) -> tuple[StackConv, MaskedConv | None, MaskedConv | None]:
        """Return a stack's convolution (the last has none), its link to the stack before it and its residual layer, None where it has none."""
        link = cast("MaskedConv", self.links[axis - 1]) if axis else None
        return cast("StackConv", self.convs[axis]), link, None if self.last else cast("MaskedConv", self.joins[axis])

    def shifts(self, labels: Tensor | None) -> list[Tensor | None]:
        """Return what the class adds before the gate of each stack, (N, 2F)."""
        if self.labels is None or labels is None:
            return [None] * self.axes
        return list(self.labels[labels].unbind(1))

    def forward(self, stacks: list[Tensor], labels: Tensor | None) -> tuple[list[Tensor], Tensor]:
        """Take the features of all stacks, (N, F, *axes) each; return those that come out and the skip's, (N, F, *axes)."""
        shifts, after, y = self.shifts(labels), [], stacks[0]
        for axis, (x, shift) in enumerate(zip(stacks, shifts, strict=True)):
            z = last_format((self.own if axis == self.axes - 1 else self.convs[axis])(x))
            if axis:
                z = z + self.links[axis - 1](y)
            if shift is not None:
                z = z + shift[(..., *[None] * self.axes)].to(z.dtype)
            y = gate(z)
            if axis < self.axes - 1 and not self.last:
                residual = self.joins[axis](y)
                after.append(residual if self.first else x + residual)
        if self.last:
            return [], self.out(y)
        residual, skip = self.out(y).chunk(2, 1)
        return [*after, residual if self.first else stacks[-1] + residual], skip


class GatedPixelCNN(nn.Module):
    """Values (N, C, *axes) -> logits (N, L, C, *axes), float32: each value's distribution given all values before it.

    Args:
        shape: (C, *axes): channels, which are predicted in order, and the sides of 1 to 3 axes.
        levels: L, from 2 to 256.
        classes: K, for a network that is conditioned on a class.
        width: F, the features of every stack.
        depth: layers, the first included.
        kernel_size: side of the kernels of all layers but the first, odd, at least 3.
        first_kernel_size: side of the first layer's kernel, odd, at least 3.

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
        self.layers = nn.ModuleList(
            GatedLayer(width, side, axes, channels, classes, first=index == 0, last=index == depth - 1)
            for index, side in enumerate([first_kernel_size] + [kernel_size] * (depth - 1))
        )
        self.hidden = MaskedConv("B", width, 2 * width, (1,) * axes, channels=channels)
        self.last = MaskedConv("B", 2 * width, channels * levels, (1,) * axes, channels=channels)

    def forward(self, values: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, C, *axes) int64 or uint8, labels int64 (N) where there are classes -> (N, L, C, *axes)."""
        validate_values(self, values, labels)
        stacks = [scaled(values, self.levels)] * (len(self.shape) - 1)
        total: Tensor | None = None
        for layer in self.layers:
            stacks, skip = layer(stacks, labels)
            total = skip if total is None else total + skip
        assert total is not None
        return by_level(self.last(torch.relu(self.hidden(torch.relu(total)))), self.shape[0], self.levels)
