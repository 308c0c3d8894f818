"""A verdict: the records of a study that was judged (`judging`), and what is said of it in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from seewhy.metrics import CorrectnessDifference, McNemar, ProbabilityOfImprovement, t_interval
from seewhy.spec import Metric

DENSITY = "density"
"""The one share that may be above 1 (Naeem et al. 2020)."""

MANY = 10
"""Comparisons that are told one by one; further ones are counted."""

FEW = 4
"""Comparisons below which the doubt from seeds and images together is told with each."""

TESTS = {"sign-flip": "paired permutation test", "t": "paired t test, which assumes normal differences"}

ORDER = ("better", "worse", "not distinguishable", "too few seeds", "stopped early")

OPPOSITE = {"better": "worse", "worse": "better"}


def mean_interval(values: Sequence[float], metric: Metric, alpha: float) -> tuple[float, float] | None:
    """Return Student's interval of a mean, None of fewer than two values; that of a share ends where shares end, which loses no coverage."""
    if len(values) < 2:
        return None
    low, high = t_interval(values, 1 - alpha)
    if metric.unit:
        return low, high
    return max(low, 0.0), high if metric.name == DENSITY else min(high, 1.0)


@dataclass(frozen=True)
class VariantSummary:
    """A variant alone.

    Attributes:
        name: of the variant.
        runs: started.
        failed: of them, those that failed or diverged.
        failure_interval: of the share of failures, Wilson's, 1 - alpha.
        n: values that the mean is of: ended, at seeds that dropped no variant.
        mean, sd: of the metric; None without values, and below two.
        interval: of the mean, Student's, within the range of a share; None below two values.
        stopped: dropped on the way.
    """

    name: str
    runs: int
    failed: int
    failure_interval: tuple[float, float]
    n: int
    mean: float | None
    sd: float | None
    interval: tuple[float, float] | None
    stopped: bool


@dataclass(frozen=True)
class ImageComparison:
    """Two variants image by image.

    Attributes:
        accuracy: the difference of accuracies, its doubt by source.
        mcnemar: of the two networks of each paired seed.
    """

    accuracy: CorrectnessDifference
    mcnemar: tuple[McNemar, ...]


@dataclass(frozen=True)
class PairComparison:
    """Two variants.

    Attributes:
        a, b: names.
        n: paired seeds: those at which both ended.
        difference: mean over them, positive where a is better, whichever way the metric goes; None without a pair.
        interval: of the difference, 1 - alpha, of this comparison alone; None below two pairs.
        bootstrap: likewise by the studentised bootstrap.
        p_value: two-sided; None where no test was made.
        p_holm: adjusted over the comparisons of the study.
        test: "sign-flip" or "t"; "" where none was made.
        improvement: probability that a run of a beats a run of b; None without a pair.
        images: image by image; None where the correctness of either is not known, or without a pair.
        seeds_needed: where not distinguishable, the seeds at which a true difference of this size would be found with probability `POWER`; None
            if none would be enough.
        word: "better", "worse" (a than b), "not distinguishable", "too few seeds", or "stopped early".
    """

    a: str
    b: str
    n: int
    difference: float | None
    interval: tuple[float, float] | None
    bootstrap: tuple[float, float] | None
    p_value: float | None
    p_holm: float | None
    test: str
    improvement: ProbabilityOfImprovement | None
    images: ImageComparison | None
    seeds_needed: int | None
    word: str


