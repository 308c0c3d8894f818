"""Feature extractors, by name: a figure of sample quality is of an extractor as much as of the images, so the name goes with every number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Features:
    """What an extractor computes from N images.

    Attributes:
        values: float32 (N, F), on the CPU.
        probabilities: of the classes, float32 (N, K), on the CPU; None from an extractor that is no classifier.
    """

    values: Tensor
    probabilities: Tensor | None = None


@dataclass(frozen=True)
class FeatureExtractor:
    """A named function from images to features.

    Attributes:
        name: in words, with the number of features; figures of equal names can be compared.
        features: uint8 (N, C, H, W), N at least 1, to their features; the same at every call.
    """

    name: str
    features: Callable[[Tensor], Features]


def pixel_features(shape: tuple[int, int, int]) -> FeatureExtractor:
    """Return the extractor whose features are the pixels, from 0 to 1, of images (C, H, W)."""
    count = shape[0] * shape[1] * shape[2]
    return FeatureExtractor(f"pixels, {count} features", lambda images: Features(images.flatten(1).float() / 255.0))
