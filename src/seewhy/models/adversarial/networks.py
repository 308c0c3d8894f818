"""What a generator and a discriminator are, and what both forms of them share: noise, ranges of pixels, class labels.

Letters: N images, K classes, z the noise (N, Z).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seewhy.core.errors import bad_value, unknown_name
from seewhy.models.labels import validate_classes

NOISES = ("uniform", "normal")

RANGES: dict[str, tuple[float, float]] = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "linear": (-math.inf, math.inf)}
"""The values that the last function of a generator can give, by its name."""


@dataclass(frozen=True)
class Noise:
    """Z independent numbers of mean 0 and variance 1.

    Attributes:
        size: Z.
        kind: "uniform" within +-sqrt(3), as Goodfellow's code has it, or "normal".

    Raises:
        InputError: an attribute is out of range.
    """

    size: int = 100
    kind: str = "normal"

    def __post_init__(self) -> None:
        if self.size < 1:
            raise bad_value("size", self.size, "at least 1")
        if self.kind not in NOISES:
            raise unknown_name("kind", self.kind, NOISES)

    def sample(self, n: int, rng: torch.Generator | None = None, device: torch.device | str | None = None) -> Tensor:
        """Return z, float32 (n, Z), from `rng` or torch's global source."""
        if self.kind == "normal":
            return torch.randn(n, self.size, generator=rng, device=device)
        return (torch.rand(n, self.size, generator=rng, device=device) * 2.0 - 1.0) * math.sqrt(3.0)


class Generator(nn.Module, ABC):
    """Generates images: noise (N, Z) and labels (N) to floating images (N, *shape) within the range of `output`.

    Args:
        shape: of an image, such as (C, H, W).
        noise: its input's distribution.
        output: the last function: "sigmoid", "tanh", or "linear" for data that are no images.
        classes: K of a class-conditional network; None where it is not.

    Raises:
        InputError: a name is not known, or a number is out of range.
    """

    def __init__(self, shape: Sequence[int], noise: Noise, *, output: str, classes: int | None) -> None:
        super().__init__()
        if output not in RANGES:
            raise unknown_name("output", output, tuple(RANGES))
        validate_sizes(shape, classes)
        self.shape, self.noise, self.output, self.classes = tuple(shape), noise, output, classes

    @abstractmethod
    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images, float32 whatever the precision inside."""

    def fit(self, images: Tensor) -> None:
        """Compute what depends on data, from floating images in the output's range, before training: nothing, usually."""
        del images

    def output_function(self, x: Tensor) -> Tensor:
        """Return the last function of x, float32 (N, *shape)."""
        x = x.float()
        return torch.sigmoid(x) if self.output == "sigmoid" else torch.tanh(x) if self.output == "tanh" else x


class Discriminator(nn.Module, ABC):
    """Classifies images as real or generated: floating images (N, *shape) and labels (N) to logits (N), high for real.

    Args:
        shape: of an image.
        classes: K of a class-conditional network; None where it is not.

    Attributes:
        batch_dependent: whether an image's logit depends on the others of its batch, as with batch normalisation.
    """

    def __init__(self, shape: Sequence[int], *, classes: int | None, batch_dependent: bool = False) -> None:
        super().__init__()
        validate_sizes(shape, classes)
        self.shape, self.classes, self.batch_dependent = tuple(shape), classes, batch_dependent

    @abstractmethod
    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return logits, float32 (N), whatever the precision inside."""

    def constrain(self) -> None:
        """Bring the weights back within their limits, in place, once before each of its steps: nothing, usually."""


def validate_sizes(shape: Sequence[int], classes: int | None) -> None:
    """Raise InputError unless the sizes of an image and the number of classes are positive."""
    if not shape or min(shape) < 1:
        raise bad_value("shape", tuple(shape), "the sizes of an image, each at least 1")
    validate_classes(classes)
