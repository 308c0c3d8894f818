"""How learning stands, which decides whether a symptom is an illness: a network that learns well is not ill "
"because its ReLU units are sparse"

The loss is known from the gradients at the outputs where it is a cross-entropy, of classes or binary (`logits`), or a squared error; from an
output that is the loss; or where the user tells it. It is judged against chance, the entropy of the labels or the targets' variance, and against
its floor, the entropy of smoothed labels. Where it is not known, the size of the gradient at the outputs of a network that is watched alone is
looked at: it falls with the error.
"""

from __future__ import annotations

import math
from typing import Literal

from seewhy.diagnosis.records import REDUCTIONS, History, LogitsRecord, ProbeRecord

Standing = Literal["well", "learns", "poor", "unknown"]

WINDOW = 3
"""Probes over which a loss is averaged: that of one batch is noisy."""

WELL, FALLEN, STUCK = 0.35, 0.9, 0.97
"""Share of the way from chance to the floor that is left: learned well; learned something; and the share of the loss a window before that
counts as falling still."""

STEADY = 1.5
"""How far the deviation of a batch's targets may be from the usual one."""

HALF = 0.6
"""What is left from which a loss need not fall any more."""


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


def left(record: ProbeRecord) -> float | None:
    """Return which share of the way from chance to the floor a loss has left, above 1 if it is worse; None where that is not known."""
    logits = record.logits
    if logits is not None:
        floor, chance = floor_of(logits), math.log(logits.classes)
        return (logits.loss - floor) / max(chance - floor, 1e-9)
    for output in record.outputs:
        if output.binary is not None and 0.02 < output.binary.positive < 0.98:
            p = output.binary.positive
            return output.binary.loss / -(p * math.log(p) + (1 - p) * math.log(1 - p))
    return None


def squared(history: History) -> tuple[str, list[float]] | None:
    """Return how a squared error is reduced, and which share of the targets' variance it leaves, by probe; None where the loss is none.

    It is one, reduced so, if the targets that follow keep their deviation from probe to probe while the outputs change.
    """
    records = [next((o.squares for o in record.outputs if o.squares), None) for record in history.records]
    found = [squares for squares in records if squares is not None]
    if len(found) < 2 * WINDOW or len(found) < 0.7 * len(records):
        return None
    for place, name in enumerate(REDUCTIONS):
        spreads = sorted(squares[place][1] for squares in found)
        typical = spreads[len(spreads) // 2]
        if typical > 0 and spreads[-1] < STEADY * typical and spreads[0] > typical / STEADY:
            return name, [(squares[place][0] / typical) ** 2 for squares in found]
    return None


def shares_left(history: History) -> list[float]:
    """Return which share of the way from chance to the least possible loss is left, by probe; empty where that is not known."""
    shares = [share for record in history.records if (share := left(record)) is not None and math.isfinite(share)]
    if shares:
        return shares
    regression = squared(history)
    return [] if regression is None else [share for share in regression[1] if math.isfinite(share)]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


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
        if now > 3 * first:
            return "poor"
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
