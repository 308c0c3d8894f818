"""The multilayer perceptron: pixels in a row, hidden layers, logits."""

from __future__ import annotations

import math

from torch import Tensor, nn

from seewhy.nn import Parts


class MLP(nn.Module):
    """flatten -> depth x [linear, norm, activation] of `width` units -> dropout -> linear.

    (N, C, H, W) -> (N, K).
    """

    def __init__(
        self, in_shape: tuple[int, int, int], classes: int, parts: Parts, *, width: int, depth: int, dropout: float
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        features = math.prod(in_shape)
        for _ in range(depth):
            layers += [nn.Linear(features, width, bias=parts.norm == "none"), *parts.after(width, dims=1)]
            features = width
        self.layers = nn.Sequential(*layers)
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(features, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised pictures (N, C, H, W) -> logits (N, K)."""
        logits: Tensor = self.head(self.drop(self.layers(x.flatten(1))))
        return logits
