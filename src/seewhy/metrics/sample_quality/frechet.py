"""The Frechet distance of two samples (FID): between the Gaussians that have their means and covariances.

Letters: x_i real points (N, F), y_j generated ones (M, F); m their means, S their covariances.

    FID   |m_x - m_y|^2 + Tr(S_x + S_y - 2 (S_x S_y)^(1/2))     (Dowson & Landau 1982; Heusel et al. 2017, 1706.08500)

It was first taken on the features of an Inception network; here the extractor is named with the number, and numbers of different extractors
cannot be compared. FID is too large by about a constant over the sample size.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from seewhy.metrics.sample_quality.distances import point_pair


@dataclass(frozen=True)
class FrechetDistance:
    """The Frechet distance of two samples.

    Attributes:
        fid: the squared distance; 0 for equal means and covariances.
        n_real: N.
        n_generated: M.
        features: F.
        extractor: whose features.
    """

    fid: float
    n_real: int
    n_generated: int
    features: int
    extractor: str

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


def frechet_distance(real: Tensor, generated: Tensor, *, extractor: str) -> FrechetDistance:
    """Measure FID between two samples.

    Where there are more features than points, as with pixels, the work is that of the points: see `frechet_from_points`.

    Args:
        real: features (N, F) or images.
        generated: features (M, F) or images.
        extractor: whose features these are, in words.

    Raises:
        InputError: a sample has fewer than 2 points, or features do not fit.
    """
    x, y = point_pair(("real", "generated"), real, generated, fewest=2)
    few = min(len(x), len(y)) < x.shape[1]
    fid = frechet_from_points(x, y) if few else frechet_from_moments(*moments(x), *moments(y))
    return FrechetDistance(fid, len(x), len(y), x.shape[1], extractor)


def frechet_from_points(x: Tensor, y: Tensor) -> float:
    """Return `frechet_from_moments` of the moments of points (N, F) and (M, F), without covariances (F, F).

    With centred points X, Y the covariances are S = X'X / (N - 1) and T = Y'Y / (M - 1), and Tr (S T)^(1/2) is the sum of the singular values of
    S^(1/2) T^(1/2), which are those of X Y' / sqrt((N - 1) (M - 1)).
    """
    mean, other_mean = x.mean(0), y.mean(0)
    a, b = (x - mean) / math.sqrt(len(x) - 1), (y - other_mean) / math.sqrt(len(y) - 1)
    between_means = (mean - other_mean).square().sum()
    trace_of_root = torch.linalg.svdvals(a @ b.T).sum()
    return max(0.0, float(between_means + a.square().sum() + b.square().sum() - 2.0 * trace_of_root))


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean (F) and the unbiased covariance (F, F) of points (N, F)."""
    mean = x.mean(0)
    centred = x - mean
    return mean, centred.T @ centred / (len(x) - 1)


def frechet_from_moments(mean: Tensor, covariance: Tensor, other_mean: Tensor, other_covariance: Tensor) -> float:
    """Return |m - n|^2 + Tr(S + T - 2 (S T)^(1/2)) of two Gaussians, at least 0.

    Tr (S T)^(1/2) = Tr (S^(1/2) T S^(1/2))^(1/2), which is symmetric: two eigenvalue problems, and nothing complex, singular or not.
    Args: means (F), covariances (F, F), float64.
    """
    values, vectors = torch.linalg.eigh(covariance)
    root = (vectors * values.clamp_min(0.0).sqrt()) @ vectors.T
    product = root @ other_covariance @ root
    trace_of_root = torch.linalg.eigvalsh((product + product.T) / 2.0).clamp_min(0.0).sqrt().sum()
    between_means = (mean - other_mean).square().sum()
    return max(0.0, float(between_means + covariance.trace() + other_covariance.trace() - 2.0 * trace_of_root))
