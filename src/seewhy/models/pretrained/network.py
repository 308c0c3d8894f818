"""The network of a pretrained classifier: fit the images as in the pretraining, backbone, head."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seewhy.models.pretrained.backbones import Record

Statistics = nn.modules.batchnorm._BatchNorm


COSINES = 10.0
"""The scale that logits which are cosines begin with."""


class Fit(nn.Module):
    """Resizes images to a side, antialiased, and cuts out the centre, as the pretraining's evaluation did.

    (N, C, H, W) -> (N, C, S, S).

    Args:
        resize: side after resizing; images of this side are left as they are.
        size: S, of the crop.
        interpolation: "bilinear" or "bicubic".
    """

    def __init__(self, resize: int, size: int, interpolation: str) -> None:
        super().__init__()
        self.resize, self.size, self.interpolation = resize, size, interpolation

    def forward(self, x: Tensor) -> Tensor:
        """Return the images that the backbone sees."""
        if x.shape[2:] != (self.resize, self.resize):
            side = (self.resize, self.resize)
            x = F.interpolate(x, side, mode=self.interpolation, align_corners=False, antialias=True)
        start = (self.resize - self.size) // 2
        return x[:, :, start : start + self.size, start : start + self.size]


class Standardise(nn.Module):
    """(f - mean) / scale, by the mean of the training features and one scale for all; the identity until they are measured.

    (N, D) -> (N, D). One scale keeps what features are worth: each divided by its own deviation, the rare ones would drown the others.

    Args:
        features: D.
        unit: whether each image's features are then brought to a length of 1.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, features: int, *, unit: bool = False) -> None:
        super().__init__()
        self.unit = unit
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(()))

    @torch.no_grad()
    def measure(self, features: Tensor) -> None:
        """Take mean and scale of features (N, D); the scale of constant ones is left at 1."""
        self.mean.copy_(features.mean(0))
        scale = (features - self.mean).square().mean().sqrt()
        self.scale.copy_(torch.where(scale > 0, scale, torch.ones_like(scale)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the features."""
        x = (x - self.mean) / self.scale
        return F.normalize(x) if self.unit else x


class PretrainedNet(nn.Module):
    """Normalised images (N, 3, H, W) -> logits (N, K): head(standardise(body(fit(x)))), times a scale in a nearest mean.

    Args:
        body: images (N, 3, S, S) to features (N, D).
        features: D.
        classes: K.
        record: of the backbone.
        input_size: S.
        fixed: whether the body is as it was pretrained: its parameters have no gradient, and it stays in evaluation mode.
        frozen_statistics: whether its batch normalisations keep their running statistics.
        scaled: whether the head is fixed too, its logits are cosines, and their scale is what is trained.
        dropout: probability with which a feature is dropped in training.
    """

    def __init__(
        self,
        body: nn.Module,
        features: int,
        classes: int,
        *,
        record: Record,
        input_size: int,
        fixed: bool = False,
        frozen_statistics: bool = False,
        scaled: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.fit = Fit(record.resized(input_size), input_size, record.interpolation)
        self.body = body
        self.standardise = Standardise(features, unit=scaled)
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(features, classes)
        self.scale = nn.Parameter(torch.tensor(COSINES if scaled else 1.0), requires_grad=scaled)
        self.fixed, self.frozen_statistics = fixed, frozen_statistics
        self.body.requires_grad_(not fixed)
        self.head.requires_grad_(not scaled)
        with torch.no_grad():
            self.head.bias.zero_()
            self.head.weight.mul_(0.1)  # small logits: the first steps shake the backbone less

    def train(self, mode: bool = True) -> PretrainedNet:
        """Set the mode; what is frozen stays in evaluation mode."""
        super().train(mode)
        if self.fixed:
            self.body.eval()
        elif self.frozen_statistics:
            for module in self.body.modules():
                if isinstance(module, Statistics):
                    module.eval()
        return self

    def features(self, x: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) -> features (N, D)."""
        found: Tensor = self.body(self.fit(x))
        return found

    def classify(self, features: Tensor) -> Tensor:
        """Features (N, D) -> logits (N, K)."""
        logits: Tensor = self.head(self.drop(self.standardise(features)))
        return logits * self.scale

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        return self.classify(self.features(x))

    @contextmanager
    def head_only(self) -> Iterator[None]:
        """Leave the body as it is in a step: no gradients, and evaluation mode, so that no bit of it changes."""
        trained = [parameter for parameter in self.body.parameters() if parameter.requires_grad]
        training = self.training
        for parameter in trained:
            parameter.requires_grad_(False)
        self.body.eval()
        try:
            yield
        finally:
            for parameter in trained:
                parameter.requires_grad_(True)
            self.train(training)

    @torch.no_grad()
    def start_at_means(self, features: Tensor, labels: Tensor) -> None:
        """Let the head choose the class whose mean has the largest cosine with an image's features (Mensink et al. 2013, with cosines).

        With f the standardised features and m_k the mean of those of class k, both of length 1: logit_k = scale m_k . f. A class without
        training images has the logit 0.

        Args:
            features: of the training images, (N, D).
            labels: (N).
        """
        found = self.standardise(features)
        sums = torch.zeros_like(self.head.weight).index_add_(0, labels, found)
        self.head.weight.copy_(F.normalize(sums))
