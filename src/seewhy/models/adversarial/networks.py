"""What a generator and a discriminator are, and what both forms of them share: noise, ranges of pixels, class labels.

Letters: N pictures, K classes, z the noise (N, Z).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seewhy.core.errors import InputError, bad_value, unknown_name

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
            raise bad_value("generator.code", self.size, "at least 1")
        if self.kind not in NOISES:
            raise unknown_name("noise", self.kind, NOISES)

    def draw(
        self, n: int, generator: torch.Generator | None = None, device: torch.device | str | None = None
    ) -> Tensor:
        """Return z, float32 (n, Z), from `generator` or torch's global one."""
        if self.kind == "normal":
            return torch.randn(n, self.size, generator=generator, device=device)
        return (torch.rand(n, self.size, generator=generator, device=device) * 2.0 - 1.0) * math.sqrt(3.0)


class Generator(nn.Module, ABC):
    """Draws pictures: noise (N, Z) and labels (N) to floating pictures (N, *shape) within the range of `output`.

    Args:
        shape: of a picture, such as (C, H, W).
        noise: what it draws from.
        output: the last function: "sigmoid", "tanh", or "linear" for data that are no pictures.
        classes: K, where it is told the class; None where not.

    Raises:
        InputError: a name is not known, or a number is out of range.
    """

    def __init__(self, shape: Sequence[int], noise: Noise, *, output: str, classes: int | None) -> None:
        super().__init__()
        if output not in RANGES:
            raise unknown_name("output", output, tuple(RANGES))
        check_sizes(shape, classes)
        self.shape, self.noise, self.output, self.classes = tuple(shape), noise, output, classes

    @abstractmethod
    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return pictures, float32 whatever the precision inside."""

    def fit(self, images: Tensor) -> None:
        """Compute what depends on data, from floating images in the output's range, before training: nothing, usually."""
        del images

    def finished(self, x: Tensor) -> Tensor:
        """Return the last function of x, float32 (N, *shape)."""
        x = x.float()
        return torch.sigmoid(x) if self.output == "sigmoid" else torch.tanh(x) if self.output == "tanh" else x


class Discriminator(nn.Module, ABC):
    """Tells real from drawn: floating pictures (N, *shape) and labels (N) to logits (N), high for real.

    Args:
        shape: of a picture.
        classes: K, where it is told the class; None where not.

    Attributes:
        mixes: whether a picture's logit depends on the others of its batch, as with batch normalisation.
    """

    def __init__(self, shape: Sequence[int], *, classes: int | None, mixes: bool = False) -> None:
        super().__init__()
        check_sizes(shape, classes)
        self.shape, self.classes, self.mixes = tuple(shape), classes, mixes

    @abstractmethod
    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return logits, float32 (N), whatever the precision inside."""

    def constrain(self) -> None:
        """Bring the weights back within their limits, in place, once before each of its turns: nothing, usually."""


def check_sizes(shape: Sequence[int], classes: int | None) -> None:
    """Raise InputError unless the sizes of a picture and the number of classes are positive."""
    if not shape or min(shape) < 1:
        raise bad_value("shape", tuple(shape), "the sizes of a picture, each at least 1")
    if classes is not None and classes < 1:
        raise bad_value("classes", classes, "at least 1, or None")


def check_labels(labels: Tensor | None, n: int, classes: int | None) -> None:
    """Raise InputError unless there are labels exactly where a network has classes, one for each of n pictures."""
    if labels is None and classes is None:
        return
    if labels is None:
        raise InputError(f"labels: must be given, one of {classes} classes for each picture, got None")
    if classes is None:
        raise InputError("labels: the network is not told classes; leave them out, or build it with classes")
    if labels.shape != (n,) or labels.dtype != torch.int64:
        raise bad_value("labels", f"{labels.dtype} {tuple(labels.shape)}", f"int64 ({n},), one for each picture")
    if n and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise bad_value("labels", (int(labels.min()), int(labels.max())), f"from 0 to {classes - 1}")


def with_classes(x: Tensor, labels: Tensor | None, classes: int | None) -> Tensor:
    """Return features (N, F) with a one-hot code of the class behind them, (N, F + K): the next layer has a bias for each class.

    (Mirza & Osindero 2014, 1411.1784.) Without classes, x itself.
    """
    if labels is None or classes is None:
        return x
    return torch.cat([x, F.one_hot(labels, classes).to(x.dtype)], 1)
