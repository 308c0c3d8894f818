"""Convolutions that see only what comes before, in raster order and, within a position, in the order of the channels.

A raster has D axes (1 a sequence, 2 an image, 3 a clip), the last one running fastest. Position q comes before p if q < p as tuples. The
features at a position are shared out among the C channels (colours) that are predicted there one after the other: feature f of F belongs to
colour floor(f C / F).

    type A   sees earlier positions and, at its own, features of earlier colours: for the values themselves
    type B   sees those of its own colour too: for all layers after the first, whose features hold nothing of their own colour's value

(van den Oord et al. 2016, 1601.06759, section 3.4.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seewhy.core.errors import InputError, bad_value
from seewhy.models.autoregressive.raster import positions

Kind = Literal["A", "B"]

CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def colours(features: int, channels: int) -> Tensor:
    """Return the colour of each feature, int64 (F), from 0 to C - 1 in order; raises InputError if there are fewer features than colours."""
    if features < channels:
        raise InputError(f"width: must be at least the number of channels ({channels}), got {features}")
    return torch.arange(features) * channels // features


def causal_mask(shape: Sequence[int], kind: Kind, inner: Tensor, outer: Tensor) -> Tensor:
    """Return the mask (F_out, F_in, *shape) of a kernel of odd sides: 1 where a weight is used, 0 where not.

    Args:
        shape: the kernel's sides.
        kind: "A" or "B".
        inner: colours of the features that come in, (F_in).
        outer: colours of the features that go out, (F_out).
    """
    centre = tuple(side // 2 for side in shape)
    mask = torch.zeros(len(outer), len(inner), *shape)
    here: Any = (slice(None), slice(None), *centre)
    before: Any
    for position in positions(shape):
        if position < centre:
            before = (slice(None), slice(None), *position)
            mask[before] = 1.0
    own = inner[None] < outer[:, None] if kind == "A" else inner[None] <= outer[:, None]
    mask[here] = own.float()
    return mask


class MaskedConv(nn.Module):
    """A convolution that keeps the raster's size and sees what comes before: (N, F_in, *axes) -> (N, F_out, *axes).

    Only the half of the kernel that is not masked is computed: along the first axis with a side above 1 it ends at its centre.

    Args:
        kind: "A" (first layer) or "B".
        in_features: F_in.
        out_features: F_out.
        kernel: odd sides, one for each of the raster's 1 to 3 axes.
        channels: C, the colours that features belong to.
        bias: whether there is one.
        gates: how many sets of F_out output features there are, one after the other, each shared out among the colours by itself.
    """

    mask: Tensor

    def __init__(
        self,
        kind: Kind,
        in_features: int,
        out_features: int,
        kernel: Sequence[int],
        *,
        channels: int = 1,
        bias: bool = True,
        gates: int = 1,
    ) -> None:
        super().__init__()
        if len(kernel) not in CONVOLUTIONS:
            raise bad_value("kernel", tuple(kernel), "1 to 3 sides, one for each axis of the raster")
        if any(side < 1 or side % 2 == 0 for side in kernel):
            raise bad_value("kernel", tuple(kernel), "odd sides, so that it has a centre")
        self.kernel, self.axes, self.channels, self.gates = tuple(kernel), len(kernel), channels, gates
        outer = colours(out_features, channels).repeat(gates)
        whole = causal_mask(self.kernel, kind, colours(in_features, channels), outer)
        lead = next((axis for axis, side in enumerate(kernel) if side > 1), 0)
        mask = whole.narrow(2 + lead, 0, kernel[lead] // 2 + 1).contiguous()
        self.register_buffer("mask", mask, persistent=False)
        self.weight = nn.Parameter(torch.empty_like(mask))
        self.bias = nn.Parameter(torch.zeros(gates * out_features)) if bias else None
        bound = 1.0 / math.sqrt(max(1.0, mask[-1].sum().item()))  # torch's own rule, by the inputs that are not masked
        nn.init.uniform_(self.weight, -bound, bound)
        # F.pad counts from the last axis: both sides of every axis but the leading one, which has nothing behind it.
        self.padding = [side // 2 for side in reversed(self.kernel) for _ in range(2)]
        self.padding[2 * (self.axes - 1 - lead) + 1] = 0

    def masked_weight(self) -> Tensor:
        """Return the weights, with zeros where they are masked."""
        return self.weight * self.mask

    def forward(self, x: Tensor) -> Tensor:
        """(N, F_in, *axes) -> (N, gates F_out, *axes)."""
        x = F.pad(x, self.padding) if any(self.padding) else x
        return CONVOLUTIONS[self.axes](x, self.masked_weight(), self.bias)


class StackConv(nn.Module):
    """A convolution that sees, at p, every q that agrees with p in the first k coordinates and whose coordinate k is not larger.

    Where the later coordinates lie does not matter: for k = 0 in an image these are whole rows, up to p's own. Since it sees past p in its own
    row, what comes in must hold nothing of that row's values, or the convolution must be `strict`.

    Args:
        in_features: F_in.
        out_features: F_out.
        kernel: odd sides, one for each axis; those before k must be 1.
        axis: k.
        strict: whether it sees only q whose coordinate k is smaller.

    The weights are (F_out, F_in, 1, ..., 1, m, *kernel[k + 1:]), with m = kernel[k] // 2 + 1, or one less if strict.
    """

    def __init__(
        self, in_features: int, out_features: int, kernel: Sequence[int], *, axis: int, strict: bool = False
    ) -> None:
        super().__init__()
        if any(side < 1 or side % 2 == 0 for side in kernel) or kernel[axis] < 3:
            raise bad_value("kernel", tuple(kernel), f"odd sides, at least 3 along axis {axis}")
        self.axes, self.axis, self.strict = len(kernel), axis, strict
        self.taps = kernel[axis] // 2 + (0 if strict else 1)
        sides = [*(1 for _ in range(axis)), self.taps, *kernel[axis + 1 :]]
        self.weight = nn.Parameter(torch.empty(out_features, in_features, *sides))
        self.bias = nn.Parameter(torch.zeros(out_features))
        bound = 1.0 / math.sqrt(in_features * math.prod(sides))
        nn.init.uniform_(self.weight, -bound, bound)
        self.beside = [side // 2 for side in reversed(kernel[axis + 1 :]) for _ in range(2)]
        self.padding = [*self.beside, *((self.taps, -1) if strict else (self.taps - 1, 0))]

    def forward(self, x: Tensor) -> Tensor:
        """(N, F_in, *axes) -> (N, F_out, *axes)."""
        return CONVOLUTIONS[self.axes](F.pad(x, self.padding), self.weight, self.bias)

    def slice(self, x: Tensor) -> Tensor:
        """(N, F_in, taps, *axes[k + 1:]) -> (N, F_out, *axes[k + 1:]): one index along axis k, from those that it sees."""
        weight = self.weight.flatten(1, 1 + self.axis)
        return CONVOLUTIONS[self.axes - self.axis](F.pad(x, self.beside), weight, self.bias).squeeze(2)
