"""How learning stands, which decides whether a symptom is an illness: a network that learns well is not ill
because its ReLU units are sparse.

The loss is known from the gradients at the outputs where it is a cross-entropy, of classes or binary (`logits`), or a squared error; from an
output that is the loss; or where the user tells it. It is judged against chance, the entropy of the labels or the targets' variance, and against
its floor, the entropy of smoothed labels. Where it is not known, the size of the gradient at the outputs of a network that is watched alone is
looked at: it falls with the error.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from itertools import pairwise
from typing import Literal, TypeVar

from seewhy.diagnosis.history import History
from seewhy.diagnosis.records import LayerRecord, LogitsRecord, OutputRecord, ProbeRecord

T = TypeVar("T")

Standing = Literal["well", "learns", "poor", "unknown"]

WINDOW = 3
"""Probes over which a loss is averaged: that of one batch is noisy."""

WELL, FALLEN, STUCK = 0.35, 0.9, 0.97
"""Share of the way from chance to the floor that is left: learned well; learned something; and the share of the loss a window before that
counts as falling still."""

STEADY = 2.0
"""How far the variance of a batch's targets may be from the usual one, and how many deviations their mean may
move, up and down together."""

FADING, FADED = 5, 0.02
"""Hidden layers over which a signal is lost to depth, and the share of it that is left at most; He's initialisation keeps about all of it."""

TINY_UPDATE = 6e-5
"""A step's change of a weight matrix as a share of its norm; healthy ones are about 1e-3."""

HALF = 0.6
"""What is left from which a loss need not fall any more."""


def remembered(compute: Callable[[History], T]) -> Callable[[History], T]:
    """Return a function of a history that computes once for all checks, until there is a new record."""

    @wraps(compute)
    def once(history: History) -> T:
        if compute.__name__ not in history.derived:
            history.derived[compute.__name__] = compute(history)
        value: T = history.derived[compute.__name__]
        return value

    return once


def known(history: History) -> list[tuple[int, LogitsRecord]]:
    """Return the cross-entropies of classes, by step."""
    return [(record.step, record.logits) for record in history.records if record.logits is not None]


def losses(history: History) -> list[tuple[int, float]]:
    """Return the loss by step: what the user told, else what the gradients say."""
    told = history.observed.get("loss")
    if told:
        return list(told)
    return [(record.step, loss) for record in history.records if (loss := record.loss) is not None]


def floor_of(logits: LogitsRecord) -> float:
    """Return the least possible cross-entropy of smoothed labels, nats."""
    e, k = logits.smoothing, logits.classes
    on, off = 1 - e + e / k, e / k
    return -(on * math.log(on) + (k - 1) * off * math.log(off)) if 0 < e < 1 else 0.0


def chance_of(history: History) -> float | None:
    """Return the cross-entropy of who knows only how frequent the classes are, nats, over all batches; None where no labels are known.

    A quarter of that of even classes at least: batches of one class each do not make a problem easy.
    """
    found = [logits for _, logits in known(history)]
    found = [logits for logits in found if logits.classes == found[-1].classes]
    if not found:
        return None
    counts = [sum(column) for column in zip(*(_weighed(logits) for logits in found), strict=True)]
    total, e, k = sum(counts), found[-1].smoothing, found[-1].classes
    shares = [(1 - e) * n / total + e / k for n in counts]
    entropy: float = -sum(q * math.log(q) for q in shares if q > 0)
    return max(entropy, 0.25 * math.log(k))


def _weighed(logits: LogitsRecord) -> list[float]:
    """Return how often each label occurs, as the loss weighs it."""
    weights = logits.weights or (1.0,) * logits.classes
    return [count * weight for count, weight in zip(logits.labels, weights, strict=True)]


