"""The caches of sampling, by which a value costs one position's work and not a raster's (Ramachandran et al. 2017, 1704.06001).

A raster is sampled line by line, a line being its last axis. What a masked convolution sees is split in two:

    earlier lines   are complete when a line begins, so their part is computed for all positions of the line at once
    its own line    grows position by position; the features of the last few positions lie next to one another as the rows of one
                    matrix (taps F, N), so that their part is one matrix product

All features are stored with the batch as the last axis, (F, N): those of one colour are then neighbours, and so are those of one window. A
colour's features are computed when the values of the colours before it are there, so that a position is computed once however many colours.

Letters: N rasters, F features, W positions in a line, C colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from seewhy.models.autoregressive.networks.masked import MaskedConv, colours
from seewhy.models.autoregressive.raster import positions

STRETCH = 64
"""How many positions of a line are prepared at once."""


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

    def up_to(self, x: Tensor, colour: int) -> Tensor:
        """Return the rows of x (F, ...) of this colour and those before it."""
        return x[: self.first[colour + 1]]


def by_colour(conv: MaskedConv) -> list[Tensor]:
    """Return the indices of a convolution's outputs that belong to each colour, int64: all its gates'."""
    outputs = len(conv.mask)
    owner = colours(outputs // conv.gates, conv.channels).repeat(conv.gates)
    return [torch.nonzero(owner == colour).flatten() for colour in range(conv.channels)]


class Line:
    """The features of the line that is being sampled, of at most `STRETCH` positions and the few before them: (before + length, F, N).

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
        """Return the first `size` positions of the stretch, (size, F, N)."""
        return self.cells[self.before : self.before + size]


class LineConv:
    """A masked convolution's part within the line: for each colour its weights, and what is added to their product.

    Args:
        conv: the convolution.
        line: the features that it reads.
        shift: what the class adds to its outputs, (N, F_out), or None.

    Attributes:
        weights: for each colour, (F_c, taps F_in).
        ahead: for each colour, for each position of the stretch, what comes from elsewhere, (F_c, N).
        order: the indices of the outputs, those of one colour together.
        base: bias and shift in that order, (F_out, N).
    """

    def __init__(self, conv: MaskedConv, line: Line, shift: Tensor | None = None) -> None:
        self.conv, self.line = conv, line
        owners = by_colour(conv)
        self.order, self.counts = torch.cat(owners), [len(indices) for indices in owners]
        taps = conv.kernel[-1] // 2 + 1
        centre: Any = (slice(None), slice(None), *centre_of(conv), slice(taps))
        rows = conv.masked_weight()[centre].permute(0, 2, 1).flatten(1)
        self.weights = [rows[indices].contiguous() for indices in owners]
        base = line.cells.new_zeros(len(self.order), line.cells.shape[2])
        base = base if conv.bias is None else base + conv.bias[:, None]
        self.base = (base if shift is None else base + shift.t())[self.order]
        self.ahead: list[Sequence[Tensor]] = []

    def begin(self, ahead: Tensor, j: int) -> None:
        """Begin at position j of a line, with what comes from elsewhere, (positions, F_out in order, N)."""
        self.ahead = [part.unbind(0) for part in torch.split(ahead, self.counts, 1)]
        self.line.begin(j)


