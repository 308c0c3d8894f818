"""Confident learning: which labels are probably wrong, by the predictions of networks that were not trained on those images.

Letters: N images, K classes, p (N, K) out-of-fold probabilities, y (N) given labels. The threshold of a class is the mean confidence in it
where it is given, t_k = mean over {i: y_i = k} of p_ik. An image counts as of class k if p_ik >= t_k, of the most probable such class if
several; where that is not its label, the label is suspicious (Northcutt et al. 2021, 1911.00068). A class that networks know badly has a low
threshold, so that hard classes are not taken for wrong ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seewhy.metrics.calibration import validate_predictions


@dataclass(frozen=True)
class SuspiciousLabel:
    """An image that is probably not of the class that its label says.

    Attributes:
        row: of the image.
        given, suggested: its label, and the class that the networks see.
        margin: p of the suggested class minus p of the given one: the larger, the likelier the label is wrong.
    """

    row: int
    given: int
    suggested: int
    margin: float


def suspicious_labels(probabilities: Tensor, labels: Tensor) -> list[SuspiciousLabel]:
    """Return the labels that are probably wrong, the likeliest first.

    Args:
        probabilities: p, floating (N, K), of networks that were trained without the image.
        labels: y, int64 (N).

    Raises:
        InputError: shapes do not fit, or there are no images.
    """
    validate_predictions(probabilities, labels)
    K = probabilities.shape[1]
    p, given = probabilities.double(), labels[:, None]
    counts = torch.bincount(labels, minlength=K)
    own = p.gather(1, given)[:, 0]
    thresholds = torch.zeros(K, dtype=p.dtype).index_add(0, labels, own) / counts.clamp_min(1)
    thresholds[counts == 0] = torch.inf  # nobody can say how sure networks are of a class without images
    confident = torch.where(p >= thresholds, p, -torch.inf)
    best, suggested = confident.max(1)
    margins = best - own
    rows = torch.nonzero((suggested != labels) & best.isfinite())[:, 0]
    rows = rows[margins[rows].argsort(descending=True, stable=True)]
    return [SuspiciousLabel(row, int(labels[row]), int(suggested[row]), margins[row].item()) for row in rows.tolist()]
