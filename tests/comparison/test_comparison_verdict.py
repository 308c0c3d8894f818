"""Verdicts on planted and simulated series."""

import itertools
import json
import math

import numpy as np
import pytest

from seewhy.comparison.judging import LEAST, Series, judge
from seewhy.comparison.verdict import mean_interval
from seewhy.core.errors import InputError
from seewhy.metrics import (
    correctness_difference,
    holm,
    paired_difference,
    probability_of_improvement,
    seeds_needed,
    wilson_interval,
)
from seewhy.spec import Metric

ACCURACY, NATS = Metric("accuracy", True), Metric("nats", False, "nats")


def series(n=10, sd=0.005, seed=0, **means):
    rng = np.random.default_rng(seed)
    shared = rng.normal(0, 0.02, n)
    return [Series(name, list(mean + shared + rng.normal(0, sd, n))) for name, mean in means.items()]


def failing(one, *seeds):
    return Series(one.name, [None if i in seeds else value for i, value in enumerate(one.values)], one.correct)


def words(verdict):
    return {(pair.a, pair.b): pair.word for pair in verdict.pairs}


def test_each_word_against_a_base_and_the_numbers_behind():
    variants = series(good=0.95, base=0.9, bad=0.85, same=0.9005)
    verdict = judge([*variants, failing(Series("few", variants[0].values), *range(6))], ACCURACY, base="base")
    assert words(verdict) == {
        ("good", "base"): "better",
        ("bad", "base"): "worse",
        ("same", "base"): "not distinguishable",
        ("few", "base"): "too few seeds",
    }
    assert verdict.tests == 3
    base = np.array(variants[1].values)
    expected = [paired_difference(np.array(one.values) - base, comparisons=3) for one in variants if one.name != "base"]
    adjusted = holm([one.p_value for one in expected])
    for pair, found, p in zip(verdict.pairs, expected, adjusted, strict=False):
        assert (pair.n, pair.difference) == (10, pytest.approx(found.mean))
        assert (pair.interval, pair.bootstrap, pair.test) == (found.interval, found.bootstrap, found.test)
        assert (pair.p_value, pair.p_holm) == (found.p_value, p)
        mine = next(one for one in variants if one.name == pair.a)
        assert pair.improvement == probability_of_improvement(mine.values, base)
    same, few = verdict.pairs[2:]
    assert same.seeds_needed == seeds_needed(expected[2].mean, expected[2].sd, 0.05 / 3)
    assert verdict.pairs[0].seeds_needed is few.seeds_needed is few.p_value is few.p_holm is None
    assert (few.n, few.test) == (4, "")
    assert few.interval is not None


def test_all_pairs_without_a_base():
    verdict = judge(series(a=0.9, b=0.9, c=0.5), ACCURACY)
    assert list(words(verdict)) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert verdict.tests == 3
    assert words(verdict)["b", "c"] == "better"


def test_lower_is_better_turns_the_signs():
    a, b = series(a=0.9, b=0.8)
    up, down = judge([a, b], ACCURACY).pairs[0], judge([a, b], NATS).pairs[0]
    assert (up.word, down.word) == ("better", "worse")
    assert down.difference == -up.difference
    assert down.interval == pytest.approx((-up.interval[1], -up.interval[0]))
    assert down.improvement.value == pytest.approx(1 - up.improvement.value)


def test_pairs_are_of_the_same_seed():
    shared = np.arange(10.0)
    verdict = judge([Series("a", list(shared + 0.1 + 0.01 * (-1) ** shared)), Series("b", list(shared))], NATS)
    assert verdict.pairs[0].word == "worse"
    assert verdict.pairs[0].difference == pytest.approx(-0.1)


def test_failures_are_counted_and_leave_the_pairs_that_ended():
    a, b = series(a=0.95, b=0.9)
    verdict = judge([failing(a, 0, 3), failing(b, 3, 4)], ACCURACY)
    (pair,) = verdict.pairs
    kept = [1, 2, 5, 6, 7, 8, 9]
    assert pair.n == 7
    assert pair.difference == pytest.approx(np.mean([a.values[i] - b.values[i] for i in kept]))
    summary = verdict.variant("a")
    assert (summary.runs, summary.failed, summary.n) == (10, 2, 8)
    assert summary.failure_interval == pytest.approx(wilson_interval(2, 10))
    assert summary.mean == pytest.approx(np.mean([a.values[i] for i in range(10) if i not in (0, 3)]))
    assert "a: 2 of 10 runs failed (20% [6%, 51%]); what is said of it is of the runs that ended." in verdict.sentence()


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (Metric("accuracy", higher=True), (0.0, 1.0)),
        (Metric("density", higher=True), (0.0, 1.6177)),
        (Metric("nats", higher=False, unit="nats per image"), (-0.2883, 1.6177)),
    ],
)
def test_the_interval_of_a_share_holds_shares_alone(metric, expected):
    values = [0.5897, 0.7397]
    assert mean_interval(values, metric, 0.05) == pytest.approx(expected, abs=1e-3)
    assert mean_interval(values[:1], metric, 0.05) is None