def left(record: ProbeRecord, chance: float | None) -> float | None:
    """Return which share of the way from chance to the floor a loss has left, above 1 if it is worse; None where that is not known."""
    logits = record.logits
    if logits is not None and chance is not None:
        floor = floor_of(logits)
        return (logits.loss - floor) / max(chance - floor, 1e-9)
    for output in record.outputs:
        if output.binary is not None and 0.02 < output.binary.positive < 0.98:
            p = output.binary.positive
            return output.binary.loss / -(p * math.log(p) + (1 - p) * math.log(1 - p))
    return None


def squared(history: History) -> tuple[str, list[float]] | None:
    """Return how a squared error is reduced, and which share of the targets' variance it leaves, by probe; None where the loss is none.

    Of a squared error of outputs z (N, D) and targets y the gradient is g = c (z - y), so that y = z - g / c, where c is 2 / (N D) for a mean
    over all, 2 / N for one over the rows, 2 for a sum, and half of these where the square is halved. It is one, reduced so, if each column's
    targets keep mean and deviation from probe to probe while the outputs change.
    """
    found = [next((o for o in record.outputs if o.moments), None) for record in history.records]
    outputs = [output for output in found if output is not None]
    if len(outputs) < 2 * WINDOW or len(outputs) < 0.7 * len(found):
        return None
    if len({len(output.moments) for output in outputs}) > 1:
        return None
    if not all(sum(var_z for _, _, var_z, _, _ in output.moments) > 0 for output in outputs[-WINDOW:]):
        return None  # outputs that are all the same fit any targets
    for name, scale in REDUCTIONS.items():
        targets = [_targets(output, scale(output.rows, output.columns)) for output in outputs]
        if all(_steady([target[column] for target in targets]) for column in range(len(targets[0]))):
            variances = [_median([target[column][1] for target in targets]) for column in range(len(targets[0]))]
            total = sum(variances)
            errors = [_error(output, scale(output.rows, output.columns)) for output in outputs]
            return name, [error / total for error in errors]
    return None


def regression_targets(history: History) -> list[tuple[float, float]] | None:
    """Return mean and deviation of the targets of each column of a squared error; None where the loss is none."""
    found = squared(history)
    output = next((o for record in reversed(history.records) for o in record.outputs if o.moments), None)
    if found is None or output is None:
        return None
    targets = _targets(output, REDUCTIONS[found[0]](output.rows, output.columns))
    return [(mean, math.sqrt(variance)) for mean, variance in targets]


REDUCTIONS: dict[str, Callable[[int, int], float]] = {
    "mean": lambda rows, columns: 2 / (rows * columns),
    "half a mean": lambda rows, columns: 1 / (rows * columns),
    "mean over the rows": lambda rows, _: 2 / rows,
    "half a mean over the rows": lambda rows, _: 1 / rows,
    "sum": lambda *_: 2.0,
    "half a sum": lambda *_: 1.0,
}
"""The factor c of each reduction, those of the smallest gradients first."""


def _targets(output: OutputRecord, c: float) -> list[tuple[float, float]]:
    """Return mean and variance of the targets of each column."""
    return [
        (z - g / c, max(0.0, var_z - 2 * covariance / c + var_g / c**2))
        for z, g, var_z, var_g, covariance in output.moments
    ]


def _error(output: OutputRecord, c: float) -> float:
    """Return the mean square of z - y, summed over the columns."""
    return sum((var_g + g**2) / c**2 for _, g, _, var_g, _ in output.moments)


def _steady(targets: list[tuple[float, float]]) -> bool:
    """Whether a column's targets have the same mean and variance from batch to batch."""
    variances = sorted(variance for _, variance in targets)
    typical = _median(variances)
    means = sorted(mean for mean, _ in targets)
    return (
        typical > 0
        and variances[-1] < STEADY * typical
        and variances[0] > typical / STEADY
        and means[-1] - means[0] < STEADY * math.sqrt(typical)
    )


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


@remembered
def shares_left(history: History) -> list[float]:
    """Return which share of the way from chance to the least possible loss is left, by probe; empty where that is not known."""
    chance = chance_of(history)
    shares = [s for record in history.records if (s := left(record, chance)) is not None and math.isfinite(s)]
    if shares:
        return shares
    regression = squared(history)
    return [] if regression is None else [share for share in regression[1] if math.isfinite(share)]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


