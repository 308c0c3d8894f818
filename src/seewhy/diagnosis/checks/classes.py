"""How often each class occurs, and what the loss makes of it."""

from __future__ import annotations

import math
import statistics

from seewhy.core.findings import Remedy
from seewhy.diagnosis.checks.base import Check, Verdict, inapplicable, passed, seen, skipped
from seewhy.diagnosis.checks.progress import known
from seewhy.diagnosis.history import History
from seewhy.diagnosis.records import LogitsRecord

ENOUGH, MANY = 50, 100
"""Steps, and classes at most."""

RARE, VERY_RARE = 10.0, 30.0
"""How many times as frequent as another a class is where the rarer one is noted, and where it is likely to be ignored."""

FEWEST = 6
"""Different targets: of fewer whole numbers many are ratings."""

RARER, LIGHTER, IN_ORDER = 3.0, 2.0, 0.8
"""How many times as frequent, and as heavy in the loss, the classes are at the ends of those whose weights rise with their frequency; and the
correlation of the logarithms of the two."""


def _rare_positives(history: History) -> Verdict | None:
    """Return what the targets of a single binary output say; None where there is none."""
    outputs = [output for record in history.records for output in record.outputs]
    found = [(o.rows, o.binary.positive) for o in outputs if o.binary is not None and o.columns == 1]
    if not history.alone or len(found) < 8 or len(found) < len(history.records):
        return None
    total, positive = sum(rows for rows, _ in found), sum(rows * share for rows, share in found)
    least, most = min(positive, total - positive), max(positive, total - positive)
    ratio = most / (least + 1)
    if ratio < RARE or not least:
        return passed("neither answer is far rarer than the other")
    return seen(
        f"one answer is {ratio:.0f} times as frequent as the other in {total:,} images, and the loss counts all alike",
        severity="warning" if ratio >= VERY_RARE else None,
        ratio=ratio,
    )


def _imbalance(history: History) -> Verdict:
    inputs = history.latest[-1].inputs
    if (rare := _rare_positives(history)) is not None:
        return rare
    found = [logits for _, logits in known(history) if sum(n > 0 for n in logits.labels) > 1]
    if any(logits.weights is not None or logits.focus for logits in found):
        return passed("the loss does not count all rows alike")
    if inputs is None or any(logits.rows > inputs.rows or logits.classes > MANY for logits in found):
        return inapplicable("there is no one label for each of the inputs, or very many classes")
    if not found:
        return inapplicable("the loss is no unweighted cross-entropy of classes")
    if len(found) < 8 or len({logits.classes for logits in found}) > 1:
        return skipped("too few batches of several classes")
    counts = [sum(column) for column in zip(*(logits.labels for logits in found), strict=True)]
    least = min(n for n in counts if n)
    ratio = max(counts) / (least + 1)  # of a class that is rarely seen the share is hardly known
    if ratio < RARE:
        return passed("no class is far rarer than another")
    return seen(
        f"class {counts.index(least)} occurs {least} times in {sum(counts):,} images, class {counts.index(max(counts))} "
        f"{max(counts):,} times, "
        "and the loss counts all alike",
        severity="warning" if ratio >= VERY_RARE else None,
        ratio=ratio,
        counts=counts,
    )


def _inverted(history: History) -> Verdict:
    """Compare how often the classes occur with how much the loss makes of each."""
    found = [logits for _, logits in known(history) if logits.weights is not None]
    if not found:
        return inapplicable("the loss is no cross-entropy that is weighted by class")
    if len(found) < 8 or len({logits.classes for logits in found}) > 1:
        return skipped("too few batches with weights")
    counts = [sum(column) for column in zip(*(logits.labels for logits in found), strict=True)]
    most = counts.index(max(counts))
    weights = [_beside(found, c, most) for c in range(len(counts))]
    points = [(count, weight) for count, weight in zip(counts, weights, strict=True) if weight]
    low, high = min(points), max(points)
    if len(points) < 2 or high[0] < RARER * low[0] or high[1] < LIGHTER * low[1] or _order(points) < IN_ORDER:
        return passed("the loss does not weigh frequent classes more than rare ones")
    return seen(
        f"the loss weighs frequent classes more: class {counts.index(high[0])} occurs {high[0]:,} times and counts {high[1] / low[1]:.3g} times "
        f"as much as class {counts.index(low[0])}, which occurs {low[0]:,} times",
        counts=counts,
        weights=weights,
    )


