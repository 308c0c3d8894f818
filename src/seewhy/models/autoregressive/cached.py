"""What a network keeps while it draws, so that a value costs one position's work and not a raster's (Ramachandran et al. 2017, 1704.06001).

A raster is drawn line by line, a line being its last axis. What a masked convolution sees is split in two:

    earlier lines   are complete when a line begins, so their part is computed for all positions of the line at once
    its own line    grows position by position; the features of the last few positions lie next to one another as the rows of one
                    matrix (taps F, N), so that their part is one matrix product

All features are kept with the batch as the last axis, (F, N): those of one colour are then neighbours, and so are those of one window. A
colour's features are computed when the values of the colours before it are there, so that a position is computed once however many colours.

Letters: N rasters, F features, W positions in a line, C colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from seewhy.models.autoregressive.masked import CONVOLUTIONS, MaskedConv, colours
from seewhy.models.autoregressive.raster import STRETCH


class Groups:
    """Which features belong to which colour: first[c] to first[c + 1].

    Args:
        features: F.
        channels: C.
    """

    def __init__(self, features: int, channels: int) -> None:
        count = torch.bincount(colours(features, channels), minlength=channels).tolist()
        self.first = [sum(count[:colour]) for colour in range(channels + 1)]

    def own(self, x: Tensor, colour: int) -> Tensor:
        """Return the rows of x (F, ...) of a colour."""
        return x[self.first[colour] : self.first[colour + 1]]

    def seen(self, x: Tensor, colour: int) -> Tensor:
        """Return the rows of x (F, ...) of this colour and those before it."""
        return x[: self.first[colour + 1]]


def by_colour(conv: MaskedConv) -> list[Tensor]:
    """Return the places of a convolution's outputs that belong to each colour, int64: all its gates'."""
    outputs = len(conv.seen)
    owner = colours(outputs // conv.gates, conv.channels).repeat(conv.gates)
    return [torch.nonzero(owner == colour).flatten() for colour in range(conv.channels)]


class Line:
    """The features of the line that is being drawn, of at most `STRETCH` positions and the few before them: (before + length, F, N).

    Args:
        features: F.
        channels: C.
        before: positions that a window shows beside the newest one.
        width: W.
        like: an empty (0, N) tensor of the type and device to use.
    """

    def __init__(self, features: int, channels: int, before: int, width: int, like: Tensor) -> None:
        self.before, self.length = before, min(width, STRETCH)
        self.cells = like.new_zeros(before + self.length, features, like.shape[1])
        self.slots = list(self.cells[before:].unbind(0))
        groups = Groups(features, channels)
        self.own = [[groups.own(slot, colour) for slot in self.slots] for colour in range(channels)]
        self.windows = [self.cells[j : j + before + 1].flatten(0, 1) for j in range(self.length)]

    def begin(self, j: int) -> None:
        """Begin at position j of a line: at 0 with nothing before it, else with the end of the stretch before."""
        if j == 0:
            self.cells.zero_()
        elif self.before:
            self.cells[: self.before] = self.cells[-self.before :].clone()

    def features(self, size: int) -> Tensor:
        """Return the first `size` positions of the stretch as (N, F, size)."""
        return self.cells[self.before : self.before + size].permute(2, 1, 0)


class LineConv:
    """A masked convolution's part within the line: for each colour its weights, and what is added to their product.

    Args:
        conv: the convolution.
        line: the features that it reads.

    Attributes:
        weights: for each colour, (F_c, taps F_in).
        ahead: for each colour, for each position of the stretch, what comes from elsewhere, (F_c, N).
    """

    def __init__(self, conv: MaskedConv, line: Line) -> None:
        self.conv, self.line, self.order = conv, line, by_colour(conv)
        taps = conv.kernel[-1] // 2 + 1
        centre: Any = (slice(None), slice(None), *(min(side, seen - 1) for side, seen in self._centre()), slice(taps))
        rows = conv.masked()[centre].permute(0, 2, 1).flatten(1)
        self.weights = [rows[places].contiguous() for places in self.order]
        self.ahead: list[Sequence[Tensor]] = []

    def _centre(self) -> list[tuple[int, int]]:
        return [(side // 2, seen) for side, seen in zip(self.conv.kernel[:-1], self.conv.seen.shape[2:-1], strict=True)]

    def begin(self, ahead: Tensor) -> None:
        """Take what comes from elsewhere, bias included, (N, gates F_out, positions)."""
        moved = ahead.permute(2, 1, 0)
        self.ahead = [moved[:, places].contiguous().unbind(0) for places in self.order]


class History:
    """The earlier lines that a masked convolution sees, and their part: (N, F_in, steps of the first axis, *others with their borders).

    Args:
        conv: the convolution, over at least one axis.
        shape: the raster's (C, *axes).
        like: an empty (0, N) tensor of the type and device to use.
    """

    def __init__(self, conv: MaskedConv, shape: Sequence[int], like: Tensor) -> None:
        self.conv, self.axes = conv, len(shape) - 1
        self.sides = [side // 2 for side in conv.kernel]
        self.weight = conv.masked().clone()
        centre: Any = (slice(None), slice(None), -1, *self.sides[1:-1])
        if self.axes == 2:
            self.weight = self.weight[:, :, :-1]
        elif self.axes > 2:
            self.weight[centre] = 0.0
        self.none = like.new_zeros(like.shape[1], len(conv.seen), 1)
        borders = [axis + 2 * side for axis, side in zip(shape[2:], self.sides[1:], strict=True)]
        steps = self.sides[0] + 1
        self.kept = like.new_zeros(like.shape[1], conv.seen.shape[1], steps, *borders) if self.axes > 1 else None
        self.useful = self.axes > 1 and any(self.sides[:-1])

    def begin(self, lead: tuple[int, ...]) -> None:
        """Begin a line: forget what is too far back."""
        if self.kept is not None and not any(lead[1:]):
            self.kept[:, :, :-1] = self.kept[:, :, 1:].clone()
            self.kept[:, :, -1] = 0.0

    def keep(self, lead: tuple[int, ...], j: int, features: Tensor) -> None:
        """Keep the features of positions from j on, (N, F_in, positions), of a line."""
        if self.kept is not None:
            places = (index + side for index, side in zip(lead[1:], self.sides[1:-1], strict=True))
            start = j + self.sides[-1]
            where: Any = (slice(None), slice(None), -1, *places, slice(start, start + features.shape[2]))
            self.kept[where] = features

    def ahead(self, lead: tuple[int, ...], j: int, size: int) -> Tensor:
        """Return the earlier lines' part and the bias for positions j to j + size of a line, (N, F_out, size)."""
        if self.kept is None or not self.useful:
            bias = self.none if self.conv.bias is None else self.none + self.conv.bias[:, None]
            return bias.expand(-1, -1, size)
        rows = (slice(index, index + 2 * side + 1) for index, side in zip(lead[1:], self.sides[1:-1], strict=True))
        where: Any = (slice(None), slice(None), slice(None), *rows, slice(j, j + size + 2 * self.sides[-1]))
        kept = self.kept[where].narrow(2, 0, self.weight.shape[2])
        return CONVOLUTIONS[self.axes](kept, self.weight, self.conv.bias).flatten(2)