@pytest.mark.parametrize("n", [1, 2, LEAST - 1])
def test_below_five_seeds_there_is_an_interval_and_no_verdict(n):
    verdict = judge(series(n=n, a=0.99, b=0.1), ACCURACY)
    (pair,) = verdict.pairs
    assert (pair.word, pair.p_value, verdict.tests) == ("too few seeds", None, 0)
    assert (pair.interval is None) == (n == 1)
    assert "5 seeds are the least" in verdict.sentence()


def test_variants_that_all_failed_are_told_and_nothing_else():
    a, b = series(n=5, a=0.9, b=0.9)
    verdict = judge([a, failing(b, *range(5))], ACCURACY)
    (pair,) = verdict.pairs
    assert (pair.n, pair.difference, pair.interval, pair.improvement) == (0, None, None, None)
    assert verdict.sentence() == (
        "a is not judged against b (no seed at which both ended; 5 seeds are the least). b: 5 of 5 runs failed (100% [57%, 100%])."
    )
    assert verdict.variant("b").mean is None
    json.dumps(verdict.to_json(), allow_nan=False)


def test_seeds_that_dropped_a_variant_are_in_no_test():
    a, b, c = series(n=12, a=0.95, b=0.9, c=0.2)
    lucky = Series("a", [5.0, 5.0, 5.0, *a.values[3:]])  # that b survived was decided on these
    dropped = Series("c", [*c.values[:2], None, *[None] * 9])
    verdict = judge([lucky, b, dropped], ACCURACY, screened={"c": [0, 1, 2]})
    survivors, with_c, _ = verdict.pairs
    assert (survivors.n, survivors.word, verdict.tests) == (9, "better", 1)
    assert survivors.difference == pytest.approx(np.mean(np.subtract(a.values, b.values)[3:]))
    assert (with_c.word, with_c.n, with_c.p_value, with_c.test) == ("stopped early", 2, None, "")
    assert with_c.interval is not None
    summary = verdict.variant("c")
    assert (summary.stopped, summary.runs, summary.failed, summary.n) == (True, 3, 1, 2)
    assert verdict.variant("a").mean == pytest.approx(np.mean(a.values[3:]))
    assert "not judged against c (difference" in verdict.sentence()
    assert "c stopped early)" in verdict.sentence()


def test_dropping_the_worse_half_makes_no_false_verdicts():
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(150):
        values = rng.standard_normal((4, 9))
        order = np.argsort(values[:, :3].mean(1))
        screened = {str(i): [0, 1, 2] for i in order[:2]}
        runs = [
            Series(str(i), [*row[:3], *([None] * 6 if str(i) in screened else row[3:])]) for i, row in enumerate(values)
        ]
        wrong += any(pair.word in ("better", "worse") for pair in judge(runs, NATS, screened=screened).pairs)
    assert wilson_interval(wrong, 150)[0] <= 0.05


def test_studies_without_a_difference_are_seldom_judged():
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(100):
        values = rng.standard_normal((1, 5)) + rng.standard_normal((6, 5))
        verdict = judge([Series(str(i), list(row)) for i, row in enumerate(values)], NATS)
        wrong += any(pair.word in ("better", "worse") for pair in verdict.pairs)
    assert wilson_interval(wrong, 100)[0] <= 0.05


def test_images_are_compared_at_the_seeds_that_both_ended():
    rng = np.random.default_rng(0)
    right = {name: rng.random((6, 200)) < share for name, share in (("a", 0.9), ("b", 0.8))}
    a, b = (Series(name, list(rows.mean(1)), rows) for name, rows in right.items())
    verdict = judge([failing(a, 2), b], ACCURACY)
    images = verdict.pairs[0].images
    kept = [0, 1, 3, 4, 5]
    assert images.accuracy == correctness_difference(right["a"][kept], right["b"][kept])
    assert len(images.mcnemar) == 5
    assert images.mcnemar[2].only_a == (right["a"][3] & ~right["b"][3]).sum()
    assert "accuracy over 5 seeds and 200 test images [" in verdict.sentence()
    assert judge([a, Series("b", b.values)], ACCURACY).pairs[0].images is None
    json.dumps(verdict.to_json(), allow_nan=False)