def centre_of(conv: MaskedConv) -> tuple[int, ...]:
    """Return where p's own line lies among a convolution's weights, along every axis but the last."""
    sides = zip(conv.kernel[:-1], conv.mask.shape[2:-1], strict=True)
    return tuple(min(side // 2, size - 1) for side, size in sides)


class History:
    """The earlier lines that a masked convolution sees, and their part.

    Args:
        line: the convolution and its own line.
        shape: the raster's (C, *axes).

    They are stored as (steps of the first axis, *middle axes, W, F_in, N), with borders of zeros, so that windows lie in memory as they do in a
    `Line`: one product of matrices then gives a whole line.
    """

    def __init__(self, line: LineConv, shape: Sequence[int]) -> None:
        self.line, conv = line, line.conv
        self.sides = [side // 2 for side in conv.kernel]
        weight = conv.masked_weight()[line.order]
        centre = centre_of(conv)
        self.earlier: list[tuple[tuple[int, ...], Tensor]] = []
        for offset in positions(weight.shape[2:-1]):
            if offset < centre:
                index: Any = (slice(None), slice(None), *offset)
                self.earlier.append((offset, weight[index].permute(0, 2, 1).flatten(1)[None]))
        self.lines: Tensor | None = None
        if self.earlier:
            borders = [axis + 2 * side for axis, side in zip(shape[2:], self.sides[1:], strict=True)]
            self.lines = line.line.cells.new_zeros(self.sides[0] + 1, *borders, *line.line.cells.shape[1:])

    def begin(self, lead: tuple[int, ...]) -> None:
        """Begin a line: forget what is too far back."""
        if self.lines is not None and not any(lead[1:]):
            self.lines[:-1] = self.lines[1:].clone()
            self.lines[-1] = 0.0

    def store(self, lead: tuple[int, ...], j: int, size: int) -> None:
        """Store the features of positions j to j + size of a line."""
        if self.lines is not None:
            middle = (index + side for index, side in zip(lead[1:], self.sides[1:-1], strict=True))
            start = j + self.sides[-1]
            index: Any = (-1, *middle, slice(start, start + size))
            self.lines[index] = self.line.line.features(size)

    def ahead(self, lead: tuple[int, ...], j: int, size: int) -> Tensor:
        """Return the earlier lines' part and the base for positions j to j + size of a line, (size, F_out in order, N)."""
        total = self.line.base.expand(size, -1, -1)
        for offset, matrix in self.earlier:
            assert self.lines is not None
            row = self.lines[(offset[0], *(index + step for index, step in zip(lead[1:], offset[1:], strict=True)))]
            _, features, count = row.shape
            windows = row[j:].as_strided((size, matrix.shape[2], count), (features * count, count, 1))
            total = torch.baddbmm(total, matrix.expand(size, -1, -1), windows)
        return total


class Pointwise:
    """A convolution of side 1 on (F_in, N): for each colour its weights, which read the colours up to it, and its bias, (F_c, N).

    Args:
        conv: the convolution, of kind B.
        like: an empty (0, N) tensor of the type and device to use.
    """

    def __init__(self, conv: MaskedConv, like: Tensor) -> None:
        matrix = conv.masked_weight().flatten(1)
        groups = Groups(matrix.shape[1], conv.channels)
        order = by_colour(conv)
        visible = [groups.up_to(matrix.t(), colour).t() for colour in range(conv.channels)]
        self.weights = [rows[indices].contiguous() for rows, indices in zip(visible, order, strict=True)]
        bias = matrix.new_zeros(len(matrix)) if conv.bias is None else conv.bias
        self.biases = [bias[indices, None].expand(-1, like.shape[1]).contiguous() for indices in order]


class Values:
    """Brings sampled values into a line of features, scaled to [-1, 1].

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
        index: Any = (slice(None), slice(None), *lead, slice(j, j + size))
        self.cells = [colour.unbind(1) for colour in self.values[index].unbind(1)]

    def read(self, j: int, colour: int) -> None:
        """Bring in one value of each raster, from position j of the stretch."""
        torch.add(self.lowest, self.cells[colour][j], alpha=self.scale, out=self.line.own[colour][j][0])


def stretch(shape: Sequence[int], j: int) -> int:
    """Return how many positions are prepared at once at position j of a line."""
    return min(STRETCH, shape[-1] - j)


def empty(weight: Tensor, count: int) -> Tensor:
    """Return an empty (0, N) tensor of the type and device of a weight."""
    return torch.empty(0, count, dtype=weight.dtype, device=weight.device)


class LineCursor:
    """A cursor that goes along lines, a stretch at a time, and caches everything it has computed.

    Attributes:
        channels: C.
        values: the raster, filled from outside, as the first convolution reads it.
    """

    channels: int
    values: Values

    def logits(self, position: tuple[int, ...], colour: int) -> Tensor:
        """Return logits (N, L), from the features of this position and colour, which are computed now."""
        j = position[-1] % self.values.line.length
        with torch.inference_mode():
            if j == 0 and colour == 0:
                self._begin(position[:-1], position[-1])
            if colour:
                self.values.read(j, colour - 1)
            elif j:
                self.values.read(j - 1, self.channels - 1)
            return self._logits(j, colour)

    def _begin(self, lead: tuple[int, ...], j: int) -> None:
        """Begin a stretch at position j of the line at `lead`."""
        raise NotImplementedError

    def _logits(self, j: int, colour: int) -> Tensor:
        """Return logits (N, L) of a colour at position j of the stretch."""
        raise NotImplementedError
