"""Which classes a generative model samples, by a classifier's predictions: mode collapse in numbers.

Letters: q_k the share of generated images that the classifier puts into class k, p_k that of the data, K classes, n images.

    KL = sum over k of q_k log(q_k / p_k)

is 0 if the classes come in the data's proportions, log(1 / p_k) if all are of class k, and (K - 1) / 2n on average by chance alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from seewhy.core.errors import InputError, bad_value

MIN_SHARE = 0.1
"""The share of a class's or bin's share in the data from which it counts as covered."""


def covered(q: Tensor, p: Tensor, min_share: float) -> int:
    """Return how many of those that the data have (p_k > 0) are generated at least `min_share` times as often: q_k >= min_share p_k."""
    return int(((q >= min_share * p) & (p > 0)).sum())


@dataclass(frozen=True)
class ClassCoverage:
    """The classes of generated images.

    Attributes:
        shares: q_k, by class.
        data_shares: p_k, by class.
        covered: classes that have at least `min_share` times their share of the data.
        classes: those that the data have.
        collapsed: whether a class is not covered.
        kl: in nats.
        expected_kl: its mean by chance, if images were generated in the data's proportions.
        effective_classes: exp(entropy of q): as many equally frequent classes would be as varied.
        confidence: mean probability of the predicted class; low if images resemble no class.
        min_share: see `covered`.
        n: generated images.
        classifier: whose predictions.
    """

    shares: tuple[float, ...]
    data_shares: tuple[float, ...]
    covered: int
    classes: int
    collapsed: bool
    kl: float
    expected_kl: float
    effective_classes: float
    confidence: float
    min_share: float
    n: int
    classifier: str

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {**asdict(self), "shares": list(self.shares), "data_shares": list(self.data_shares)}


def class_coverage(
    probabilities: Tensor, class_counts: Tensor | Sequence[float], *, classifier: str, min_share: float = MIN_SHARE
) -> ClassCoverage:
    """Measure which classes generated images are of.

    Args:
        probabilities: of the classifier for generated images, floating (n, K).
        class_counts: images of each class in the data, or their shares, (K).
        classifier: whose probabilities these are, in words.
        min_share: the share of a class's share in the data from which it counts as covered.

    Raises:
        InputError: shapes do not fit, there are no images, numbers are negative, or images were put into a class that the data do not have.
    """
    counts = torch.as_tensor(class_counts, dtype=torch.float64)
    if probabilities.dim() != 2 or not len(probabilities) or not probabilities.is_floating_point():
        raise bad_value(
            "probabilities", f"{probabilities.dtype} {tuple(probabilities.shape)}", "floating (n, K), n at least 1"
        )
    if counts.shape != probabilities.shape[1:] or bool((counts < 0).any()) or not float(counts.sum()) > 0:
        raise bad_value(
            "class_counts", tuple(counts.tolist()), f"{probabilities.shape[1]} counts or shares, at least 0, not all 0"
        )
    if not 0 < min_share <= 1:
        raise bad_value("min_share", min_share, "above 0 and at most 1")
    p, n = counts / counts.sum(), len(probabilities)
    confidence, predicted = probabilities.double().cpu().max(1)
    q = torch.bincount(predicted, minlength=len(p)).double() / n
    if bool(((p == 0) & (q > 0)).any()):
        raise InputError(
            "class_counts: the data have no image of a class that the classifier predicts; leave such classes out of both"
        )
    present = p > 0
    number, classes = covered(q, p, min_share), int(present.sum())
    return ClassCoverage(
        shares=tuple(q.tolist()),
        data_shares=tuple(p.tolist()),
        covered=number,
        classes=classes,
        collapsed=number < classes,
        kl=float(torch.special.xlogy(q[present], q[present] / p[present]).sum()),
        expected_kl=(classes - 1) / (2 * n),
        effective_classes=float(torch.special.entr(q).sum().exp()),
        confidence=float(confidence.mean()),
        min_share=min_share,
        n=n,
        classifier=classifier,
    )
