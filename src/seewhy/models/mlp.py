"""The multilayer perceptron: pixels in a row, hidden layers, logits."""

from __future__ import annotations

import math

from torch import Tensor, nn

from seewhy.models.design import Design


class MLP(nn.Module):
    """flatten -> dropout of inputs -> depth x [linear, norm, activation, dropout] of `width` units -> linear.

    (N, C, H, W) -> (N, K).
    """

    def __init__(self, in_shape: tuple[int, int, int], classes: int, design: Design) -> None:
        super().__init__()
        parts = design.parts()
        layers: list[nn.Module] = []
        features = math.prod(in_shape)
        for _ in range(design.depth):
            layers += [*parts.hidden(features, design.width), design.drop(design.dropout)]
            features = design.width
        self.drop = design.drop(design.input_dropout)
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(features, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised pictures (N, C, H, W) -> logits (N, K)."""
        logits: Tensor = self.head(self.layers(self.drop(x.flatten(1))))
        return logits