def _beside(found: list[LogitsRecord], c: int, other: int) -> float:
    """Return the median weight of a class, as a multiple of another's, over the batches that hold both; 0 where none does."""
    ratios = [
        one.weights[c] / one.weights[other] for one in found if one.weights and one.labels[c] and one.labels[other]
    ]
    return statistics.median(ratios) if ratios else 0.0


def _order(points: list[tuple[int, float]]) -> float:
    """Return the correlation of the logarithms."""
    x, y = ([math.log(value) for value in column] for column in zip(*points, strict=True))
    return statistics.correlation(x, y) if len(set(x)) > 1 and len(set(y)) > 1 else 0.0


def _numbered(history: History) -> Verdict:
    """Look for a squared error whose targets are the classes' numbers."""
    outputs = [record.outputs[0] for record in history.records if len(record.outputs) == 1]
    if not history.alone or not outputs or any(output.whole is None for output in outputs):
        return inapplicable("the loss is no squared error of one number a row, or targets are no whole numbers")
    if len(outputs) < 4:
        return skipped("fewer than four probes")
    found = sorted({value for output in outputs for value in output.whole or ()})
    least, most = found[0], found[-1]
    if not FEWEST <= len(found) <= MANY or least not in (0, 1) or most - least + 1 > len(found):
        return passed("targets are not numbered as classes are")
    return seen(
        f"the targets of the squared error are the whole numbers from {least} to {most}: if they are the numbers of classes, it takes class "
        f"{least} and class {most} for further apart than others",
        classes=len(found),
    )


def _one_label(history: History) -> Verdict:
    found = [logits for _, logits in known(history)]
    if not found or found[0].classes < 2:
        return inapplicable("the loss is no cross-entropy of classes")
    if history.loop.step < ENOUGH or len(found) < 0.7 * len(history.records):
        return skipped("too few batches whose labels are known")
    labels = [
        sum(column)
        for column in zip(*(logits.labels for logits in found if logits.classes == found[0].classes), strict=True)
    ]
    if sum(n > 0 for n in labels) > 1:
        return passed("labels differ")
    return seen(f"all of {sum(labels):,} labels are class {labels.index(max(labels))}", count=sum(labels))


CHECKS = (
    Check(
        "labels_constant",
        _one_label,
        "critical",
        1,
        "Every image that was seen has the same label, so that the network need only learn to say it. A folder that is "
        "read without its classes, "
        "or a column of labels that is overwritten, does this. The loss goes to 0, and means nothing.",
        "an invariant",
        (Remedy("count the labels that the loader gives", "collections.Counter(labels.tolist())"),),
    ),
    Check(
        "class_weights_inverted",
        _inverted,
        "warning",
        1,
        "Class weights are to give rare classes a say: each class gets a weight that falls with how often it occurs. Weights that rise with "
        "the count do the opposite, and make the network ignore rare classes even more than it would without any. It is the missing "
        "reciprocal of weight=counts.",
        "King & Zeng 2001, Logistic regression in rare events data: weights are inverse frequencies; 2 times as heavy, 3 times as frequent",
        (Remedy("weigh by the reciprocal of the counts", "torch.nn.CrossEntropyLoss(weight=counts.sum() / counts)"),),
        confidence=0.9,
    ),
    Check(
        "targets_are_classes",
        _numbered,
        "note",
        1,
        "A squared error of class numbers takes class 3 for closer to class 4 than to class 9, which means nothing. The network learns "
        "a number between the classes where it is in doubt, and rounding it names a class that nobody thought of. Of counts, ages and "
        "ratings it is the right loss.",
        "Bishop 2006, Pattern Recognition and Machine Learning, 4.1.2",
        (
            Remedy(
                "give each class an output of its own, and take cross_entropy",
                "torch.nn.functional.cross_entropy(logits, labels)",
            ),
        ),
        confidence=0.5,
    ),
    Check(
        "class_imbalance",
        _imbalance,
        "note",
        1,
        "A class of which there is one image for fifty of another hardly moves the loss. The network can ignore it and "
        "still have a small loss; "
        "what it knows of that class it knows from few images. Accuracy hides that, the recall of each class shows it.",
        "Buda et al. 2018, 1710.05381; Johnson & Khoshgoftaar 2019; 30 to 1",
        (
            Remedy("weight the classes in the loss", "torch.nn.CrossEntropyLoss(weight=1 / counts)"),
            Remedy(
                "sample the classes equally", "torch.utils.data.WeightedRandomSampler(1 / counts[labels], len(labels))"
            ),
        ),
        confidence=0.7,
    ),
)
