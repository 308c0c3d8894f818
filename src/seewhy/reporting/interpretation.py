"""What the figures mean, in a sentence each: the reader's way into a curve or a matrix."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seewhy.reporting.formatting import (
    finite_or_none,
    format_count,
    format_metric_name,
    format_number,
    format_percent,
)
from seewhy.reporting.records import EvaluationRecord

Metrics = Sequence[Mapping[str, float | None]]


@dataclass(frozen=True)
class ConfusedPair:
    """A pair of classes that was confused: `n` of the `total` images of `true` were classified as `predicted`."""

    true: str
    predicted: str
    n: int
    total: int


def confused_pairs(evaluation: EvaluationRecord, limit: int = 10) -> list[ConfusedPair]:
    """Return the most frequent mistakes, the most frequent first (equal counts: the larger fraction first)."""
    matrix = np.array(evaluation.confusion)
    totals = matrix.sum(axis=1)
    np.fill_diagonal(matrix, 0)
    cells = [(int(matrix[i, j]), int(i), int(j)) for i, j in np.argwhere(matrix > 0)]
    cells.sort(key=lambda cell: (-cell[0], -cell[0] / totals[cell[1]], cell[1], cell[2]))
    names = evaluation.classes
    return [ConfusedPair(names[i], names[j], n, int(totals[i])) for n, i, j in cells[:limit]]


def is_loss(column: str) -> bool:
    """Return whether a column of the metrics is a loss: one that is not finite is a finding, not a gap."""
    return column.startswith(("train_", "val_")) and column.endswith("_loss")


def first_not_finite(metrics: Metrics) -> tuple[str, float] | None:
    """Return the name of the first loss that is NaN or infinite, and its epoch, or None."""
    for metric in metrics:
        for column, value in metric.items():
            if is_loss(column) and value is not None and not math.isfinite(value):
                name = format_metric_name(column.split("_", 1)[1])
                return name, finite_or_none(metric.get("epoch")) or 0.0
    return None


def describe_ensemble(ensemble: Mapping[str, Any]) -> str:
    """Say what an ensemble gains over one of its members, how sure that is, and where the members disagree."""
    low, high = ensemble["gain_interval"]
    doubt = "" if low > 0 or high < 0 else ", which may be chance"
    text = (
        f"The accuracy of the {format_count(len(ensemble['members']), 'member')} together is {100 * ensemble['gain']:+.2f} percentage points "
        f"above that of a single member (95% interval {100 * low:+.2f} to {100 * high:+.2f}){doubt}."
    )
    right, wrong = ensemble["disagreement_right"], ensemble["disagreement_wrong"]
    if right is not None and wrong is not None and right > 0:
        ratio, nats = f"{wrong / right:.1f}", format_number(wrong, 2)
        text += f" They disagree {ratio} times as much where they are wrong ({nats} nats) as where they are right."
    return text


def describe_curves(metrics: Metrics) -> str:
    """Say how training went: the best validation accuracy, and how far training lies from validation at the end."""
    sentences = []
    accuracies = _by_epoch(metrics, "val_accuracy")
    if accuracies:
        accuracy, epoch = max(accuracies, key=lambda pair: pair[0])
        sentences.append(f"Validation accuracy was best at epoch {format_number(epoch)}: {format_percent(accuracy)}.")
    elif losses := _by_epoch(metrics, "val_loss"):
        loss, epoch = min(losses, key=lambda pair: pair[0])
        sentences.append(
            f"Validation loss was lowest at epoch {format_number(epoch)}: {format_number(loss)} nats per image."
        )
    last = metrics[-1] if metrics else {}
    train, val = finite_or_none(last.get("train_accuracy")), finite_or_none(last.get("val_accuracy"))
    if train is not None and val is not None:
        gap = 100 * (train - val)
        side = "above" if gap >= 0 else "below"
        sentences.append(f"At the end training lies {abs(gap):.1f} percentage points {side} validation.")
    if len(metrics) == 1:
        sentences.append("There is a single epoch: a point, not yet a curve.")
    return " ".join(sentences)


def _by_epoch(metrics: Metrics, column: str) -> list[tuple[float, float]]:
    """Return (value, epoch) where both are finite."""
    pairs = [(finite_or_none(metric.get(column)), finite_or_none(metric.get("epoch"))) for metric in metrics]
    return [(value, epoch) for value, epoch in pairs if value is not None and epoch is not None]


def split_name(evaluation: EvaluationRecord) -> str:
    """Return the name of the evaluated split in full."""
    return {"val": "validation"}.get(evaluation.split, evaluation.split)


def describe_confusion(evaluation: EvaluationRecord) -> str:
    """Say how many images were misclassified and how concentrated the mistakes are."""
    matrix = np.asarray(evaluation.confusion)
    total = int(matrix.sum())
    images = format_count(total, f"{split_name(evaluation)} image")
    wrong = total - int(np.trace(matrix))
    if total == 0:
        return "No images were evaluated."
    if wrong == 0:
        return f"All {images} were classified correctly."
    text = f"{wrong:,} of {images} ({format_percent(wrong / total)}) were misclassified"
    pairs = confused_pairs(evaluation, limit=4)
    if len(pairs) < 4:
        return f"{text}."
    fraction = sum(pair.n for pair in pairs[:3]) / wrong
    return f"{text}; the three most frequent confusions make up {format_percent(fraction, 0)} of them."


def describe_calibration(evaluation: EvaluationRecord) -> str:
    """Say whether the classifier is over- or under-confident."""
    bins = [row for row in evaluation.calibration if row["n"] and finite_or_none(row["confidence"]) is not None]
    n = sum(row["n"] for row in bins)
    if not n:
        return "No bins were measured."
    confidence = sum(row["n"] * row["confidence"] for row in bins) / n
    accuracy = sum(row["n"] * row["accuracy"] for row in bins) / n
    low, high = evaluation.interval
    if low <= confidence <= high:
        verdict = (
            f"the confidence lies within the accuracy's 95% interval, {format_percent(low)} to {format_percent(high)}"
        )
    else:
        verdict = "the classifier is " + ("over-confident" if confidence > accuracy else "under-confident")
    scaled = "" if evaluation.uncalibrated is None else "After temperature scaling: "
    text = f"{scaled}mean confidence {format_percent(confidence)}, accuracy {format_percent(accuracy)}; {verdict}."
    return text[0].upper() + text[1:]


def describe_temperature(evaluation: EvaluationRecord) -> str:
    """Say what temperature scaling did to the calibration, or that no temperature was fitted."""
    if evaluation.uncalibrated is None:
        return "No temperature was fitted: the confidences are the network's own."
    temperature = evaluation.temperature
    effect = "lowers" if temperature > 1 else "raises" if temperature < 1 else "leaves"
    before, after = finite_or_none(evaluation.uncalibrated["ece"]), finite_or_none(evaluation.ece)
    change = ""
    if before is not None and after is not None:
        change = f"; the expected calibration error {_change(before, after)} on the {split_name(evaluation)} split"
    text = (
        f"Temperature scaling (Guo et al. 2017) divides the logits by T = {format_number(temperature, 3)}, fitted on the validation split. "
        f"It {effect} every confidence and keeps the predicted classes{change}."
    )
    if evaluation.split == "val":
        text += " It was fitted on these very images, so the figures after it are optimistic."
    return text


def _change(before: float, after: float) -> str:
    if format_percent(before) == format_percent(after):
        return f"stayed at {format_percent(after)}"
    return f"{'fell' if after < before else 'rose'} from {format_percent(before)} to {format_percent(after)}"