@dataclass(frozen=True)
class Verdict:
    """A study, judged.

    Attributes:
        metric: what was compared.
        base: what the variants were compared with; None where all pairs were.
        alpha: family-wise error.
        least: paired seeds without which no verdict is given.
        tests: comparisons over which Holm's procedure went.
        variants: in the order of the series.
        pairs: the comparisons made.
    """

    metric: Metric
    base: str | None
    alpha: float
    least: int
    tests: int
    variants: tuple[VariantSummary, ...]
    pairs: tuple[PairComparison, ...]

    def sentence(self) -> str:
        """Return what a careful author would write."""
        return verdict_sentence(self)

    def __str__(self) -> str:
        """Return `sentence()`."""
        return self.sentence()

    def variant(self, name: str) -> VariantSummary:
        """Return the summary of a variant by its name."""
        return next(variant for variant in self.variants if variant.name == name)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values, with the sentence; an end of an interval that is infinite is None."""
        values: dict[str, Any] = _json_value(asdict(self))
        return {**values, "metric": self.metric._asdict(), "sentence": self.sentence()}


def verdict_sentence(verdict: Verdict) -> str:
    """Return the sentences of a study.

    With a base every variant is told beside it; else the variant with the best mean is told beside every other. Failed runs come last.
    """
    pairs = sorted(verdict.pairs, key=lambda pair: ORDER.index(pair.word))
    best, said = best_variant(verdict), set[str]()
    if verdict.base is None:
        pairs = [pair for pair in pairs if best in (pair.a, pair.b)]
        clauses = [_clause(pair, best, verdict, said) for pair in pairs[:MANY]]
        clauses[0] = f"{best} is {clauses[0]}"
    else:
        clauses = [f"{pair.a} is {_clause(pair, pair.a, verdict, said)}" for pair in pairs[:MANY]]
    if len(pairs) > MANY:
        clauses.append(f"{len(pairs) - MANY} further comparisons are in the table")
    failures = [_failures(variant) for variant in verdict.variants if variant.failed]
    return " ".join(["; ".join(clauses) + ".", *failures])


def best_variant(verdict: Verdict) -> str:
    """Return the variant with the best mean, of those that were not dropped and have enough values for a verdict where there are any."""
    sign = 1 if verdict.metric.higher else -1

    def rank(variant: VariantSummary) -> tuple[bool, bool, float]:
        enough = variant.n >= verdict.least
        return not variant.stopped, enough, -math.inf if variant.mean is None else sign * variant.mean

    return max(verdict.variants, key=rank).name


def format_difference(difference: float, interval: tuple[float, float] | None, metric: Metric) -> str:
    """Return a difference with its interval: "1.2 points [0.5, 1.9]"; shares are in points of a hundred.

    Digits follow the interval's width; an interval that is infinite is left out.
    """
    factor, unit = (1, metric.unit) if metric.unit else (100, "points")
    ends = [factor * end for end in interval or () if math.isfinite(end)]
    width = ends[1] - ends[0] if len(ends) == 2 else 0.0
    digits = max(0, 1 - math.floor(math.log10(width))) if width > 0 else 2
    within = f" [{', '.join(format(end + 0.0, f'.{digits}f') for end in ends)}]" if len(ends) == 2 else ""
    return f"{factor * difference:.{digits}f} {unit}{within}"


def _once(text: str, said: set[str]) -> str:
    """Return a text the first time that it is to be said, "" afterwards."""
    if text in said:
        return ""
    said.add(text)
    return text


def _clause(pair: PairComparison, subject: str, verdict: Verdict, said: set[str]) -> str:
    """Return what the subject is beside the other variant of the pair; number of seeds and test only where they change."""
    sign, other = (1, pair.b) if pair.a == subject else (-1, pair.a)
    word = pair.word if sign > 0 else OPPOSITE.get(pair.word, pair.word)
    amount = _signed(pair, -sign if word == "worse" else sign, verdict.metric)
    over = _once(f" over {pair.n} seed{'' if pair.n == 1 else 's'}", said)
    images = _images(pair, -sign if word == "worse" else sign) if len(verdict.pairs) < FEW else ""
    if word in OPPOSITE:
        return f"{word} than {other} by {amount}{over} ({_test(pair, verdict.tests, said)}{images})"
    seen = f"difference {amount}{over}" if pair.n else "no seed at which both ended"
    if word == "not distinguishable":
        needed = "no number of seeds in reach would tell a difference of this size"
        if pair.seeds_needed is not None:
            needed = f"about {pair.seeds_needed} seeds would be needed"
        return f"not distinguishable from {other} ({seen}{images}; {needed})"
    reason = f"{verdict.least} seeds are the least"
    if word == "stopped early":
        dropped = [name for name in (pair.a, pair.b) if verdict.variant(name).stopped]
        reason = f"{' and '.join(dropped)} stopped early"
    return f"not judged against {other} ({seen}; {reason})"


def _signed(pair: PairComparison, sign: int, metric: Metric) -> str:
    if pair.difference is None:
        return ""
    low, high = pair.interval or (0.0, 0.0)
    interval = None if pair.interval is None else ((low, high) if sign > 0 else (-high, -low))
    return format_difference(sign * pair.difference, interval, metric)


def _test(pair: PairComparison, tests: int, said: set[str]) -> str:
    p = pair.p_holm or 0.0
    amount = "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
    return f"{_once(f'{TESTS[pair.test]}, ', said)}{_once('Holm-adjusted ', said) if tests > 1 else ''}{amount}"


def _images(pair: PairComparison, sign: int) -> str:
    """Return the accuracy's interval over seeds and over test images, in points."""
    if pair.images is None:
        return ""
    accuracy = pair.images.accuracy
    if accuracy.over_both is None:
        return ""
    low, high = sorted(sign * 100 * end for end in accuracy.over_both.interval)
    return f"; accuracy over {accuracy.seeds} seeds and {accuracy.images} test images [{low:.2f}, {high:.2f}] points"


def _failures(variant: VariantSummary) -> str:
    low, high = variant.failure_interval
    share = (
        f"{variant.failed} of {variant.runs} runs failed ({variant.failed / variant.runs:.0%} [{low:.0%}, {high:.0%}])"
    )
    return f"{variant.name}: {share}{'; what is said of it is of the runs that ended' if variant.n else ''}."


def _json_value(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _json_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
