"""Two samples of points, and the distances between them in pieces that fit in memory.

Letters: N real points, M drawn ones, F features; |.| the Euclidean norm.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from seewhy.core.errors import InputError, bad_value

CHUNK = 1024
"""Rows of distances that are held at once: 80 MB of them to 10,000 points."""


def points(name: str, values: Tensor, least: int = 1) -> Tensor:
    """Return a sample as float64 (N, F): of features (N, F), or of pictures of any shape, uint8 ones over 255.

    Args:
        name: of the argument, for the message.
        values: floating or uint8, (N, ...).
        least: the fewest points that will do.

    Raises:
        InputError: there are too few, they are not numbers of these kinds, or not finite.
    """
    if values.dim() < 2 or len(values) < least:
        raise bad_value(name, tuple(values.shape), f"(N, F) or (N, C, H, W) with N at least {least}")
    if values.dtype == torch.uint8:
        return values.flatten(1).double() / 255.0
    if not values.is_floating_point():
        raise bad_value(name, values.dtype, "floating, or uint8")
    found = values.detach().flatten(1).double()
    if not bool(found.isfinite().all()):
        raise InputError(
            f"{name}: must be finite, but {int((~found.isfinite()).any(1).sum())} of {len(found)} rows are not"
        )
    return found


def pair(names: tuple[str, str], first: Tensor, second: Tensor, least: int = 1) -> tuple[Tensor, Tensor]:
    """Return two samples as `points`; raises InputError if they have different numbers of features."""
    a, b = points(names[0], first, least), points(names[1], second, least)
    if a.shape[1] != b.shape[1]:
        raise InputError(
            f"{names[1]}: must have as many features as {names[0]} ({a.shape[1]}), got {b.shape[1]}; take both from one extractor"
        )
    return a, b


def squared_distances(a: Tensor, b: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield (rows, |a_i - b_j|^2) for pieces of the rows of a: all of b in each, in the precision of the two.

    |a - b|^2 = |a|^2 + |b|^2 - 2 a b, one matrix product; both are first moved so that b's mean is 0, which keeps the digits that the difference
    would lose.
    """
    middle = b.mean(0)
    a, b = a - middle, b - middle
    lengths = b.square().sum(1)
    for start in range(0, len(a), CHUNK):
        rows = slice(start, min(start + CHUNK, len(a)))
        some = a[rows]
        found = torch.addmm(lengths, some, b.T, alpha=-2.0).add_(some.square().sum(1, keepdim=True)).clamp_min_(0.0)
        yield rows, found
