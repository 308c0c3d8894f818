"""What the figures say, in a sentence each: the reader's way into a curve or a matrix."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seewhy.reporting.records import EvaluationRecord
from seewhy.reporting.words import count, finite, number, percent

Metrics = Sequence[Mapping[str, float | None]]


@dataclass(frozen=True)
class Confused:
    """A pair of classes that was confused: `n` of the `total` images of `true` were taken for `predicted`."""

    true: str
    predicted: str
    n: int
    total: int


def confused_pairs(evaluation: EvaluationRecord, limit: int = 10) -> list[Confused]:
    """Return the most frequent mistakes, the most frequent first (equal counts: the larger share first)."""
    matrix = np.array(evaluation.confusion)
    totals = matrix.sum(axis=1)
    np.fill_diagonal(matrix, 0)
    cells = [(int(matrix[i, j]), int(i), int(j)) for i, j in np.argwhere(matrix > 0)]
    cells.sort(key=lambda cell: (-cell[0], -cell[0] / totals[cell[1]], cell[1], cell[2]))
    names = evaluation.classes
    return [Confused(names[i], names[j], n, int(totals[i])) for n, i, j in cells[:limit]]


def not_finite(metrics: Metrics) -> float | None:
    """Return the first epoch whose loss is NaN or infinite, or None."""
    for metric in metrics:
        for field in ("train_loss", "val_loss"):
            value = metric.get(field)
            if value is not None and not math.isfinite(value):
                return finite(metric.get("epoch")) or 0.0
    return None


def of_ensemble(found: Mapping[str, Any]) -> str:
    """Say what an ensemble gains over one of its members, how sure that is, and where the members disagree."""
    low, high = found["gain_interval"]
    sure = "" if low > 0 or high < 0 else ", which may be chance"
    said = (
        f"Together the {count(len(found['members']), 'member')} are right {100 * found['gain']:+.2f} points more often than one of them alone "
        f"(95% interval {100 * low:+.2f} to {100 * high:+.2f}){sure}."
    )
    right, wrong = found["disagreement_right"], found["disagreement_wrong"]
    if right is not None and wrong is not None and right > 0:
        said += f" They disagree {wrong / right:.1f} times as much where they are wrong ({number(wrong, 2)} nats) as where they are right."
    return said


def of_curves(metrics: Metrics) -> str:
    """Say how training went: the best validation accuracy, and how far training lies from validation at the end."""
    said = []
    known = [(finite(m.get("val_accuracy")), finite(m.get("epoch"))) for m in metrics]
    best = max(((a, e) for a, e in known if a is not None and e is not None), default=None, key=lambda pair: pair[0])
    if best:
        said.append(f"Validation accuracy was best at epoch {number(best[1])}: {percent(best[0])}.")
    losses = [(finite(m.get("val_loss")), finite(m.get("epoch"))) for m in metrics] if not best else []
    least = min(((a, e) for a, e in losses if a is not None and e is not None), default=None, key=lambda pair: pair[0])
    if least:
        said.append(f"Validation loss was lowest at epoch {number(least[1])}: {number(least[0])} nats an image.")
    last = metrics[-1] if metrics else {}
    train, val = finite(last.get("train_accuracy")), finite(last.get("val_accuracy"))
    if train is not None and val is not None:
        gap = 100 * (train - val)
        side = "above" if gap >= 0 else "below"
        said.append(f"At the end training lies {abs(gap):.1f} percentage points {side} validation.")
    if len(metrics) == 1:
        said.append("There is a single epoch: a point, not yet a curve.")
    return " ".join(said)


def part_name(evaluation: EvaluationRecord) -> str:
    """Return the name of the evaluated part as people say it."""
    return {"val": "validation"}.get(evaluation.part, evaluation.part)


def of_confusion(evaluation: EvaluationRecord) -> str:
    """Say how many images were wrong and how the mistakes are spread."""
    matrix = np.asarray(evaluation.confusion)
    total = int(matrix.sum())
    images = count(total, f"{part_name(evaluation)} image")
    wrong = total - int(np.trace(matrix))
    if total == 0:
        return "No images were evaluated."
    if wrong == 0:
        return f"All {images} were recognised."
    said = f"{wrong:,} of {images} ({percent(wrong / total)}) were taken for another class"
    pairs = confused_pairs(evaluation, limit=4)
    if len(pairs) < 4:
        return f"{said}."
    pairs = pairs[:3]
    share = sum(pair.n for pair in pairs) / wrong
    return f"{said}; the three most frequent confusions make up {percent(share, 0)} of that."


def of_calibration(evaluation: EvaluationRecord) -> str:
    """Say whether the recogniser claims more or less than it keeps."""
    bins = [b for b in evaluation.calibration if b["n"] and finite(b["confidence"]) is not None]
    n = sum(b["n"] for b in bins)
    if not n:
        return "No bins were measured."
    claimed = sum(b["n"] * b["confidence"] for b in bins) / n
    kept = sum(b["n"] * b["accuracy"] for b in bins) / n
    low, high = evaluation.interval
    if low <= claimed <= high:
        verdict = f"the confidence lies within the accuracy's 95% interval, {percent(low)} to {percent(high)}"
    else:
        verdict = "it is over-confident" if claimed > kept else "it is under-confident"
    return f"Mean confidence {percent(claimed)}, accuracy {percent(kept)}: {verdict}."
