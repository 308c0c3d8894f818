"""Whether a change helped: its metric beside the original's, seed by seed.

The differences of runs with the same seed (the same first weights and order of the data) have Student's 95% interval. A word is said from three
seeds on, and only where the interval leaves out 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from seewhy.metrics import t_interval
from seewhy.spec import Metric

LEAST = 3
"""Seeds without which no word is said."""


@dataclass(frozen=True)
class Comparison:
    """A change beside the original.

    Attributes:
        seeds: how many were compared: those at which both have ended.
        difference: mean of the gains, positive for better; None where no seed could be compared.
        interval: of the mean, 95%; None below two seeds.
        failed: seeds at which the changed run could not go on.
        original_failed: those at which the original could not.
        verdict: "helped", "worse", "not distinguishable", or "" where there are too few seeds to say.
    """

    seeds: int
    difference: float | None
    interval: tuple[float, float] | None
    failed: int
    original_failed: int
    verdict: str

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {**vars(self), "interval": list(self.interval) if self.interval is not None else None}


def compare(original: Sequence[float | None], changed: Sequence[float | None], metric: Metric) -> Comparison:
    """Compare the metrics of runs, pair by pair.

    Args:
        original, changed: by seed, in the same order; None for a run that could not go on.
        metric: what they are.
    """
    sign = 1.0 if metric.higher else -1.0
    pairs = [(a, b) for a, b in zip(original, changed, strict=True) if a is not None and b is not None]
    gains = [sign * (b - a) for a, b in pairs]
    interval = t_interval(gains) if len(gains) > 1 else None
    failed, original_failed = changed.count(None), original.count(None)
    verdict = _verdict(interval, len(gains), len(original), failed, original_failed)
    return Comparison(len(gains), fmean(gains) if gains else None, interval, failed, original_failed, verdict)


def _verdict(interval: tuple[float, float] | None, compared: int, seeds: int, failed: int, original_failed: int) -> str:
    if seeds < LEAST:
        return ""
    if original_failed == seeds and not failed:
        return "helped"
    if failed == seeds and not original_failed:
        return "worse"
    if interval is None or compared < LEAST:
        return "not distinguishable"
    if interval[0] > 0 and failed <= original_failed:
        return "helped"
    return "worse" if interval[1] < 0 else "not distinguishable"


def format_comparison(comparison: Comparison, metric: Metric, seeds: int) -> str:
    """Return a comparison in words: "helped by 2.1 points [0.4, 3.8] at 3 seeds"."""
    failures = [
        f"{who} could not go on at {count} of {seeds}"
        for who, count in (("it", comparison.failed), ("the original", comparison.original_failed))
        if count
    ]
    words = comparison.verdict
    if comparison.difference is not None:
        amount = format_gain(comparison.difference, metric)
        within = ""
        if comparison.interval is not None:
            low, high = (format_number(end, metric) for end in comparison.interval)
            within = f" [{low}, {high}]"
        lead = {"helped": "helped by ", "worse": "worse by ", "not distinguishable": "not distinguishable: "}.get(
            words, ""
        )
        if words == "worse":
            amount = format_gain(-comparison.difference, metric)
            within = f" [{', '.join(format_number(-end, metric) for end in reversed(comparison.interval or ()))}]"
        words = f"{lead}{amount}{within} at {comparison.seeds} seed{'' if comparison.seeds == 1 else 's'}"
    return "; ".join(filter(None, [words, *failures])) or "nothing to compare"


def format_number(value: float, metric: Metric) -> str:
    """Return a difference as a number: shares in points of a hundred."""
    return f"{value:.2f}" if metric.unit else f"{100 * value:.2f}"


def format_gain(value: float, metric: Metric) -> str:
    """Return a difference with its unit."""
    return f"{format_number(value, metric)} {metric.unit or 'points'}"


def format_values(values: Sequence[float | None], metric: Metric) -> str:
    """Return the mean of a variant's metric and its standard deviation over seeds."""
    ended = [value for value in values if value is not None]
    if not ended:
        return "none ended"
    mean = f"{fmean(ended):.2f}" if metric.unit else f"{fmean(ended):.2%}"
    if len(ended) < 2:
        return mean
    spread = stdev(ended)
    return f"{mean} (sd {spread:.2f})" if metric.unit else f"{mean} (sd {spread:.2%})"
