"""Distances between the distributions that two samples come from: Frechet's between Gaussians (FID), and the kernel distance (KID).

Letters: x_i real points (N, F), y_j drawn ones (M, F); m their means, S their covariances.

    FID   |m_x - m_y|^2 + Tr(S_x + S_y - 2 (S_x S_y)^(1/2))     (Dowson & Landau 1982; Heusel et al. 2017, 1706.08500)
    KID   E k(x, x') + E k(y, y') - 2 E k(x, y) with k(a, b) = (a b / F + 1)^3     (Binkowski et al. 2018, 1801.01401)

Both were first taken on the features of an Inception network; here the extractor is named with the number, and numbers of different extractors
cannot be compared. FID is too large by about a constant over the sample size; KID is not, and may be below 0.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from seewhy.core.errors import bad_value
from seewhy.core.seeding import generator as seeded
from seewhy.training.fidelity.samples import pair


@dataclass(frozen=True)
class Frechet:
    """The Frechet distance of two samples.

    Attributes:
        fid: the squared distance; 0 for equal means and covariances.
        n_real: N.
        n_drawn: M.
        features: F.
        extractor: whose features.
    """

    fid: float
    n_real: int
    n_drawn: int
    features: int
    extractor: str

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Kernel:
    """The kernel distance of two samples.

    Attributes:
        kid: mean over blocks of the unbiased squared distance.
        standard_error: of that mean; None where there is one block.
        block: points of each sample in a block.
        blocks: how many.
        n_real: N; of these, block x blocks were used.
        n_drawn: M; likewise.
        features: F.
        extractor: whose features.
    """

    kid: float
    standard_error: float | None
    block: int
    blocks: int
    n_real: int
    n_drawn: int
    features: int
    extractor: str

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


def frechet_distance(real: Tensor, drawn: Tensor, *, extractor: str) -> Frechet:
    """Measure FID between two samples.

    Where there are more features than points, as with pixels, the work is that of the points: see `distance_of_points`.

    Args:
        real: features (N, F) or pictures.
        drawn: features (M, F) or pictures.
        extractor: whose features these are, in words.

    Raises:
        InputError: a sample has fewer than 2 points, or features do not fit.
    """
    x, y = pair(("real", "drawn"), real, drawn, least=2)
    few = min(len(x), len(y)) < x.shape[1]
    fid = distance_of_points(x, y) if few else gaussian_distance(*moments(x), *moments(y))
    return Frechet(fid, len(x), len(y), x.shape[1], extractor)


def distance_of_points(x: Tensor, y: Tensor) -> float:
    """Return `gaussian_distance` of the moments of points (N, F) and (M, F), without covariances (F, F).

    With centred points X, Y the covariances are S = X'X / (N - 1) and T = Y'Y / (M - 1), and Tr (S T)^(1/2) is the sum of the singular values of
    S^(1/2) T^(1/2), which are those of X Y' / sqrt((N - 1) (M - 1)).
    """
    mean, other = x.mean(0), y.mean(0)
    a, b = (x - mean) / math.sqrt(len(x) - 1), (y - other) / math.sqrt(len(y) - 1)
    apart = (mean - other).square().sum()
    shared = torch.linalg.svdvals(a @ b.T).sum()
    return max(0.0, float(apart + a.square().sum() + b.square().sum() - 2.0 * shared))


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean (F) and the unbiased covariance (F, F) of points (N, F)."""
    mean = x.mean(0)
    centred = x - mean
    return mean, centred.T @ centred / (len(x) - 1)


def gaussian_distance(mean: Tensor, covariance: Tensor, other_mean: Tensor, other_covariance: Tensor) -> float:
    """Return |m - n|^2 + Tr(S + T - 2 (S T)^(1/2)) of two Gaussians, at least 0.

    Tr (S T)^(1/2) = Tr (S^(1/2) T S^(1/2))^(1/2), which is symmetric: two eigenvalue problems, and nothing complex, singular or not.
    Args: means (F), covariances (F, F), float64.
    """
    values, vectors = torch.linalg.eigh(covariance)
    root = (vectors * values.clamp_min(0.0).sqrt()) @ vectors.T
    middle = root @ other_covariance @ root
    shared = torch.linalg.eigvalsh((middle + middle.T) / 2.0).clamp_min(0.0).sqrt().sum()
    apart = (mean - other_mean).square().sum()
    return max(0.0, float(apart + covariance.trace() + other_covariance.trace() - 2.0 * shared))


def kernel_distance(
    real: Tensor, drawn: Tensor, *, extractor: str, block: int = 1000, generator: torch.Generator | None = None
) -> Kernel:
    """Measure KID: both samples are shuffled and cut into blocks without overlap, whose distances are independent but for rounding.

    Args:
        real: features (N, F) or pictures.
        drawn: features (M, F) or pictures.
        extractor: whose features these are, in words.
        block: points of each sample in a block; all of the smaller sample if that has fewer.
        generator: source of the order; None for one and the same order at every call.

    Raises:
        InputError: a sample or a block has fewer than 2 points, or features do not fit.
    """
    x, y = pair(("real", "drawn"), real, drawn, least=2)
    if block < 2:
        raise bad_value("block", block, "at least 2")
    generator = generator or seeded(0, "kernel distance")
    block = min(block, len(x), len(y))
    blocks = min(len(x), len(y)) // block
    shuffled = (values[torch.randperm(len(values), generator=generator).to(values.device)] for values in (x, y))
    xs, ys = (values[: block * blocks].view(blocks, block, -1) for values in shuffled)
    found = torch.tensor([squared_mmd(a, b) for a, b in zip(xs, ys, strict=True)], dtype=torch.float64)
    error = float(found.std()) / math.sqrt(blocks) if blocks > 1 else None
    return Kernel(float(found.mean()), error, block, blocks, len(x), len(y), x.shape[1], extractor)


def squared_mmd(x: Tensor, y: Tensor) -> float:
    """Return the unbiased squared distance of two samples under the kernel (a b / F + 1)^3: pairs of a point with itself are left out.

    Args: x (m, F) and y (n, F), float64.
    """
    m, n = len(x), len(y)

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / x.shape[1] + 1.0) ** 3

    within_x, within_y = kernel(x, x), kernel(y, y)
    ours = (within_x.sum() - within_x.trace()) / (m * (m - 1))
    theirs = (within_y.sum() - within_y.trace()) / (n * (n - 1))
    return float(ours + theirs - 2.0 * kernel(x, y).mean())
