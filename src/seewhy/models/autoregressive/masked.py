"""Convolutions that see only what comes before, in raster order and, within a position, in the order of the channels.

A raster has D axes (1 a sequence, 2 an image, 3 a clip), the last one running fastest. Position q comes before p if q < p as tuples. The
features at a position are shared out among the C channels (colours) that are predicted there one after the other: feature f of F belongs to
colour floor(f C / F).

    type A   sees earlier positions and, at its own, features of earlier colours: for the values themselves
    type B   sees those of its own colour too: for all layers after the first, whose features hold nothing of their own colour's value

(van den Oord et al. 2016, 1601.06759, section 3.4.)
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seewhy.core.errors import InputError, bad_value

Kind = Literal["A", "B"]

CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def positions(sides: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield the positions of a raster in order."""
    return itertools.product(*(range(side) for side in sides))


def colours(features: int, channels: int) -> Tensor:
    """Return the colour of each feature, int64 (F), from 0 to C - 1 in order; raises InputError if there are fewer features than colours."""
    if features < channels:
        raise InputError(f"model.width: must be at least the number of channels ({channels}), got {features}")
    return torch.arange(features) * channels // features


def mask(shape: Sequence[int], kind: Kind, inner: Tensor, outer: Tensor) -> Tensor:
    """Return the mask (F_out, F_in, *shape) of a kernel of odd sides: 1 where a weight may look, 0 where not.

    Args:
        shape: the kernel's sides.
        kind: "A" or "B".
        inner: colours of the features that come in, (F_in).
        outer: colours of the features that go out, (F_out).
    """
    centre = tuple(side // 2 for side in shape)
    seen = torch.zeros(len(outer), len(inner), *shape)
    here: Any = (slice(None), slice(None), *centre)
    before: Any
    for place in positions(shape):
        if place < centre:
            before = (slice(None), slice(None), *place)
            seen[before] = 1.0
    own = inner[None] < outer[:, None] if kind == "A" else inner[None] <= outer[:, None]
    seen[here] = own.float()
    return seen


class MaskedConv(nn.Module):
    """A convolution that keeps the raster's size and sees what comes before: (N, F_in, *axes) -> (N, F_out, *axes).

    Only the half of the kernel that can be seen is computed: along the first axis it ends at its centre.

    Args:
        kind: "A" (first layer) or "B".
        in_features: F_in.
        out_features: F_out.
        kernel: odd sides, one for each of the raster's 1 to 3 axes.
        channels: C, the colours that features belong to.
        bias: whether there is one.
    """

    seen: Tensor

    def __init__(
        self,
        kind: Kind,
        in_features: int,
        out_features: int,
        kernel: Sequence[int],
        *,
        channels: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if len(kernel) not in CONVOLUTIONS:
            raise bad_value("kernel", tuple(kernel), "1 to 3 sides, one for each axis of the raster")
        if any(side < 1 or side % 2 == 0 for side in kernel):
            raise bad_value("kernel", tuple(kernel), "odd sides, so that it has a centre")
        self.kernel, self.axes = tuple(kernel), len(kernel)
        whole = mask(self.kernel, kind, colours(in_features, channels), colours(out_features, channels))
        seen = whole[:, :, : kernel[0] // 2 + 1].contiguous()
        self.register_buffer("seen", seen, persistent=False)
        self.weight = nn.Parameter(torch.empty_like(seen))
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None
        bound = 1.0 / math.sqrt(max(1.0, seen[-1].sum().item()))  # torch's own rule, by the inputs that are seen
        nn.init.uniform_(self.weight, -bound, bound)
        # F.pad counts from the last axis: both sides of every axis but the first, which has nothing behind it.
        self.padding = [side // 2 for side in reversed(self.kernel[1:]) for _ in range(2)] + [self.kernel[0] // 2, 0]

    def forward(self, x: Tensor) -> Tensor:
        """(N, F_in, *axes) -> (N, F_out, *axes)."""
        return CONVOLUTIONS[self.axes](F.pad(x, self.padding), self.weight * self.seen, self.bias)