class Pointwise:
    """A convolution of side 1 on (F_in, N): for each colour its weights, which read the colours up to it, and its bias, (F_c, N).

    Args:
        conv: the convolution, of kind B.
        like: an empty (0, N) tensor of the type and device to use.
    """

    def __init__(self, conv: MaskedConv, like: Tensor) -> None:
        matrix = conv.masked().flatten(1)
        groups = Groups(matrix.shape[1], conv.channels)
        order = by_colour(conv)
        seen = [groups.seen(matrix.t(), colour).t() for colour in range(conv.channels)]
        self.weights = [rows[places].contiguous() for rows, places in zip(seen, order, strict=True)]
        bias = matrix.new_zeros(len(matrix)) if conv.bias is None else conv.bias
        self.biases = [bias[places, None].expand(-1, like.shape[1]).contiguous() for places in order]


class Values:
    """Brings values that were drawn into a line of features, scaled to [-1, 1].

    Args:
        values: int64 or uint8 (N, C, *axes), filled from outside.
        levels: L.
        line: the line that they go to.
    """

    def __init__(self, values: Tensor, levels: int, line: Line) -> None:
        self.values, self.line = values, line
        self.scale = 2.0 / (levels - 1)
        self.lowest = -torch.ones_like(line.cells[0, 0])
        self.cells: list[Sequence[Tensor]] = []

    def begin(self, lead: tuple[int, ...], j: int, size: int) -> None:
        """Turn to positions j to j + size of a line."""
        place: Any = (slice(None), slice(None), *lead, slice(j, j + size))
        self.cells = [colour.unbind(1) for colour in self.values[place].unbind(1)]

    def read(self, j: int, colour: int) -> None:
        """Bring in one value of each raster, from position j of the stretch."""
        torch.add(self.lowest, self.cells[colour][j], alpha=self.scale, out=self.line.own[colour][j][0])


def stretch(shape: Sequence[int], j: int) -> int:
    """Return how many positions are prepared at once at position j of a line."""
    return min(STRETCH, shape[-1] - j)


def empty(weight: Tensor, count: int) -> Tensor:
    """Return an empty (0, N) tensor of the type and device of a weight."""
    return torch.empty(0, count, dtype=weight.dtype, device=weight.device)
