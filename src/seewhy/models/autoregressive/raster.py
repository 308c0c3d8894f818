"""Rasters: what the networks over them have in common, and the order in which their values are predicted.

Letters: N rasters, C colours, axes the raster's sides, L levels (values are 0 ... L - 1).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from seewhy.core.errors import InputError, bad_value
from seewhy.models.labels import validate_classes, validate_labels


class Autoregressive(Protocol):
    """A network over rasters (C, *axes) of L levels."""

    shape: tuple[int, ...]  # (C, *axes)
    levels: int
    classes: int | None  # K; None if it is not conditioned on a class

    def __call__(self, values: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the logits (N, L, C, *axes) of whole rasters, int64 (N, C, *axes); labels: int64 (N) where there are classes."""


def positions(sides: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield the positions of a raster in order."""
    return itertools.product(*(range(side) for side in sides))


def validate_raster(shape: Sequence[int], levels: int, classes: int | None) -> None:
    """Raise InputError unless a network can be built over rasters (C, *axes) of L levels."""
    if not 2 <= len(shape) <= 4 or any(side < 1 for side in shape):
        raise bad_value("shape", tuple(shape), "channels and the sides of 1 to 3 axes, all at least 1")
    if not 2 <= levels <= 256:
        raise bad_value("levels", levels, "from 2 to 256")
    validate_classes(classes)


def validate_values(net: Autoregressive, values: Tensor, labels: Tensor | None) -> None:
    """Raise InputError unless values and labels are what the network was built for."""
    if tuple(values.shape[1:]) != tuple(net.shape):
        raise InputError(
            f"values: must have the network's shape (N, {', '.join(map(str, net.shape))}), got {tuple(values.shape)}"
        )
    if values.dtype not in (torch.int64, torch.uint8):
        raise bad_value("values", values.dtype, "int64 or uint8, from 0 to levels - 1")
    validate_labels(labels, net.classes, values.shape[0])


def scaled(values: Tensor, levels: int) -> Tensor:
    """Return 2 v / (L - 1) - 1, float32 within [-1, 1]: zero, with which convolutions pad, is then no level of a binary raster."""
    return values.float() * (2.0 / (levels - 1)) - 1.0


def by_level(features: Tensor, channels: int, levels: int) -> Tensor:
    """Turn a network's last features (N, C L, *axes) into logits (N, L, C, *axes), float32."""
    by_colour: Tensor = features.float().reshape(features.shape[0], channels, levels, *features.shape[2:])
    return by_colour.transpose(1, 2)
