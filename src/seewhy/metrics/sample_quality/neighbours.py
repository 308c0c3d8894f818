"""What nearest neighbours tell of generated images: do they resemble real ones, are they of all kinds, are they copies?

Letters: x_i real points (N), y_j generated ones (M), r_i the distance of x_i to the k-th nearest other real point, s_j that of y_j among the
generated. The balls of radius r_i around the x_i stand for the support of the real images.

    precision  share of the y_j that lie in some ball around an x_i: they resemble real ones
    recall     share of the x_i that lie in some ball of radius s_j around a y_j: real ones that could be generated
    density    (1 / k M) sum over j of the number of balls around an x_i that y_j lies in; 1 if the two are alike
    coverage   share of the balls around the x_i that some y_j lies in

(Kynkaanniemi et al. 2019, 1904.06991, has the first two; Naeem et al. 2020, 2002.09797, the others.)

An outlier among the generated has a large ball, which raises recall; one among the real, precision. Density and coverage suffer less from both:
they count balls around real points alone.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from seewhy.core.errors import bad_value
from seewhy.metrics.sample_quality.distances import point_pair, squared_distances

TIE_TOLERANCE = 1.0 + 1e-9
"""Squared distances within this ratio are equal, whichever way they were rounded."""

COPY_QUANTILE = 0.01
"""The share of held-out images that are taken as unusually close to a training image."""


@dataclass(frozen=True)
class PrecisionRecall:
    """Precision and recall of Kynkaanniemi et al. 2019.

    Attributes:
        precision: share of generated images that resemble real ones.
        recall: share of real images that could be generated.
        k: neighbours that a ball reaches to.
        n_real: N.
        n_generated: M.
        extractor: whose features.
    """

    precision: float
    recall: float
    k: int
    n_real: int
    n_generated: int
    extractor: str

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class DensityCoverage:
    """Density and coverage of Naeem et al. 2020.

    Attributes:
        density: about 1 if generated images are as dense as real ones where those are; may be more.
        coverage: share of real images with a generated one in their neighbourhood.
        expected_coverage: coverage if the generated images were real ones.
        k: neighbours that a ball reaches to.
        n_real: N.
        n_generated: M.
        extractor: whose features.
    """

    density: float
    coverage: float
    expected_coverage: float
    k: int
    n_real: int
    n_generated: int
    extractor: str

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Memorisation:
    """How near generated images are to their nearest training image, beside held-out real ones.

    Attributes:
        ratio: mean distance of the generated over that of the held-out; about 1 or more for new images, clearly below 1 for copies.
        standard_error: of the ratio.
        copies: share of the generated that are nearer to a training image than all but 1% of the held-out; 0.01 is usual.
        n_generated: M.
        n_held_out: real images that were not trained on.
        n_train: training images.
        extractor: whose features.
    """

    ratio: float
    standard_error: float
    copies: float
    n_generated: int
    n_held_out: int
    n_train: int
    extractor: str

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


def precision_recall(real: Tensor, generated: Tensor, *, extractor: str, k: int = 3) -> PrecisionRecall:
    """Measure precision and recall.

    Args:
        real: features (N, F) or images.
        generated: features (M, F) or images. The figures depend on N and M: compare equal ones.
        extractor: whose features these are, in words.
        k: 3 in the paper.

    Raises:
        InputError: there are not more than k of each, or features do not fit.
    """
    x, y = _validated_pair(real, generated, k)
    radii_x, radii_y = squared_radii(x, k), squared_radii(y, k)
    inside, reached = 0, torch.zeros(len(x), dtype=torch.bool, device=x.device)
    for rows, distances in squared_distances(y, x):
        inside += int((distances <= radii_x * TIE_TOLERANCE).any(1).sum())
        reached |= (distances <= radii_y[rows, None] * TIE_TOLERANCE).any(0)
    return PrecisionRecall(inside / len(y), float(reached.double().mean()), k, len(x), len(y), extractor)


def density_coverage(real: Tensor, generated: Tensor, *, extractor: str, k: int = 5) -> DensityCoverage:
    """Measure density and coverage.

    Args:
        real: features (N, F) or images.
        generated: features (M, F) or images.
        extractor: whose features these are, in words.
        k: 5 in the paper.

    Raises:
        InputError: there are not more than k of each, or features do not fit.
    """
    x, y = _validated_pair(real, generated, k)
    radii, balls = squared_radii(x, k), 0
    covered = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    for _, distances in squared_distances(y, x):
        within = distances <= radii * TIE_TOLERANCE
        balls += int(within.sum())
        covered |= within.any(0)
    coverage = float(covered.double().mean())
    expected = expected_coverage(len(x), len(y), k)
    return DensityCoverage(balls / (k * len(y)), coverage, expected, k, len(x), len(y), extractor)


def expected_coverage(n: int, m: int, k: int) -> float:
    """Return 1 - ((N - 1) ... (N - k)) / ((M + N - 1) ... (M + N - k)): coverage if all have one source (Naeem et al. 2020, lemma 2)."""
    return 1.0 - math.prod((n - i) / (m + n - i) for i in range(1, k + 1))


def memorisation(generated: Tensor, train: Tensor, held_out: Tensor, *, extractor: str) -> Memorisation:
    """Measure how near generated images are to training images, beside real ones that were not trained on.

    Args:
        generated: features (M, F) or images.
        train: features or images that the model was trained on.
        held_out: features or images of the same source that it was not.
        extractor: whose features these are, in words; pixels show copies best.

    Raises:
        InputError: a sample has fewer than 2 points, features do not fit, or every held-out image is a training image.
    """
    to_train = {}
    for name, values in (("generated", generated), ("held_out", held_out)):
        to_train[name] = nearest_neighbours(values, train, 1, name)[0][:, 0]
        if len(values) < 2:
            raise bad_value(name, len(values), "at least 2 images")
    ours, reference = to_train["generated"], to_train["held_out"]
    mean = float(reference.mean())
    if mean == 0:
        raise bad_value("held_out", "copies of training images alone", "images that were not trained on")
    ratio = float(ours.mean()) / mean
    # The delta method.
    variance = float(ours.var()) / len(ours) + ratio**2 * float(reference.var()) / len(reference)
    copies = float((ours < reference.quantile(COPY_QUANTILE)).double().mean())
    return Memorisation(ratio, math.sqrt(variance) / mean, copies, len(ours), len(reference), len(train), extractor)


def nearest_neighbours(queries: Tensor, candidates: Tensor, k: int = 1, name: str = "queries") -> tuple[Tensor, Tensor]:
    """Return distances, float64 (Q, k), and indices, int64 (Q, k), of the k nearest points to each query, the nearest first.

    Args:
        queries: features (Q, F) or images.
        candidates: features (N, F) or images, among which the neighbours are looked for.
        k: from 1 to N.
        name: of the queries, for messages.

    Raises:
        InputError: k is out of range, or features do not fit.
    """
    a, b = point_pair((name, "candidates"), queries, candidates)
    if not 1 <= k <= len(b):
        raise bad_value("k", k, f"from 1 to the number of points ({len(b)})")
    sorted_distances = a.new_empty(len(a), k)
    indices = torch.empty(len(a), k, dtype=torch.int64, device=a.device)
    for rows, distances in squared_distances(a.float(), b.float()):
        near = distances.topk(k, largest=False).indices
        # Again in float64, without the rounding of the product: a copy has distance 0.
        exact = torch.stack([torch.linalg.vector_norm(a[rows] - b[column], dim=1) for column in near.unbind(1)], 1)
        sorted_distances[rows], order = exact.sort(dim=1, stable=True)
        indices[rows] = near.gather(1, order)
    return sorted_distances, indices


def squared_radii(x: Tensor, k: int) -> Tensor:
    """Return the squared distance of each point to its k-th nearest other point, float64 (N)."""
    radii = torch.empty(len(x), dtype=x.dtype, device=x.device)
    for rows, distances in squared_distances(x, x):
        positions = torch.arange(rows.start, rows.stop, device=x.device)
        distances[positions - rows.start, positions] = math.inf
        radii[rows] = distances.kthvalue(k, dim=1).values
    return radii


def _validated_pair(real: Tensor, generated: Tensor, k: int) -> tuple[Tensor, Tensor]:
    if k < 1:
        raise bad_value("k", k, "at least 1")
    return point_pair(("real", "generated"), real, generated, fewest=k + 1)
