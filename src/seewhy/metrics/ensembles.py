"""How good an ensemble is, beside its members.

Letters: M members, N images, K classes, p_m the probabilities of member m. The ensemble predicts p = mean over m of p_m.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from seewhy.core.errors import bad_value
from seewhy.core.seeding import rng as seeded_rng
from seewhy.metrics.classification import ClassificationMetrics, classification_metrics, log_loss, mutual_information
from seewhy.metrics.intervals import mean_interval

MAX_SUBSETS = 50
"""Subsets of the members that are averaged over for each number of members."""


def ensemble_metrics(
    split: str, classes: Sequence[str], members: Tensor, labels: Tensor, ensemble: ClassificationMetrics
) -> dict[str, Any]:
    """Return the figures of the members beside those of the ensemble, as JSON values.

    Args:
        split: "val" or "test".
        classes: the K class names.
        members: probabilities of each member, floating (M, N, K).
        labels: int64 (N).
        ensemble: the figures of the ensemble's own predictions on this split.

    Returns:
        `members`: the headline of each; `gain`: accuracy of the ensemble minus the mean of the members', with `gain_interval`, the 95% interval
        of the mean of the differences per image; `disagreement`, `disagreement_right` and `disagreement_wrong`: the mean mutual information
        between prediction and member (nats) over all images, those predicted right and those predicted wrong (None where there are none);
        `ece` of the ensemble; `by_number`: see there.

    Raises:
        InputError: shapes do not fit, or there are no images.
    """
    if members.dim() != 3 or not len(members):
        raise bad_value("members", tuple(members.shape), "(M, N, K), M at least 1")
    headlines = [classification_metrics(split, classes, member, labels).headline() for member in members]
    correct = members.mean(0).argmax(1) == labels
    differences = correct.double() - (members.argmax(2) == labels).double().mean(0)
    information = mutual_information(members)
    return {
        "members": headlines,
        "gain": differences.mean().item(),
        "gain_interval": list(mean_interval(differences)),
        "disagreement": information.mean().item(),
        "disagreement_right": information[correct].mean().item() if correct.any() else None,
        "disagreement_wrong": information[~correct].mean().item() if (~correct).any() else None,
        "ece": ensemble.ece,
        "by_number": by_number(members, labels),
    }


def by_number(members: Tensor, labels: Tensor) -> list[dict[str, float]]:
    """Return accuracy and log-loss (nats) of ensembles of m = 1 .. M members: means over all subsets of m, or over 50 sampled ones.

    Args:
        members: floating (M, N, K).
        labels: int64 (N).
    """
    M, rows = len(members), []
    for size in range(1, M + 1):
        if math.comb(M, size) <= MAX_SUBSETS:
            subsets = [list(subset) for subset in itertools.combinations(range(M), size)]
        else:
            rng = seeded_rng(0, "subsets", size)
            subsets = [torch.randperm(M, generator=rng)[:size].tolist() for _ in range(MAX_SUBSETS)]
        accuracies, losses = [], []
        for subset in subsets:
            mean = members[subset].mean(0)
            accuracies.append((mean.argmax(1) == labels).float().mean().item())
            losses.append(log_loss(mean, labels))
        rows.append(
            {"members": size, "accuracy": sum(accuracies) / len(subsets), "log_loss": sum(losses) / len(subsets)}
        )
    return rows
