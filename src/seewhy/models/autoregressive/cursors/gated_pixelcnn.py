"""The cursor of `GatedPixelCNN`: earlier stacks a slice at a time, the last stack position by position.

Stack k at p needs the positions smaller in coordinate k, so its features for a whole slice, all p with the same first k + 1 coordinates, are
computed when that slice begins: an image's row, a clip's frame. The last stack's part is computed at each position, as in
`seewhy.models.autoregressive.cursors.line_cache`; there the gate is taken as

    tanh(a / 2) s(b) = -(s(b) - 2 s(a) s(b)),   s the sigmoid

with the sign in the weights behind it: one call for the sigmoids and one for the rest.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from seewhy.models.autoregressive.cursors.line_cache import (
    Groups,
    Line,
    LineConv,
    LineCursor,
    Pointwise,
    Values,
    by_colour,
    empty,
    stretch,
)
from seewhy.models.autoregressive.networks.gated_pixelcnn import GatedLayer, GatedPixelCNN
from seewhy.models.autoregressive.networks.masked import MaskedConv
from seewhy.models.autoregressive.raster import scaled


def point(conv: MaskedConv, x: Tensor) -> Tensor:
    """Apply a convolution of side 1 to (N, F, *rest), however many axes are left."""
    y = torch.matmul(conv.masked_weight().flatten(1), x.flatten(2))
    y = y if conv.bias is None else y + conv.bias[:, None]
    return y.reshape(*y.shape[:2], *x.shape[2:])


class Slices:
    """One stack but the last: its features for the slice at hand, after every layer.

    Args:
        net: the network.
        axis: k.
        values: (N, C, *axes), filled from outside.
        shifts: for each layer what the class adds, (N, 2F), or None.
        like: an empty (0, N) tensor of the type and device to use.
    """

    def __init__(
        self, net: GatedPixelCNN, axis: int, values: Tensor, shifts: list[Tensor | None], like: Tensor
    ) -> None:
        self.axis, self.values, self.levels, self.shifts = axis, values, net.levels, shifts
        self.layers = cast("list[GatedLayer]", list(net.layers))
        self.recent = [
            like.new_zeros(len(values), layer.width, layer.stack_layers(axis)[0].taps, *net.shape[2 + axis :])
            for layer in self.layers[1:]
        ]
        self.gated: list[Tensor] = []

    def begin(self, lead: tuple[int, ...], earlier: list[Tensor]) -> None:
        """Compute the slice that begins at (lead, 0, ...).

        Args:
            lead: the slice's first k + 1 coordinates.
            earlier: what left the gates of stack k - 1 in every layer, (N, F, *axes from k on); empty for k = 0.
        """
        x, self.gated = self._values(lead), []
        for index, (layer, shift) in enumerate(zip(self.layers, self.shifts, strict=True)):
            conv, link, join = layer.stack_layers(self.axis)
            if index:
                recent = self.recent[index - 1]
                recent[:, :, :-1] = recent[:, :, 1:].clone() if lead[-1] else 0.0
                recent[:, :, -1] = x
            z = conv.slice(recent if index else x)
            if link is not None:
                z = z + point(link, earlier[index][:, :, lead[-1]])
            if shift is not None:
                z = z + shift[(..., *[None] * (z.ndim - 2))]
            a, b = torch.sigmoid(z).chunk(2, 1)
            y = (2.0 * a - 1.0) * b
            self.gated.append(y)
            if join is not None:
                x = point(join, y) + (x if index else 0.0)

    def _values(self, lead: tuple[int, ...]) -> Tensor:
        """Return the values along axis k that the first layer sees, (N, C, taps, *axes[k + 1:])."""
        taps, at = self.layers[0].stack_layers(self.axis)[0].taps, lead[-1]
        index: Any = (slice(None), slice(None), *lead[:-1], slice(max(0, at - taps), at))
        visible = scaled(self.values[index], self.levels).to(self.dtype())
        return F.pad(visible, [0, 0] * (visible.ndim - 3) + [taps - visible.shape[2], 0])

    def dtype(self) -> torch.dtype:
        """Return the type that the network computes in."""
        return self.layers[0].out.weight.dtype


class _Step(NamedTuple):
    """What one layer needs for one colour: weights, and the rows (F, N) that it reads and writes."""

    conv: LineConv
    weight: Tensor
    windows: list[Tensor]
    gated: Tensor  # takes what leaves the gate, its sign turned
    before: list[Tensor] | None  # the features that came in, by position; None for values
    join: Tensor
    joined: Tensor  # a row of ones, and what left the gates of all colours up to this
    after: list[Tensor] | None  # where the next layer's line takes them; None for the last layer


class _Rows(NamedTuple):
    """What one colour needs beside its layers."""

    gates: Tensor
    steps: list[_Step]
    skip: Tensor
    total: Tensor
    totals: Tensor  # of all colours up to this
    hidden: Tensor
    hiddens: Tensor
    logits: Tensor


class GatedPixelCNNCursor(LineCursor):
    """Keeps the features of every layer that later positions read."""

    def __init__(self, net: GatedPixelCNN, values: Tensor, labels: Tensor | None) -> None:
        with torch.inference_mode():
            self._prepare(net, values, labels)

    def _prepare(self, net: GatedPixelCNN, values: Tensor, labels: Tensor | None) -> None:
        layers = cast("list[GatedLayer]", list(net.layers))
        self.channels, self.shape, self.layers = net.shape[0], net.shape, layers
        width, channels = layers[0].width, self.channels
        like = empty(layers[0].out.weight, len(values))
        shifts = [layer.shifts(labels) for layer in layers]
        self.stacks = [Slices(net, k, values, [each[k] for each in shifts], like) for k in range(len(net.shape) - 2)]
        lines = [
            Line(layer.own.mask.shape[1], channels, layer.own.kernel[-1] // 2, net.shape[-1], like) for layer in layers
        ]
        self.convs = [
            LineConv(layer.own, line, shift[-1]) for layer, line, shift in zip(layers, lines, shifts, strict=True)
        ]
        links = [cast("MaskedConv", layer.links[-1]) for layer in layers if self.stacks]
        self.links = [
            link.masked_weight().flatten(1)[conv.order][None] for link, conv in zip(links, self.convs, strict=False)
        ]
        self.values = Values(values, net.levels, lines[0])
        self._prepare_rows(net, width, like)
        self.hidden, self.last = Pointwise(net.hidden, like), Pointwise(net.last, like)

    def _prepare_rows(self, net: GatedPixelCNN, width: int, like: Tensor) -> None:
        """Make the features of one position, and the weights that read them: a row of ones before each layer's carries the bias."""
        groups, wide, count = Groups(width, self.channels), Groups(2 * width, self.channels), like.shape[1]
        every = like.new_ones(len(self.layers), 1 + width, count)
        total, hidden = like.new_zeros(width, count), like.new_zeros(2 * width, count)
        self.every, self.rows = every.flatten(0, 1), []
        for colour in range(self.channels):
            size = groups.first[colour + 1] - groups.first[colour]
            signed = [self._signed(layer, colour) for layer in self.layers]
            steps = []
            for index, (matrix, conv) in enumerate(zip(signed, self.convs, strict=True)):
                visible = every[index, : 1 + groups.first[colour + 1]]
                steps.append(
                    _Step(
                        conv=conv,
                        weight=conv.weights[colour],
                        windows=conv.line.windows,
                        gated=groups.own(every[index, 1:], colour),
                        before=conv.line.own[colour] if index else None,
                        join=matrix[: -size or None, : len(visible)].contiguous(),
                        joined=visible,
                        after=self.convs[index + 1].line.own[colour] if index + 1 < len(signed) else None,
                    )
                )
            self.rows.append(
                _Rows(
                    gates=like.new_zeros(2 * size, count),
                    steps=steps,
                    skip=torch.cat([matrix[-size:] for matrix in signed], 1),
                    total=groups.own(total, colour),
                    totals=groups.up_to(total, colour),
                    hidden=wide.own(hidden, colour),
                    hiddens=wide.up_to(hidden, colour),
                    logits=like.new_zeros(net.levels, count),
                )
            )

    def _signed(self, layer: GatedLayer, colour: int) -> Tensor:
        """Return a colour's rows of what leads to the residual and the skip, (2 F_c, 1 + F): bias, and weights of the opposite sign."""
        assert layer.out.bias is not None
        indices = by_colour(layer.out)[colour]
        return torch.cat([layer.out.bias[indices, None], -layer.out.masked_weight().flatten(1)[indices]], 1)

    def _begin(self, lead: tuple[int, ...], j: int) -> None:
        """Begin a stretch of a line, and the slices of earlier stacks that begin with it."""
        size = stretch(self.shape, j)
        if j:
            self.values.read(len(self.values.cells[0]) - 1, self.channels - 1)
        else:
            earlier: list[Tensor] = []
            for axis, stack in enumerate(self.stacks):
                if not any(lead[axis + 1 :]):
                    stack.begin(lead[: axis + 1], earlier)
                earlier = stack.gated
        for index, conv in enumerate(self.convs):
            ahead = conv.base.expand(size, -1, -1)
            if self.stacks:
                above = self.stacks[-1].gated[index][:, :, j : j + size].permute(2, 1, 0).contiguous()
                ahead = torch.baddbmm(ahead, self.links[index].expand(size, -1, -1), above)
            conv.begin(ahead, j)
        self.values.begin(lead, j, size)

    def _logits(self, j: int, colour: int) -> Tensor:
        rows = self.rows[colour]
        gates, (a, b) = rows.gates, rows.gates.chunk(2)
        for conv, weight, windows, gated, before, join, joined, after in rows.steps:
            torch.addmm(conv.ahead[colour][j], weight, windows[j], out=gates)
            gates.sigmoid_()
            torch.addcmul(b, a, b, value=-2.0, out=gated)
            if after is not None and before is not None:
                torch.addmm(before[j], join, joined, out=after[j])
            elif after is not None:
                torch.mm(join, joined, out=after[j])
        torch.mm(rows.skip, self.every, out=rows.total).relu_()
        hidden, last = self.hidden, self.last
        torch.addmm(hidden.biases[colour], hidden.weights[colour], rows.totals, out=rows.hidden).relu_()
        return torch.addmm(last.biases[colour], last.weights[colour], rows.hiddens, out=rows.logits).t()
