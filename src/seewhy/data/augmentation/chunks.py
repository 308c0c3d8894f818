"""Whole batches in chunks: the float32 values of a chunk stay in the processor's cache, and no large copy of the batch is made."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

CACHED = 1 << 17
"""Values of a chunk on the processor; smaller ones cost more in calls than they save in memory traffic."""

LAUNCHED = 1 << 23
"""Values of a chunk on other devices, where a launch costs more than memory traffic."""


def chunks(count: int, values: int, device: torch.device) -> Iterator[slice]:
    """Cut `count` images of so many values each into chunks of at least one image."""
    limit = CACHED if device.type == "cpu" else LAUNCHED
    step = max(1, limit // max(1, values))
    return (slice(start, start + step) for start in range(0, count, step))


def as_bytes(values: Tensor) -> Tensor:
    """Return values in [0, 256) without their fractions as uint8; by way of int32, which is three times as fast as at once."""
    return values.to(torch.int32).to(torch.uint8)
