"""The cursor of `PixelCNN`: every convolution's part within the line position by position, what comes from earlier lines a line at a time.

`seewhy.models.autoregressive.cursors.line_cache` says how. A block's last bias is the weight of a row of ones before its features.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor

from seewhy.models.autoregressive.cursors.line_cache import (
    Groups,
    History,
    Line,
    LineConv,
    LineCursor,
    Pointwise,
    Values,
    empty,
    stretch,
)
from seewhy.models.autoregressive.networks.pixelcnn import Block, PixelCNN


class _Step(NamedTuple):
    """What one block needs for one colour: weights, and the rows (F, N) that it reads and writes."""

    rectified: Tensor  # takes the trunk's features of this colour
    narrow_bias: Tensor
    narrow: Tensor
    rectifieds: Tensor  # of all colours up to this
    slots: list[Tensor]  # where the line takes this colour's features, by position
    conv: LineConv
    inner: Tensor
    windows: list[Tensor]
    middle: Tensor
    widen: Tensor
    middles: Tensor  # a row of ones, and all colours up to this


class _Rows(NamedTuple):
    """What one colour needs beside its blocks."""

    trunk: Tensor
    steps: list[_Step]
    rectified: Tensor
    rectifieds: Tensor
    hidden: Tensor
    hiddens: Tensor
    logits: Tensor


class PixelCNNCursor(LineCursor):
    """Keeps, for every block, the features that its inner convolution reads.

    Args:
        net: the network.
        values: int64 or uint8 (N, C, *axes), filled from outside.
        labels: int64 (N) where there are classes.
    """

    def __init__(self, net: PixelCNN, values: Tensor, labels: Tensor | None) -> None:
        with torch.inference_mode():
            self._prepare(net, values, labels)

    def _prepare(self, net: PixelCNN, values: Tensor, labels: Tensor | None) -> None:
        blocks = cast("list[Block]", list(net.blocks))
        self.channels, self.shape = net.shape[0], net.shape
        like = empty(net.first.weight, len(values))
        convs = [net.first, *(block.inner for block in blocks)]
        lines = [Line(conv.mask.shape[1], self.channels, conv.kernel[-1] // 2, net.shape[-1], like) for conv in convs]
        self.values = Values(values, net.levels, lines[0])
        shifts = [None, *(block.shift(labels) for block in blocks)]
        self.convs = [LineConv(*parts) for parts in zip(convs, lines, shifts, strict=True)]
        self.history = [History(conv, net.shape) for conv in self.convs]
        self.hidden, self.last = Pointwise(net.hidden, like), Pointwise(net.last, like)
        self.before: tuple[tuple[int, ...], int, int] | None = None
        self._prepare_rows(net, blocks, like)

    def _prepare_rows(self, net: PixelCNN, blocks: list[Block], like: Tensor) -> None:
        width, count = len(blocks[0].inner.mask), like.shape[1]
        thin, wide = Groups(width, self.channels), Groups(2 * width, self.channels)
        trunk, rectified, hidden = (like.new_zeros(2 * width, count) for _ in range(3))
        # One set a block: a colour reads what the colours before it have left there.
        rectifieds = like.new_zeros(len(blocks), 2 * width, count)
        middles = like.new_ones(len(blocks), 1 + width, count)
        narrow, widen = (
            [Pointwise(conv, like) for conv in each]
            for each in zip(*((b.narrow, b.widen) for b in blocks), strict=True)
        )
        self.rows = []
        for c in range(self.channels):
            steps = [
                _Step(
                    rectified=wide.own(rectifieds[index], c),
                    narrow_bias=narrow[index].biases[c],
                    narrow=narrow[index].weights[c],
                    rectifieds=wide.up_to(rectifieds[index], c),
                    slots=conv.line.own[c],
                    conv=conv,
                    inner=conv.weights[c],
                    windows=conv.line.windows,
                    middle=thin.own(middles[index, 1:], c),
                    widen=torch.cat([widen[index].biases[c][:, :1], widen[index].weights[c]], 1),
                    middles=middles[index, : 1 + thin.first[c + 1]],
                )
                for index, conv in enumerate(self.convs[1:])
            ]
            self.rows.append(
                _Rows(
                    trunk=wide.own(trunk, c),
                    steps=steps,
                    rectified=wide.own(rectified, c),
                    rectifieds=wide.up_to(rectified, c),
                    hidden=wide.own(hidden, c),
                    hiddens=wide.up_to(hidden, c),
                    logits=like.new_zeros(net.levels, count),
                )
            )

    def _begin(self, lead: tuple[int, ...], j: int) -> None:
        """Begin a stretch of a line: store the last one, and compute what comes from earlier lines."""
        size = stretch(self.shape, j)
        if self.before is not None:
            earlier, start, length = self.before
            self.values.read(length - 1, self.channels - 1)
            for history in self.history:
                history.store(earlier, start, length)
        self.before = (lead, j, size)
        for conv, history in zip(self.convs, self.history, strict=True):
            if j == 0:
                history.begin(lead)
            conv.begin(history.ahead(lead, j, size), j)
        self.values.begin(lead, j, size)

    def _logits(self, j: int, colour: int) -> Tensor:
        rows, first, addmm = self.rows[colour], self.convs[0], torch.addmm
        trunk = rows.trunk
        addmm(first.ahead[colour][j], first.weights[colour], first.line.windows[j], out=trunk)
        for rectified, bias, narrow, rectifieds, slots, conv, inner, windows, middle, widen, middles in rows.steps:
            torch.clamp_min(trunk, 0.0, out=rectified)
            addmm(bias, narrow, rectifieds, out=slots[j]).relu_()
            addmm(conv.ahead[colour][j], inner, windows[j], out=middle).relu_()
            trunk.addmm_(widen, middles)
        torch.clamp_min(trunk, 0.0, out=rows.rectified)
        addmm(self.hidden.biases[colour], self.hidden.weights[colour], rows.rectifieds, out=rows.hidden).relu_()
        return addmm(self.last.biases[colour], self.last.weights[colour], rows.hiddens, out=rows.logits).t()
