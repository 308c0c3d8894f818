"""Which variant is better, and how sure that is: judgement of numbers, whoever measured them.

A series is a variant's final metric by seed. Series are compared in pairs over the seeds at which both ended, each against the base or all
against all; a word is said from five pairs on, and only where the p-value, adjusted by Holm over the comparisons made, is at most alpha. The
interval of a difference is that of the comparison alone, 1 - alpha.

**Early stopping** (successive halving) chooses by the values that it sees. Seeds at which variants were dropped are therefore left out of every
test and of the survivors' means: survivors are judged on fresh seeds, and a dropped variant has an interval and no verdict.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist, fmean, stdev
from typing import TYPE_CHECKING, Any

from seewhy.comparison.verdict import ImageComparison, PairComparison, VariantSummary, Verdict, mean_interval
from seewhy.core.errors import bad_value, unknown_name
from seewhy.metrics import (
    PairedDifference,
    correctness_difference,
    holm,
    mcnemar,
    paired_difference,
    probability_of_improvement,
    seeds_needed,
    wilson_interval,
)
from seewhy.spec import Metric

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST = 5
"""Paired seeds without which no verdict is given."""

POWER = 0.8
"""Of the planned number of seeds."""


@dataclass(frozen=True)
class Series:
    """A variant's runs.

    Attributes:
        name: of the variant.
        values: the metric by seed, the same seeds in the same order in every series; None where the run failed or diverged.
        correct: bool (seeds, images), whether the run was right at each test image; rows of failed runs are not read. None where there is none.
    """

    name: str
    values: Sequence[float | None]
    correct: NDArray[Any] | None = field(default=None, compare=False)


def judge(
    series: Sequence[Series],
    metric: Metric,
    *,
    base: str | None = None,
    alpha: float = 0.05,
    screened: Mapping[str, Collection[int]] | None = None,
) -> Verdict:
    """Compare variants over seeds.

    Args:
        series: two at least, with values at the same seeds.
        metric: what the values are.
        base: the variant that all others are compared with; None for all pairs.
        alpha: family-wise error of the verdicts, and 1 - confidence of each interval.
        screened: by dropped variant, the positions of the seeds at which it ran before it was dropped.

    Raises:
        InputError: fewer than two series, names twice, or values or correctness of different lengths; a value that is not finite; a base or
            dropped variant that is not there; a position that is none; alpha not within (0, 1).
    """
    screened = screened or {}
    _validate(series, base, alpha, screened)
    used = {seed for seeds in screened.values() for seed in seeds}
    fresh = [seed for seed in range(len(series[0].values)) if seed not in used]
    pairs = _pairs(series, base, screened, fresh)
    tests = sum(pair.tested for pair in pairs)
    measured = [_measure(pair, metric, alpha, tests) for pair in pairs]
    p_values = [
        found.p_value if pair.tested and found else math.nan for pair, found in zip(pairs, measured, strict=True)
    ]
    comparisons = [
        _comparison(pair, found, p_holm, metric, alpha, tests)
        for pair, found, p_holm in zip(pairs, measured, holm(p_values), strict=True)
    ]
    summaries = [_summary(one, metric, fresh, screened.get(one.name), alpha) for one in series]
    return Verdict(metric, base, alpha, LEAST, tests, tuple(summaries), tuple(comparisons))


@dataclass(frozen=True)
class _Pair:
    """Two series and the positions of the seeds at which both ended."""

    a: Series
    b: Series
    seeds: list[int]
    stopped: bool

    @property
    def tested(self) -> bool:
        return not self.stopped and len(self.seeds) >= LEAST

    def gains(self, metric: Metric) -> list[float]:
        """Return a - b by seed, positive where a is better."""
        sign = 1 if metric.higher else -1
        pairs = ((self.a.values[seed], self.b.values[seed]) for seed in self.seeds)
        return [sign * (x - y) for x, y in pairs if x is not None and y is not None]


def _pairs(
    series: Sequence[Series], base: str | None, screened: Mapping[str, Collection[int]], fresh: list[int]
) -> list[_Pair]:
    chosen = list(itertools.combinations(series, 2))
    if base is not None:
        reference = next(one for one in series if one.name == base)
        chosen = [(one, reference) for one in series if one is not reference]
    pairs = []
    for a, b in chosen:
        stopped = a.name in screened or b.name in screened
        seeds = range(len(a.values)) if stopped else fresh
        both = [seed for seed in seeds if a.values[seed] is not None and b.values[seed] is not None]
        pairs.append(_Pair(a, b, both, stopped))
    return pairs


def _measure(pair: _Pair, metric: Metric, alpha: float, tests: int) -> PairedDifference | None:
    if len(pair.seeds) < 2:
        return None
    return paired_difference(pair.gains(metric), comparisons=max(tests, 1), alpha=alpha)


def _comparison(
    pair: _Pair, found: PairedDifference | None, p_holm: float, metric: Metric, alpha: float, tests: int
) -> PairComparison:
    gains, sign = pair.gains(metric), 1 if metric.higher else -1
    made = found if pair.tested else None
    word = _word(pair, made, p_holm, alpha)
    improvement = None
    if gains:
        runs_a, runs_b = ([sign * (one.values[seed] or 0.0) for seed in pair.seeds] for one in (pair.a, pair.b))
        improvement = probability_of_improvement(runs_a, runs_b, confidence=1 - alpha)
    return PairComparison(
        a=pair.a.name,
        b=pair.b.name,
        n=len(gains),
        difference=fmean(gains) if gains else None,
        interval=found.interval if found else None,
        bootstrap=found.bootstrap if found else None,
        p_value=made.p_value if made else None,
        p_holm=p_holm if made else None,
        test=made.test if made else "",
        improvement=improvement,
        images=_images(pair, alpha),
        seeds_needed=_needed(made, alpha / max(tests, 1)) if made and word == "not distinguishable" else None,
        word=word,
    )


def _word(pair: _Pair, made: PairedDifference | None, p_holm: float, alpha: float) -> str:
    if pair.stopped:
        return "stopped early"
    if made is None:
        return "too few seeds"
    if p_holm > alpha:
        return "not distinguishable"
    return "better" if made.mean > 0 else "worse"


def _needed(made: PairedDifference, alpha: float) -> int | None:
    """Return the seeds at which a difference of the size seen would be found, beyond those that have not found it."""
    if not made.sd > 0:
        return None
    needed = seeds_needed(made.mean, made.sd, alpha, POWER)
    return None if needed is None else max(needed, made.n + 1)


def _images(pair: _Pair, alpha: float) -> ImageComparison | None:
    if pair.a.correct is None or pair.b.correct is None or not pair.seeds:
        return None
    a, b = pair.a.correct[pair.seeds], pair.b.correct[pair.seeds]
    by_seed = tuple(mcnemar(right_a, right_b) for right_a, right_b in zip(a, b, strict=True))
    return ImageComparison(correctness_difference(a, b, 1 - alpha), by_seed)


def _summary(
    one: Series, metric: Metric, fresh: Sequence[int], screened: Collection[int] | None, alpha: float
) -> VariantSummary:
    """Summarise a variant: a dropped one ran at the seeds that dropped it, and nowhere else."""
    started = range(len(one.values)) if screened is None else sorted(set(screened))
    values = [one.values[seed] for seed in (fresh if screened is None else started)]
    ended = [value for value in values if value is not None]
    failed = sum(one.values[seed] is None for seed in started)
    z = NormalDist().inv_cdf(1 - alpha / 2)
    return VariantSummary(
        name=one.name,
        runs=len(started),
        failed=failed,
        failure_interval=wilson_interval(failed, len(started), z),
        n=len(ended),
        mean=fmean(ended) if ended else None,
        sd=stdev(ended) if len(ended) > 1 else None,
        interval=mean_interval(ended, metric, alpha),
        stopped=screened is not None,
    )


def _validate(
    series: Sequence[Series], base: str | None, alpha: float, screened: Mapping[str, Collection[int]]
) -> None:
    if len(series) < 2:
        raise bad_value("series", len(series), "2 at least")
    names = [one.name for one in series]
    for name in names:
        if names.count(name) > 1:
            raise bad_value("series", name, "names that differ")
    if not 0 < alpha < 1:
        raise bad_value("alpha", alpha, "within (0, 1)")
    seeds = len(series[0].values)
    images = {one.correct.shape[1] for one in series if one.correct is not None and one.correct.ndim == 2}
    for one in series:
        if len(one.values) != seeds or not seeds:
            raise bad_value(f"{one.name}: values", len(one.values), f"one for each of the {max(seeds, 1)} seeds")
        for value in one.values:
            if value is not None and not math.isfinite(value):
                raise bad_value(f"{one.name}: values", value, "finite", "a run that failed is None")
        if one.correct is not None and (one.correct.shape[:1] != (seeds,) or one.correct.ndim != 2 or len(images) > 1):
            raise bad_value(f"{one.name}: correct", one.correct.shape, f"({seeds}, images), the same images in all")
    for name in [*screened, *([] if base is None else [base])]:
        if name not in names:
            raise unknown_name("base" if name == base else "screened", name, names)
    for name, positions in screened.items():
        if not positions or not all(0 <= position < seeds for position in positions):
            raise bad_value(
                f"screened: {name}", sorted(positions), f"positions of seeds, 0 to {seeds - 1}, one at least"
            )
