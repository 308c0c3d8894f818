"""A verdict in words, as a careful author would write it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seewhy.comparison.verdict import PairComparison, VariantSummary, Verdict
    from seewhy.spec import Metric

MANY = 10
"""Comparisons that are told one by one; further ones are counted."""

FEW = 4
"""Comparisons below which the doubt from seeds and images together is told with each."""

TESTS = {"sign-flip": "paired permutation test", "t": "paired t test, which assumes normal differences"}

ORDER = ("better", "worse", "not distinguishable", "too few seeds", "stopped early")

OPPOSITE = {"better": "worse", "worse": "better"}


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
