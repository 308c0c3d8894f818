"""Encoders, from images to features of a latent vector.

    dense   flattened pixels, `depth` hidden layers of `width` units (Burda et al. 2016: 784-200-200-50, tanh)
    conv    `depth` 3 x 3 convolutions of stride 2 with width, 2 width, 4 width ... features. Sides of at least 4, even or odd.

The class of a class-conditional model is a one-hot vector beside the pixels (dense) or the last features (conv).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

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


class DenseEncoder(nn.Module):
    """flatten -> depth x [linear, activation] -> linear: (N, C, H, W) -> (N, outputs)."""

    def __init__(
        self, shape: Shape, outputs: int, *, width: int, depth: int, activation: Activation, classes: int | None
    ) -> None:
        super().__init__()
        self.classes = classes
        self.layers = dense_layers(math.prod(shape) + (classes or 0), width, depth, activation)
        self.head = output_layer(nn.Linear(width, outputs))

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return features, float32 (N, outputs)."""
        return at_least_float32(self.head(self.layers(append_one_hot(x.flatten(1), labels, self.classes))))


class ConvEncoder(nn.Module):
    """Depth x [3 x 3 convolution of stride 2, activation] -> linear: (N, C, H, W) -> (N, outputs)."""

    def __init__(
        self, shape: Shape, outputs: int, *, width: int, depth: int, activation: Activation, classes: int | None
    ) -> None:
        super().__init__()
        self.classes = classes
        sides = map_sides(shape, depth)
        layers: list[nn.Module] = []
        features = shape[0]
        for level in range(len(sides) - 1):
            outer = width << level
            conv = nn.Conv2d(features, activation.pieces * outer, 3, stride=2, padding=1)
            layers += [conv, activation(features=outer)]
            features = outer
        self.layers = hidden_layers(layers, activation).to(memory_format=torch.channels_last)
        self.head = output_layer(nn.Linear(features * math.prod(sides[-1]) + (classes or 0), outputs))

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return features, float32 (N, outputs)."""
        features = self.layers(x.contiguous(memory_format=torch.channels_last)).flatten(1)
        return at_least_float32(self.head(append_one_hot(features, labels, self.classes)))
