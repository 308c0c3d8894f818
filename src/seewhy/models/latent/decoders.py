"""Decoders, from latent vectors to maps of an image.

    dense   `depth` hidden layers of `width` units, and a linear layer to the pixels
    conv    `depth` times pixels are repeated and convolved (3 x 3) with ... 4 width, 2 width, width features, which leaves none of the
            checkerboard artefacts of transposed convolutions (Odena et al. 2016). Sides of at least 4, even or odd.

The class of a class-conditional model is a one-hot vector beside the latent. A decoder ends in a bias for each value of its maps, which
`start` sets.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seewhy.models.labels import append_one_hot
from seewhy.models.latent.layers import (
    Shape,
    at_least_float32,
    dense_layers,
    hidden_layers,
    map_sides,
    output_layer,
)
from seewhy.nn import Activation


class Decoder(nn.Module):
    """What decoders share: maps (*, P, H, W) of latents (*, N, D), with a bias of their own for each value.

    Args:
        maps: P, H and W.
        classes: K, or None.
        body: from rows (M, D + K) to maps (M, P, H, W), without bias.
    """

    def __init__(self, maps: Shape, classes: int | None, body: nn.Module) -> None:
        super().__init__()
        self.maps, self.classes, self.body = maps, classes, body
        self.bias = nn.Parameter(torch.zeros(maps))

    @torch.no_grad()
    def start(self, maps: Tensor) -> None:
        """Set the bias to maps (P, H, W)."""
        self.bias.copy_(maps)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Latents (*, N, D), labels int64 (N) -> maps, float32 (*, N, P, H, W)."""
        rows = append_one_hot(latents, labels, self.classes)
        maps: Tensor = at_least_float32(self.body(rows.flatten(0, -2)))
        return (maps.view(-1, *self.maps) + self.bias).view(*latents.shape[:-1], *self.maps)


def dense_decoder(
    shape: Shape,
    latent_dim: int,
    maps: int,
    *,
    width: int,
    depth: int,
    activation: Activation,
    classes: int | None,
) -> Decoder:
    """Return depth x [linear, activation] -> linear."""
    layers = dense_layers(latent_dim + (classes or 0), width, depth, activation)
    head = output_layer(nn.Linear(width, maps * math.prod(shape[1:]), bias=False))
    return Decoder((maps, *shape[1:]), classes, nn.Sequential(*layers, head))


class Unflatten(nn.Module):
    """Turn rows (N, F H W) into maps (N, F, H, W), channels last."""

    def __init__(self, size: Shape) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """Return the maps."""
        return x.view(-1, *self.size).contiguous(memory_format=torch.channels_last)


class Upsample(nn.Module):
    """Repeat pixels up to a size: (N, F, h, w) -> (N, F, H, W)."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """Return the larger maps."""
        return F.interpolate(x, size=self.size, mode="nearest")


def conv_decoder(
    shape: Shape,
    latent_dim: int,
    maps: int,
    *,
    width: int,
    depth: int,
    activation: Activation,
    classes: int | None,
) -> Decoder:
    """Return linear, activation -> depth x [repeat pixels, 3 x 3 convolution, activation] -> 3 x 3 convolution."""
    sides = map_sides(shape, depth)
    features = width << (len(sides) - 2)
    smallest = features * math.prod(sides[-1])
    first = nn.Linear(latent_dim + (classes or 0), activation.pieces * smallest)
    layers: list[nn.Module] = [first, activation(features=smallest), Unflatten((features, *sides[-1]))]
    for level in reversed(range(len(sides) - 1)):
        outer = width << max(0, level - 1)
        conv = nn.Conv2d(features, activation.pieces * outer, 3, padding=1)
        layers += [Upsample(sides[level]), conv, activation(features=outer)]
        features = outer
    head = output_layer(nn.Conv2d(features, maps, 3, padding=1, bias=False))
    body = nn.Sequential(*hidden_layers(layers, activation), head).to(memory_format=torch.channels_last)
    return Decoder((maps, *shape[1:]), classes, body)
