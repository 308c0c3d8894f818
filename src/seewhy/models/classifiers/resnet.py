"""The residual network (He et al. 2016, 1512.03385), slim by default."""

from __future__ import annotations

from torch import Tensor, nn

from seewhy.models.classifiers.design import ClassifierDesign
from seewhy.nn import ConvNormAct, Parts, ResidualBlock, survival_rates

BLOCKS = 2
"""Residual blocks per stage."""

MOST_STAGES = 6


class ResNet(nn.Module):
    """stem -> depth stages of two residual blocks, widths w, 2w, 4w, ... -> global average -> dropout -> linear.

    Each stage but the first halves the map. (N, C, H, W) -> (N, K).
    """

    def __init__(self, in_shape: tuple[int, int, int], classes: int, design: ClassifierDesign) -> None:
        super().__init__()
        parts, width = design.parts(), design.layer_width
        features = width
        rates = iter(survival_rates(design.depth * BLOCKS, 1.0 - design.regularisers.stochastic_depth))
        self.stem = make_stem(design.stem, in_shape[0], features, parts)
        blocks = []
        for stage in range(design.depth):
            stage_width = width * 2**stage
            for index in range(BLOCKS):
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(ResidualBlock(features, stage_width, parts, stride=stride, survival=next(rates)))
                features = stage_width
        self.blocks = nn.Sequential(*blocks)
        self.drop = design.regularisers.dropout_layer()
        self.input_drop = design.regularisers.input_dropout_layer()
        self.head = nn.Linear(features, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images (N, C, H, W) -> logits (N, K)."""
        x = self.blocks(self.stem(self.input_drop(x))).mean(dim=(2, 3))
        logits: Tensor = self.head(self.drop(x))
        return logits


def make_stem(name: str | None, channels: int, width: int, parts: Parts) -> nn.Module:
    """Return the first layers: full resolution for small images, a quarter of the side for large ones."""
    if name == "small":
        return ConvNormAct(channels, width, parts)
    half = max(1, width // 2)
    return nn.Sequential(
        ConvNormAct(channels, half, parts, stride=2),
        ConvNormAct(half, width, parts),
        nn.MaxPool2d(3, stride=2, padding=1),
    )
