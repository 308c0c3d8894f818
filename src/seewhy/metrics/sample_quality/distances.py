"""Samples as points, and the distances between them in chunks that fit in memory.

Letters: N real points, M generated ones, F features; |.| the Euclidean norm.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from seewhy.core.errors import InputError, bad_value

CHUNK = 1024
"""Rows of distances that are held at once: 80 MB of them to 10,000 points."""


def as_points(name: str, values: Tensor, fewest: int = 1) -> Tensor:
    """Return a sample as float64 (N, F): of features (N, F), or of images of any shape, uint8 ones over 255.

    Args:
        name: of the argument, for the message.
        values: floating or uint8, (N, ...).
        fewest: the fewest points that will do.

    Raises:
        InputError: there are too few, they are not numbers of these kinds, or not finite.
    """
    if values.dim() < 2 or len(values) < fewest:
        raise bad_value(name, tuple(values.shape), f"(N, F) or (N, C, H, W) with N at least {fewest}")
    if values.dtype == torch.uint8:
        return values.flatten(1).double() / 255.0
    if not values.is_floating_point():
        raise bad_value(name, values.dtype, "floating, or uint8")
    points = values.detach().flatten(1).double()
    finite = points.isfinite().all(1)
    if not bool(finite.all()):
        raise InputError(f"{name}: must be finite, but {int((~finite).sum())} of {len(points)} rows are not")
    return points


def point_pair(names: tuple[str, str], first: Tensor, second: Tensor, fewest: int = 1) -> tuple[Tensor, Tensor]:
    """Return two samples by `as_points`; raises InputError if they have different numbers of features."""
    a, b = as_points(names[0], first, fewest), as_points(names[1], second, fewest)
    if a.shape[1] != b.shape[1]:
        raise InputError(
            f"{names[1]}: must have as many features as {names[0]} ({a.shape[1]}), got {b.shape[1]}; take both from one extractor"
        )
    return a, b


def squared_distances(a: Tensor, b: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield (rows, |a_i - b_j|^2) for chunks of the rows of a: to all of b in each, in the precision of the two.

    |a - b|^2 = |a|^2 + |b|^2 - 2 a b, one matrix product; both are first moved so that b's mean is 0, which keeps the digits that the difference
    would lose.
    """
    centre = b.mean(0)
    a, b = a - centre, b - centre
    lengths = b.square().sum(1)
    for start in range(0, len(a), CHUNK):
        rows = slice(start, min(start + CHUNK, len(a)))
        chunk = a[rows]
        squares = torch.addmm(lengths, chunk, b.T, alpha=-2.0).add_(chunk.square().sum(1, keepdim=True))
        yield rows, squares.clamp_min_(0.0)
