"""How good a classifier is: figures from class probabilities and true classes.

Letters: N images, K classes, p (N, K) predicted probabilities, y (N) true classes, M members of an ensemble or stochastic forward passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seewhy.core.errors import bad_value
from seewhy.metrics.calibration import FLOOR, calibration_bins, expected_calibration_error, validate_predictions
from seewhy.metrics.intervals import wilson_interval


def entropy(probabilities: Tensor) -> Tensor:
    """Return H(p) = -sum_k p_k log p_k in nats over the last axis, 0 log 0 = 0: (..., K) to (...)."""
    terms: Tensor = torch.special.entr(probabilities)
    return terms.sum(-1)


def mutual_information(members: Tensor) -> Tensor:
    """Return the mutual information between the prediction and the member, nats, of probabilities (M, N, K): shape (N).

    I = H(p) - mean over m of H(p_m), with p the mean over m of p_m and H the entropy (Houlsby et al. 2011, 1112.5745): 0 where all
    members predict the same probabilities, however uncertain those are.
    """
    return (entropy(members.mean(0)) - entropy(members).mean(0)).clamp_min(0.0)


def log_loss(probabilities: Tensor, labels: Tensor) -> float:
    """Return the mean of -log p_y in nats, of p (N, K) and y (N); p is floored at 1e-12 so that one error cannot be infinite."""
    return -probabilities.gather(1, labels[:, None]).clamp_min(FLOOR).log().mean().item()


def top_accuracy(probabilities: Tensor, labels: Tensor, k: int) -> float:
    """Return the share of images whose true class is among the k most probable, of p (N, K) and y (N)."""
    return (probabilities.topk(k, dim=1).indices == labels[:, None]).any(1).float().mean().item()


def confusion_matrix(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return the counts (K, K) of true (rows) and most probable classes (columns), of p (N, K) and y (N)."""
    K = probabilities.shape[1]
    return torch.bincount(labels * K + probabilities.argmax(1), minlength=K * K).reshape(K, K)


def balanced_accuracy(confusion: Tensor) -> float:
    """Return the mean recall of the classes that have images, of counts (K, K) whose rows are true classes."""
    correct, actual = confusion.diagonal(), confusion.sum(1)
    return (correct[actual > 0] / actual[actual > 0]).double().mean().item()


def macro_f1(confusion: Tensor) -> float:
    """Return the mean of F1 = 2 correct / (actual + predicted) over the classes that have images or are predicted, of counts (K, K)."""
    correct, total = confusion.diagonal(), confusion.sum(0) + confusion.sum(1)
    return (2 * correct[total > 0] / total[total > 0]).double().mean().item()


@dataclass(frozen=True)
class ClassificationMetrics:
    """The figures of one split.

    Attributes:
        split: "val" or "test".
        classes: the K class names.
        n: images.
        accuracy: share of images whose most probable class is the true one, with its 95% Wilson `interval`.
        top5: share whose true class is among the five most probable; None where K <= 5.
        log_loss: mean -log p(true class), nats.
        ece: expected calibration error over 15 bins of confidence (Guo et al. 2017, 1706.04599).
        confusion: K x K counts, rows are true classes.
        per_class: precision, recall, F1 and count of each class (None where it is undefined: no such prediction or image).
        calibration: bins of confidence with mean confidence, accuracy, its interval and count.
        balanced_accuracy: mean recall of the classes that have images, to which each class counts alike.
        macro_f1: mean F1 of the classes that have images or are predicted.
        ensemble: of an ensemble, what `ensemble_metrics` returned.
    """

    split: str
    classes: tuple[str, ...]
    n: int
    accuracy: float
    interval: tuple[float, float]
    top5: float | None
    log_loss: float
    ece: float
    confusion: list[list[int]]
    per_class: list[dict[str, Any]]
    calibration: list[dict[str, float]]
    balanced_accuracy: float
    macro_f1: float
    ensemble: dict[str, Any] | None = None

    def headline(self) -> dict[str, Any]:
        """Return the figures that fit on a line, for results.json."""
        figures = {
            "n": self.n,
            "accuracy": self.accuracy,
            "interval": list(self.interval),
            "log_loss": self.log_loss,
            "ece": self.ece,
            "balanced_accuracy": self.balanced_accuracy,
            "macro_f1": self.macro_f1,
            "class_recall": {row["class"]: row["recall"] for row in self.per_class},
        }
        return figures if self.top5 is None else {**figures, "top5": self.top5}

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        figures = {name: value for name, value in vars(self).items() if name != "ensemble" or value is not None}
        return {**figures, "classes": list(self.classes), "interval": list(self.interval)}


def classification_metrics(
    split: str, classes: Sequence[str], probabilities: Tensor, labels: Tensor
) -> ClassificationMetrics:
    """Compute every figure.

    Args:
        split: "val" or "test".
        classes: the K class names.
        probabilities: floating (N, K), N at least 1.
        labels: int64 (N).

    Raises:
        InputError: shapes do not fit, or there are no images.
    """
    validate_predictions(probabilities, labels)
    K, n = len(classes), len(labels)
    if probabilities.shape[1] != K:
        raise bad_value("probabilities", tuple(probabilities.shape), f"(N, {K}), a column for each class")
    confusion = confusion_matrix(probabilities, labels)
    correct = int(confusion.diagonal().sum())
    bins = calibration_bins(probabilities, labels)
    return ClassificationMetrics(
        split=split,
        classes=tuple(classes),
        n=n,
        accuracy=correct / n,
        interval=wilson_interval(correct, n),
        top5=top_accuracy(probabilities, labels, 5) if K > 5 else None,
        log_loss=log_loss(probabilities, labels),
        ece=expected_calibration_error(bins, n),
        confusion=confusion.tolist(),
        per_class=_per_class(classes, confusion),
        calibration=bins,
        balanced_accuracy=balanced_accuracy(confusion),
        macro_f1=macro_f1(confusion),
    )


def _per_class(classes: Sequence[str], confusion: Tensor) -> list[dict[str, Any]]:
    """Return precision, recall and F1 of each class from the confusion matrix."""
    rows = []
    for index, name in enumerate(classes):
        correct = int(confusion[index, index])
        actual, predicted = int(confusion[index].sum()), int(confusion[:, index].sum())
        precision = correct / predicted if predicted else None
        recall = correct / actual if actual else None
        f1 = 2 * correct / (actual + predicted) if actual + predicted else None
        rows.append({"class": name, "n": actual, "precision": precision, "recall": recall, "f1": f1})
    return rows
