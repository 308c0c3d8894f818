"""The kernel distance of two samples (KID): the squared maximum mean discrepancy under a cubic kernel.

Letters: x_i real points (N, F), y_j generated ones (M, F).

    KID   E k(x, x') + E k(y, y') - 2 E k(x, y) with k(a, b) = (a b / F + 1)^3     (Binkowski et al. 2018, 1801.01401)

It was first taken on the features of an Inception network; here the extractor is named with the number, and numbers of different extractors
cannot be compared. KID has no bias, and may be below 0.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from seewhy.core.errors import bad_value
from seewhy.core.seeding import rng as seeded_rng
from seewhy.metrics.sample_quality.distances import point_pair


@dataclass(frozen=True)
class KernelDistance:
    """The kernel distance of two samples.

    Attributes:
        kid: mean over blocks of the unbiased squared distance.
        standard_error: of that mean; None where there is one block.
        block: points of each sample in a block.
        blocks: how many.
        n_real: N; of these, block x blocks were used.
        n_generated: M; likewise.
        features: F.
        extractor: whose features.
    """

    kid: float
    standard_error: float | None
    block: int
    blocks: int
    n_real: int
    n_generated: int
    features: int
    extractor: str

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


def kernel_distance(
    real: Tensor, generated: Tensor, *, extractor: str, block: int = 1000, rng: torch.Generator | None = None
) -> KernelDistance:
    """Measure KID: both samples are shuffled and cut into blocks without overlap, whose distances are independent but for rounding.

    Args:
        real: features (N, F) or images.
        generated: features (M, F) or images.
        extractor: whose features these are, in words.
        block: points of each sample in a block; all of the smaller sample if that has fewer.
        rng: source of the order; None for one and the same order at every call.

    Raises:
        InputError: a sample or a block has fewer than 2 points, or features do not fit.
    """
    x, y = point_pair(("real", "generated"), real, generated, fewest=2)
    if block < 2:
        raise bad_value("block", block, "at least 2")
    rng = rng or seeded_rng(0, "kernel distance")
    block = min(block, len(x), len(y))
    blocks = min(len(x), len(y)) // block
    shuffled = (values[torch.randperm(len(values), generator=rng).to(values.device)] for values in (x, y))
    xs, ys = (values[: block * blocks].view(blocks, block, -1) for values in shuffled)
    distances = torch.tensor([squared_mmd(a, b) for a, b in zip(xs, ys, strict=True)], dtype=torch.float64)
    error = float(distances.std()) / math.sqrt(blocks) if blocks > 1 else None
    return KernelDistance(float(distances.mean()), error, block, blocks, len(x), len(y), x.shape[1], extractor)


def squared_mmd(x: Tensor, y: Tensor) -> float:
    """Return the unbiased squared distance of two samples under the kernel (a b / F + 1)^3: pairs of a point with itself are left out.

    Args: x (m, F) and y (n, F), float64.
    """
    m, n = len(x), len(y)

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / x.shape[1] + 1.0) ** 3

    within_x, within_y = kernel(x, x), kernel(y, y)
    mean_x = (within_x.sum() - within_x.trace()) / (m * (m - 1))
    mean_y = (within_y.sum() - within_y.trace()) / (n * (n - 1))
    return float(mean_x + mean_y - 2.0 * kernel(x, y).mean())
