"""The multilayer perceptron: flattened pixels, hidden layers, logits."""

from __future__ import annotations

import math

from torch import Tensor, nn

from seewhy.models.classifiers.design import ClassifierDesign


class MLP(nn.Module):
    """flatten -> dropout of inputs -> depth x [linear, norm, activation, dropout] of `width` units -> linear.

    (N, C, H, W) -> (N, K).
    """

    def __init__(self, in_shape: tuple[int, int, int], classes: int, design: ClassifierDesign) -> None:
        super().__init__()
        parts, width = design.parts(), design.layer_width
        layers: list[nn.Module] = []
        features = math.prod(in_shape)
        for _ in range(design.depth):
            layers += [*parts.hidden(features, width), design.regularisers.dropout_layer()]
            features = width
        self.drop = design.regularisers.input_dropout_layer()
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(features, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images (N, C, H, W) -> logits (N, K)."""
        logits: Tensor = self.head(self.layers(self.drop(x.flatten(1))))
        return logits
