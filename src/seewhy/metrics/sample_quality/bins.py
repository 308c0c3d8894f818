"""Modes without classes or a classifier: k-means bins of training pixels, and how many of them generated images fill as training images do.

Letters: K bins, the cells of the k-means centres of training images; p_k the share of the N training images in bin k, q_k that of M other ones.
A bin is statistically different where the two shares are, by the two-proportion test at level a:

    |p_k - q_k| / SE_k > Phi^-1(1 - a / 2),   SE_k^2 = P_k (1 - P_k) (1 / N + 1 / M),   P_k = (N p_k + M q_k) / (N + M)

The number of such bins (NDB, Richardson & Weiss 2018, 1805.12462) is about a K by chance; bins that are hardly filled are modes that are missed.

It assumes that images near each other in pixels are of one mode. Bins part images by brightness, stroke width and position as much as by what
they show; they see nothing of what happens within a bin, nor whether images are sharp; figures of another K, N or M cannot be compared. The same
figures of held-out images say what real ones reach.
"""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seewhy.core.errors import bad_value
from seewhy.metrics.sample_quality.coverage import MIN_SHARE, covered
from seewhy.metrics.sample_quality.distances import as_points, point_pair
from seewhy.metrics.sample_quality.neighbours import nearest_neighbours

BINS = 100
"""Of the paper, at most."""

PER_BIN = 10
"""Images for each bin, on average, from which the test's normal approximation holds: fewer images have fewer bins."""


@dataclass(frozen=True)
class BinCoverage:
    """The bins that images fill.

    Attributes:
        covered: bins that have at least `min_share` times their share of the training images.
        different: statistically different bins, NDB.
        expected_different: a K, by chance.
        bins: K.
        significance: a.
        min_share: see `covered`.
        n: M, images that were counted.
        n_train: N.
        extractor: what the bins are of.
    """

    covered: int
    different: int
    expected_different: float
    bins: int
    significance: float
    min_share: float
    n: int
    n_train: int
    extractor: str

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


def usual_bins(*counts: int) -> int:
    """Return K for samples of so many images: 100, or a tenth of the smallest, at least 2."""
    return max(2, min(BINS, min(counts) // PER_BIN))


def kmeans_centres(train: Tensor, bins: int, *, seed: int = 0) -> Tensor:
    """Return the k-means centres of training images, float64 (K, F); fewer than `bins` where fewer of them differ.

    Args:
        train: features (N, F) or images.
        bins: from 2 to N.
        seed: of the first centres (k-means++).

    Raises:
        InputError: the number of bins is out of range, or features are not finite.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    points = as_points("train", train)
    if not 2 <= bins <= len(points):
        raise bad_value("bins", bins, f"from 2 to the number of training images ({len(points)})")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # equal images make fewer bins, which are counted
        fitted = KMeans(bins, n_init=1, random_state=seed).fit(points.float().cpu().numpy())
    return torch.from_numpy(np.unique(fitted.cluster_centers_.astype(np.float64), axis=0))


def bin_coverage(
    train: Tensor,
    images: Tensor,
    centres: Tensor,
    *,
    extractor: str,
    significance: float = 0.05,
    min_share: float = MIN_SHARE,
) -> BinCoverage:
    """Compare the bins that images fill with those of training images.

    Args:
        train: features (N, F) or images.
        images: features (M, F) or images.
        centres: of the bins, (K, F), such as `kmeans_centres(train, 100)`.
        extractor: what the features are, in words.
        significance: a, above 0 and below 1.
        min_share: the share of a bin's share from which it counts as covered.

    Raises:
        InputError: a number is out of range, or features do not fit.
    """
    if not 0 < significance < 1:
        raise bad_value("significance", significance, "above 0 and below 1")
    x, y = point_pair(("train", "images"), train, images)
    counts = [
        torch.bincount(nearest_neighbours(points, centres)[1][:, 0], minlength=len(centres)).double()
        for points in (x, y)
    ]
    p, q = counts[0] / len(x), counts[1] / len(y)
    pooled = (counts[0] + counts[1]) / (len(x) + len(y))
    error = (pooled * (1.0 - pooled) * (1.0 / len(x) + 1.0 / len(y))).sqrt()
    z = torch.special.ndtri(torch.tensor(1.0 - significance / 2.0, dtype=torch.float64))
    return BinCoverage(
        covered=covered(q, p, min_share),
        different=int(((p - q).abs() > z * error).sum()),
        expected_different=significance * len(centres),
        bins=len(centres),
        significance=significance,
        min_share=min_share,
        n=len(y),
        n_train=len(x),
        extractor=extractor,
    )