def test_the_sentence_of_a_careful_author():
    tanh, relu, elu = series(seed=3, tanh=0.9, relu=0.93, elu=0.929)
    assert judge([tanh, relu, elu], ACCURACY).sentence() == (
        "relu is better than tanh by 3.30 points [2.97, 3.62] over 10 seeds (paired t test, which assumes normal differences, "
        "Holm-adjusted p < 0.001); not distinguishable from elu (difference 0.5 points [-0.2, 1.2]; "
        "about 42 seeds would be needed)."
    )
    against = judge([tanh, relu, elu], ACCURACY, base="relu").sentence()
    assert against.startswith("tanh is worse than relu by 3.30 points [2.9")
    assert (
        "over 10 seeds (paired permutation test, Holm-adjusted p = 0.0039); elu is not distinguishable from relu (difference -0.5"
        in against
    )
    alone = judge([tanh, relu], ACCURACY).sentence()
    assert alone.endswith("(paired permutation test, p = 0.002).")


def test_the_best_has_enough_seeds_and_many_clauses_are_counted():
    many = series(n=6, **{f"v{i}": 0.8 for i in range(14)})
    lucky = failing(Series("lucky", [0.99] * 6), 0, 1, 2)
    sentence = judge([*many, lucky], ACCURACY).sentence()
    assert not sentence.startswith("lucky")
    assert "4 further comparisons are in the table" in sentence


def test_equal_differences_are_no_verdict_at_five_seeds():
    verdict = judge([Series("a", [0.9] * 5), Series("b", [0.8] * 5)], ACCURACY)
    assert (verdict.pairs[0].word, verdict.pairs[0].seeds_needed) == ("not distinguishable", None)
    assert "(difference 10.00 points over 5 seeds; no number of seeds in reach" in verdict.sentence()
    assert verdict.to_json()["pairs"][0]["interval"] == [None, None]


def test_json_says_all():
    verdict = judge(series(a=0.95, b=0.9), ACCURACY, base="b").to_json()
    assert json.loads(json.dumps(verdict, allow_nan=False)) == verdict
    assert verdict["metric"] == {"name": "accuracy", "higher": True, "unit": ""}
    assert verdict["pairs"][0]["improvement"]["value"] > 0.9
    assert verdict["sentence"].startswith("a is better than b by ")


def test_wrong_input_is_named():
    a, b = series(n=5, a=0.9, b=0.8)
    for call, message in [
        (lambda: judge([a], ACCURACY), "series: must be 2 at least"),
        (lambda: judge([a, a], ACCURACY), "series: must be names that differ, got 'a'"),
        (lambda: judge([a, Series("b", [1.0])], ACCURACY), "b: values: must be one for each of the 5 seeds"),
        (lambda: judge([Series("a", []), Series("b", [])], ACCURACY), "a: values"),
        (lambda: judge([a, Series("b", [math.nan] * 5)], ACCURACY), "b: values: must be finite.*failed is None"),
        (lambda: judge([a, b], ACCURACY, base="c"), "base: 'c' is not known"),
        (lambda: judge([a, b], ACCURACY, screened={"c": [0]}), "screened: 'c' is not known"),
        (lambda: judge([a, b], ACCURACY, screened={"a": [5]}), "screened: a: must be positions of seeds, 0 to 4"),
        (lambda: judge([a, b], ACCURACY, screened={"a": []}), "screened: a"),
        (lambda: judge([a, b], ACCURACY, alpha=5), "alpha"),
        (lambda: judge([a, Series("b", b.values, np.ones((4, 3), bool))], ACCURACY), "b: correct"),
    ]:
        with pytest.raises(InputError, match=message):
            call()
    both = [Series(one.name, one.values, np.ones((5, k), bool)) for one, k in zip((a, b), (3, 4), strict=True)]
    with pytest.raises(InputError, match="the same images"):
        judge(both, ACCURACY)


def test_reordering_variants_changes_no_judgement():
    variants = series(a=0.9, b=0.905, c=0.91)
    expected = {frozenset((p.a, p.b)): (p.p_holm, p.word if p.a < p.b else None) for p in judge(variants, NATS).pairs}
    for order in itertools.permutations(variants):
        for pair in judge(order, NATS).pairs:
            p_holm, word = expected[frozenset((pair.a, pair.b))]
            assert pair.p_holm == pytest.approx(p_holm)
            assert pair.a > pair.b or pair.word == word
