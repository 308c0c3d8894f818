"""What nearest neighbours tell of drawn pictures: are they like real ones, are they of all kinds, are they copies?

Letters: x_i real points (N), y_j drawn ones (M), r_i the distance of x_i to the k-th nearest other real point, s_j that of y_j among the drawn.
The balls of radius r_i around the x_i stand for the places where real pictures are.

    precision  share of the y_j that lie in some ball around an x_i: like real ones
    recall     share of the x_i that lie in some ball of radius s_j around a y_j: real ones that could be drawn
    density    (1 / k M) sum over j of the number of balls around an x_i that y_j lies in; 1 if the two are alike
    coverage   share of the balls around the x_i that some y_j lies in

(Kynkaanniemi et al. 2019, 1904.06991, has the first two; Naeem et al. 2020, 2002.09797, the others.)

An outlier among the drawn has a large ball, which raises recall; one among the real, precision. Density and coverage suffer less from both: they
count balls around real points alone.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from seewhy.core.errors import bad_value
from seewhy.training.fidelity.samples import pair, squared_distances

TIE = 1.0 + 1e-9
"""Squared distances within this ratio are equal, whichever way they were rounded."""

CLOSE = 0.01
"""The share of held-out pictures that are taken as unusually close to a training picture."""


@dataclass(frozen=True)
class PrecisionRecall:
    """Precision and recall of Kynkaanniemi et al. 2019.

    Attributes:
        precision: share of drawn pictures that are like real ones.
        recall: share of real pictures that could be drawn.
        k: neighbours that a ball reaches to.
        n_real: N.
        n_drawn: M.
        extractor: whose features.
    """

    precision: float
    recall: float
    k: int
    n_real: int
    n_drawn: int
    extractor: str

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class DensityCoverage:
    """Density and coverage of Naeem et al. 2020.

    Attributes:
        density: about 1 if drawn pictures are as thick as real ones where those are; may be more.
        coverage: share of real pictures with a drawn one in their neighbourhood.
        expected: coverage if the drawn pictures were real ones.
        k: neighbours that a ball reaches to.
        n_real: N.
        n_drawn: M.
        extractor: whose features.
    """

    density: float
    coverage: float
    expected: float
    k: int
    n_real: int
    n_drawn: int
    extractor: str

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Memorisation:
    """How near drawn pictures are to their nearest training picture, beside held-out real ones.

    Attributes:
        ratio: mean distance of the drawn over that of the held-out; about 1 or more for new pictures, clearly below 1 for copies.
        standard_error: of the ratio.
        copies: share of the drawn that are nearer to a training picture than all but 1% of the held-out; 0.01 is usual.
        n_drawn: M.
        n_held_out: real pictures that were not trained on.
        n_train: training pictures.
        extractor: whose features.
    """

    ratio: float
    standard_error: float
    copies: float
    n_drawn: int
    n_held_out: int
    n_train: int
    extractor: str

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


def precision_recall(real: Tensor, drawn: Tensor, *, extractor: str, k: int = 3) -> PrecisionRecall:
    """Measure precision and recall.

    Args:
        real: features (N, F) or pictures.
        drawn: features (M, F) or pictures. The figures depend on N and M: compare equal ones.
        extractor: whose features these are, in words.
        k: 3 in the paper.

    Raises:
        InputError: there are not more than k of each, or features do not fit.
    """
    x, y = _checked(real, drawn, k)
    of_real, of_drawn = radii(x, k), radii(y, k)
    hits, reached = 0, torch.zeros(len(x), dtype=torch.bool, device=x.device)
    for rows, distances in squared_distances(y, x):
        hits += int((distances <= of_real * TIE).any(1).sum())
        reached |= (distances <= of_drawn[rows, None] * TIE).any(0)
    return PrecisionRecall(hits / len(y), float(reached.double().mean()), k, len(x), len(y), extractor)


def density_coverage(real: Tensor, drawn: Tensor, *, extractor: str, k: int = 5) -> DensityCoverage:
    """Measure density and coverage.

    Args:
        real: features (N, F) or pictures.
        drawn: features (M, F) or pictures.
        extractor: whose features these are, in words.
        k: 5 in the paper.

    Raises:
        InputError: there are not more than k of each, or features do not fit.
    """
    x, y = _checked(real, drawn, k)
    of_real, inside = radii(x, k), 0
    covered = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    for _, distances in squared_distances(y, x):
        within = distances <= of_real * TIE
        inside += int(within.sum())
        covered |= within.any(0)
    coverage = float(covered.double().mean())
    expected = expected_coverage(len(x), len(y), k)
    return DensityCoverage(inside / (k * len(y)), coverage, expected, k, len(x), len(y), extractor)


def expected_coverage(n: int, m: int, k: int) -> float:
    """Return 1 - ((N - 1) ... (N - k)) / ((M + N - 1) ... (M + N - k)): coverage if all have one source (Naeem et al. 2020, lemma 2)."""
    return 1.0 - math.prod((n - i) / (m + n - i) for i in range(1, k + 1))


def memorisation(drawn: Tensor, train: Tensor, held_out: Tensor, *, extractor: str) -> Memorisation:
    """Measure how near drawn pictures are to training pictures, beside real ones that were not trained on.

    Args:
        drawn: features (M, F) or pictures.
        train: features or pictures that the generator was trained on.
        held_out: features or pictures of the same source that it was not.
        extractor: whose features these are, in words; pixels tell copies best.

    Raises:
        InputError: a sample has fewer than 2 points, features do not fit, or every held-out picture is a training picture.
    """
    ours, theirs = (
        nearest(values, train, 1, name)[0][:, 0] for values, name in ((drawn, "drawn"), (held_out, "held_out"))
    )
    for name, found in (("drawn", ours), ("held_out", theirs)):
        if len(found) < 2:
            raise bad_value(name, len(found), "at least 2 pictures")
    usual = float(theirs.mean())
    if usual == 0:
        raise bad_value("held_out", "copies of training pictures alone", "pictures that were not trained on")
    ratio = float(ours.mean()) / usual
    variance = float(ours.var()) / len(ours) + ratio**2 * float(theirs.var()) / len(theirs)  # the delta method
    copies = float((ours < theirs.quantile(CLOSE)).double().mean())
    return Memorisation(ratio, math.sqrt(variance) / usual, copies, len(ours), len(theirs), len(train), extractor)


def nearest(queries: Tensor, among: Tensor, k: int = 1, name: str = "queries") -> tuple[Tensor, Tensor]:
    """Return distances, float64 (Q, k), and indices, int64 (Q, k), of the k nearest points to each query, the nearest first.

    Args:
        queries: features (Q, F) or pictures.
        among: features (N, F) or pictures, where the neighbours are looked for.
        k: from 1 to N.
        name: of the queries, for messages.

    Raises:
        InputError: k is out of range, or features do not fit.
    """
    a, b = pair((name, "among"), queries, among)
    if not 1 <= k <= len(b):
        raise bad_value("k", k, f"from 1 to the number of points ({len(b)})")
    found, places = a.new_empty(len(a), k), torch.empty(len(a), k, dtype=torch.int64, device=a.device)
    for rows, distances in squared_distances(a.float(), b.float()):
        near = distances.topk(k, largest=False).indices
        # Anew in float64, without the rounding of the product: a copy has distance 0.
        exact = torch.stack([torch.linalg.vector_norm(a[rows] - b[column], dim=1) for column in near.unbind(1)], 1)
        found[rows], order = exact.sort(dim=1, stable=True)
        places[rows] = near.gather(1, order)
    return found, places


def radii(x: Tensor, k: int) -> Tensor:
    """Return the squared distance of each point to its k-th nearest other point, float64 (N)."""
    found = torch.empty(len(x), dtype=x.dtype, device=x.device)
    for rows, distances in squared_distances(x, x):
        places = torch.arange(rows.start, rows.stop, device=x.device)
        distances[places - rows.start, places] = math.inf
        found[rows] = distances.kthvalue(k, dim=1).values
    return found


def _checked(real: Tensor, drawn: Tensor, k: int) -> tuple[Tensor, Tensor]:
    if k < 1:
        raise bad_value("k", k, "at least 1")
    return pair(("real", "drawn"), real, drawn, least=k + 1)
