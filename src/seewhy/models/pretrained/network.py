"""The network of a pretrained classifier: fit the images as in the pretraining, backbone, head."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seewhy.models.pretrained.backbones import Record

Statistics = nn.modules.batchnorm._BatchNorm


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
    """(x - mean) / std with the statistics of the training features; the identity until they are measured. (N, D) -> (N, D)."""

    mean: Tensor
    std: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("std", torch.ones(features))

    @torch.no_grad()
    def measure(self, features: Tensor) -> None:
        """Take mean and standard deviation of features (N, D); constant ones are left unscaled."""
        self.mean.copy_(features.mean(0))
        deviation = features.std(0, correction=0)
        self.std.copy_(torch.where(deviation > 1e-6, deviation, torch.ones_like(deviation)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the features, of mean 0 and standard deviation 1."""
        return (x - self.mean) / self.std


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
        scaled: whether the head is fixed too, and a scale of its logits is what is trained.
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
        self.standardise = Standardise(features)
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(features, classes)
        self.scale = nn.Parameter(torch.ones(()), requires_grad=scaled)
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
        """Let the head choose the class whose mean is nearest (Mensink et al. 2013).

        With m_k the mean of the standardised features f of class k and D dimensions, logit_k = (m_k . f - |m_k|^2 / 2) / sqrt(D), which
        orders classes as -|f - m_k|^2 does. A class without images has the mean of all.

        Args:
            features: of the training images, (N, D).
            labels: (N).
        """
        found = self.standardise(features)
        for k in range(self.head.out_features):
            own = found[labels == k]
            mean = own.mean(0) if len(own) else found.mean(0)
            self.head.weight[k] = mean / len(mean) ** 0.5
            self.head.bias[k] = -(mean @ mean) / 2 / len(mean) ** 0.5