@remembered
def standing(history: History) -> Standing:
    """Say how learning stands: well, it learns, poor, or unknown."""
    if not history.alone:
        return "unknown"  # losses of adversaries say little
    shares = shares_left(history)
    if len(shares) >= 2 * WINDOW:
        return _against_chance(shares)
    values = [value for _, value in losses(history) if math.isfinite(value)]
    if len(values) >= 2 * WINDOW:
        return _against_start(values)
    sizes = [max(o.gradient for o in record.outputs) for record in history.records if record.outputs]
    if len(sizes) >= 2 * WINDOW and all(map(math.isfinite, sizes)):
        first, now = sizes[0], _mean(sizes[-WINDOW:])
        if now < HALF * first:
            return "well" if now < WELL * first else "learns"
    return "unknown"


def _against_chance(shares: list[float]) -> Standing:
    now, before = _mean(shares[-WINDOW:]), _mean(shares[-2 * WINDOW : -WINDOW])
    if now < WELL:
        return "well"
    if now < HALF:
        return "learns"
    # Far above chance a loss may fall for long before anything is learned.
    return "learns" if now < FALLEN and now < STUCK * before else "poor"


def _against_start(values: list[float]) -> Standing:
    n = max(WINDOW, len(values) // 10)
    first, before, now = _mean(values[:n]), _mean(values[-2 * n : -n]), _mean(values[-n:])
    size = abs(first) or 1.0
    if now < first - (1 - WELL) * size:
        return "well"
    if now < first - (1 - HALF) * size:
        return "learns"
    return "learns" if now < first - (1 - FALLEN) * size and now < before - (1 - STUCK) * abs(before) else "poor"


def poor(history: History) -> bool:
    """Whether learning is known to be poor."""
    return standing(history) == "poor"


def learns(history: History) -> bool | None:
    """Whether the network learns; None where that is not known."""
    return {"well": True, "learns": True, "poor": False, "unknown": None}[standing(history)]


def updates(record: ProbeRecord) -> list[float]:
    """Return a step's relative change of each weight matrix that has a gradient, ascending; of all parameters where there is no matrix."""
    found = [
        p
        for p in record.parameters
        if p.update is not None and math.isfinite(p.update) and p.gradient is not None and p.held and p.weight > 0
    ]
    matrices = [p for p in found if p.matrix]
    # One that was 0 before the step has changed by all that it is now.
    return sorted(
        p.update for p in matrices or found if p.update is not None and not (p.shrinks == 0 and p.update == 1)
    )


def typical_update(record: ProbeRecord) -> float | None:
    """Return the median over weights of a step's relative change."""
    ratios = updates(record)
    return ratios[len(ratios) // 2] if ratios else None


def faded(history: History) -> tuple[LayerRecord, float] | None:
    """Return the last hidden layer and the share of the first one's signal that arrives there, where layer after layer lost some.

    The signal is how much outputs differ from image to image, at the first step. Sigmoids shrink it whatever the weights, and norms bring it
    back; `FADING` layers are needed, so that depth is the reason. None too where steps would be tiny if all of it arrived, for then the rate is.
    """
    first = history.first[0]
    if first.step != 1 or first.bad or first.normalised or any(a.function == "sigmoid" for a in first.activations):
        return None
    hidden = [layer for layer in first.layers[:-1] if layer.spread]  # a last layer at zero is a good beginning
    spreads = [layer.spread or 0.0 for layer in hidden]
    falls = sum(later < 0.9 * earlier for earlier, later in pairwise(spreads))
    if len(hidden) < FADING or falls < 0.8 * (len(hidden) - 1) or spreads[-1] >= FADED * spreads[0]:
        return None
    share, moved = spreads[-1] / spreads[0], updates(history.latest[-1])
    return (hidden[-1], share) if moved and moved[-1] >= TINY_UPDATE * share else None
