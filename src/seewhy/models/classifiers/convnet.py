"""The plain convolutional network for small images, made for few epochs (after Jordan 2024, 2404.00498).

    stem -> depth groups [conv3x3, pool, norm, act, conv3x3, norm, act] of widths w, 2w, 4w, 4w, ... -> global max-pool -> linear

A group pools only while at least `SMALLEST_MAP` pixels a side would remain, so that any size of image goes through.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seewhy.models.choices import Choice
from seewhy.models.classifiers.design import ClassifierDesign
from seewhy.nn import ConvNormAct, Parts, activation, pooling

SMALLEST_MAP = 3
"""A group does not pool if its map would become smaller than this."""

MOST_WIDENING = 4
"""The widths double from group to group up to this multiple of the first."""


class Whitening(nn.Module):
    """A frozen 2x2 convolution that whitens patches of the training images, with both signs of each filter.

    With E the eigenvectors and v the eigenvalues of the covariance of 2x2 patches, the filters are +- E / sqrt(v + eps). Nothing before the
    first group is trained, so that no gradient has to be computed at the full size of the images.
    (N, C, H, W) -> (N, 8 C, H - 1, W - 1).
    """

    def __init__(self, channels: int, *, eps: float = 5e-4) -> None:
        super().__init__()
        self.eps = eps
        self.conv = nn.Conv2d(channels, 8 * channels, 2, bias=False)
        self.conv.weight.requires_grad_(False)

    def fit(self, images: Tensor) -> None:
        """Compute the filters from normalised training images (N, C, H, W)."""
        weight = self.conv.weight
        patches = F.unfold(images.contiguous(), 2).transpose(1, 2).reshape(-1, weight[0].numel())
        values, vectors = torch.linalg.eigh((patches.T @ patches / len(patches)).double())  # the mean is 0 already
        filters = (vectors / (values.clamp(min=0.0) + self.eps).sqrt()).T.reshape(-1, *weight.shape[1:])
        with torch.no_grad():
            weight.copy_(torch.cat([filters, -filters]))

    def forward(self, x: Tensor) -> Tensor:
        """Return the whitened images."""
        y: Tensor = self.conv(x)
        return y


class ConvGroup(nn.Module):
    """Two convolutions of one width, with pooling after the first."""

    def __init__(self, channels_in: int, channels_out: int, parts: Parts, *, pool: nn.Module) -> None:
        super().__init__()
        self.conv1 = parts.conv(channels_in, channels_out, kernel=3)
        self.pool = pool
        self.norm1, self.act1 = parts.after(channels_out, dims=2)
        self.conv2 = parts.conv(channels_out, channels_out, kernel=3)
        self.norm2, self.act2 = parts.after(channels_out, dims=2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, H, W) -> (N, C_out, H', W'), the size that the pooling leaves."""
        x = self.act1(self.norm1(self.pool(self.conv1(x))))
        y: Tensor = self.act2(self.norm2(self.conv2(x)))
        return y


class ConvNet(nn.Module):
    """See the module's text."""

    def __init__(self, in_shape: tuple[int, int, int], classes: int, design: ClassifierDesign) -> None:
        super().__init__()
        # Scales are of no use between convolutions; in short runs the running statistics have to follow quickly.
        parts = design.parts(scale=design.norm_init == "identity", momentum=0.4)
        channels, width, choice = in_shape[0], design.layer_width, design.pool_choice
        self.stem, channels, stem_side = make_stem(design.stem, channels, width, parts)
        sides = [stem_side(side) for side in in_shape[1:]]
        groups = []
        for index in range(design.depth):
            group_width = width * min(2**index, MOST_WIDENING)
            pooled = [pooled_side(choice, side) for side in sides]
            pools = min(pooled) >= SMALLEST_MAP
            pool = pooling(choice.name, **choice.options) if pools else nn.Identity()
            groups.append(ConvGroup(channels, group_width, parts, pool=pool))
            channels = group_width
            sides = pooled if pools else sides
        self.groups = nn.Sequential(*groups)
        self.drop = design.regularisers.dropout_layer()
        self.input_drop = design.regularisers.input_dropout_layer()
        self.head = nn.Linear(channels, classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images (N, C, H, W) -> logits (N, K)."""
        x = self.groups(self.stem(self.input_drop(x))).amax(dim=(2, 3))
        logits: Tensor = self.head(self.drop(x))
        return logits


def pooled_side(pool: Choice, side: int) -> int:
    """Return the side that a map of `side` pixels has after a pooling."""
    return side // 2 if pool.name == "max" else math.ceil(side / pool.options.get("ratio", math.sqrt(2.0)))


def make_stem(name: str | None, channels: int, width: int, parts: Parts) -> tuple[nn.Module, int, Callable[[int], int]]:
    """Return the first layers, the number of their channels out, and the side of their maps as a function of the image's."""
    if name == "whitening":
        features = 8 * channels
        # Maxout chooses between trained pieces; a fixed layer has none.
        act = nn.Identity() if parts.pieces > 1 else activation(parts.activation, features=features)
        layers = {"white": Whitening(channels), "act": act}
        return nn.Sequential(OrderedDict(layers)), features, lambda side: side - 1
    if name == "small":
        return ConvNormAct(channels, width, parts), width, lambda side: side
    half = max(1, width // 2)
    first, second = ConvNormAct(channels, half, parts, stride=2), ConvNormAct(half, width, parts, stride=2)
    return nn.Sequential(first, second), width, lambda side: (side + 3) // 4
