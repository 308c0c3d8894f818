"""What intervals cover and how often tests err, for a handful of seeds: the tables of docs/comparison-statistics.md.

    python benchmarks/comparison_statistics.py [--studies 4000]      about five minutes

Simulated metrics. Coverage: n paired differences with a true mean, of seven kinds. False verdicts: studies of 6 variants without a difference,
with effects of the seed that all share. Power: studies with as many seeds as `seeds_needed` plans.
"""

from __future__ import annotations

import argparse
import functools
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from seewhy.metrics import (
    flips_have_room,
    holm,
    paired_test,
    power,
    probability_of_improvement,
    seeds_needed,
    sign_flip_interval,
    studentised_interval,
    t_interval,
)

Array = NDArray[np.float64]
Interval = Callable[[Array], tuple[float, float]]
SEEDS = (5, 10, 20)
RESAMPLES = 2_000


def collapsing(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """One value in ten lies 5 standard deviations low: a seed that got stuck."""
    return rng.standard_normal(shape) - 5 * (rng.random(shape) < 0.1) + 0.5


KINDS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], Array]] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "uniform": lambda rng, shape: rng.random(shape) - 0.5,
    "skewed (gamma, skew 1)": lambda rng, shape: rng.gamma(4, 1, shape) - 4,
    "very skewed (exponential)": lambda rng, shape: rng.exponential(1, shape) - 1,
    "heavy tails (t, 3 d.f.)": lambda rng, shape: rng.standard_t(3, shape),
    "rounded (sd 1.04 steps)": lambda rng, shape: np.round(rng.standard_normal(shape) + 0.3) - 0.3,
    "one in ten collapses": collapsing,
}


@functools.cache
def counts(n: int) -> Array:
    return np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), RESAMPLES) / n


def percentile(d: Array, tail: float = 0.025) -> tuple[float, float]:
    low, high = np.quantile(counts(len(d)) @ d, [tail, 1 - tail])
    return float(low), float(high)


def expanded_percentile(d: Array) -> tuple[float, float]:
    """Hesterberg (2015): the tail of Student's quantile, widened by sqrt(n / (n - 1))."""
    n = len(d)
    return percentile(d, float(ndtr(-math.sqrt(n / (n - 1)) * stdtrit(n - 1, 0.975))))


def stated(d: Array) -> tuple[float, float]:
    return sign_flip_interval(d) if flips_have_room(len(d)) else t_interval(d)


INTERVALS: dict[str, Interval] = {
    "percentile bootstrap": percentile,
    "expanded percentile": expanded_percentile,
    "studentised bootstrap": studentised_interval,
    "Student": t_interval,
    "sign-flip": sign_flip_interval,
    "**stated**": stated,
}


def print_coverage(studies: int) -> None:
    print("\nCoverage of 95% intervals of a mean paired difference, %; in brackets the median width over Student's\n")
    print("| differences | n | " + " | ".join(INTERVALS) + " |")
    print("|---|---|" + "---|" * len(INTERVALS))
    for kind, draw in KINDS.items():
        for n in SEEDS:
            values = draw(np.random.default_rng([1, n]), (studies if n < 20 else studies // 4, n))
            ends = {name: np.array([method(d) for d in values]) for name, method in INTERVALS.items()}
            student = float(np.median(ends["Student"][:, 1] - ends["Student"][:, 0]))
            cells = []
            for low, high in (pair.T for pair in ends.values()):
                width = float(np.median(high - low)) / student
                cells.append(f"{100 * np.mean((low <= 0) & (high >= 0)):.1f} ({width:.2f})")
            print(f"| {kind} | {n} | " + " | ".join(cells) + " |", flush=True)


TESTS: dict[str, Callable[[Array, int], float]] = {
    "t, uncorrected": lambda d, _: paired_test(d, test="t")[0],
    "t": lambda d, _: paired_test(d, test="t")[0],
    "sign-flip": lambda d, _: paired_test(d, test="sign-flip")[0],
    "**stated**": lambda d, comparisons: paired_test(d, comparisons=comparisons)[0],
}


def differences(values: Array, base: bool) -> list[Array]:
    """Return the paired differences of variants (V, n): to the first, or of all pairs."""
    V = len(values)
    return [values[i] - values[j] for i in range(1 if base else V) for j in range(i + 1, V)]


def print_false_verdicts(studies: int) -> None:
    print("\nStudies of 6 variants without a difference in which any verdict is given, %; Holm unless uncorrected\n")
    print("| values | design | n | " + " | ".join(TESTS) + " |")
    print("|---|---|---|" + "---|" * len(TESTS))
    for kind, draw in KINDS.items():
        for base in (True, False):
            for n in SEEDS[:2]:
                rng = np.random.default_rng([2, n])
                wrong = dict.fromkeys(TESTS, 0)
                for _ in range(studies):
                    pairs = differences(rng.standard_normal((1, n)) + draw(rng, (6, n)), base)
                    for name, test in TESTS.items():
                        p = [test(d, len(pairs)) for d in pairs]
                        wrong[name] += min(p if "uncorrected" in name else holm(p)) <= 0.05
                cells = " | ".join(f"{100 * count / studies:.1f}" for count in wrong.values())
                print(f"| {kind} | {'5 with the base' if base else '15 pairs'} | {n} | {cells} |", flush=True)


def print_room(studies: int) -> None:
    print(
        "\nPower of the flips beside the t test's, %, at the first step of Holm's procedure over 15 pairs; normal differences\n"
    )
    print("| seeds | sign patterns in a tail | t | sign-flip |\n|---|---|---|---|")
    alpha = 0.05 / 15
    for n in (10, 11, 12, 13, 14):
        effect = next(e for e in np.arange(1, 3, 0.001) if power(n, e, 1.0, alpha) >= 0.8)
        d = np.random.default_rng([5, n]).standard_normal((studies, n)) + effect
        found = [100 * np.mean([paired_test(row, test=test)[0] <= alpha for row in d]) for test in ("t", "sign-flip")]
        print(f"| {n} | {alpha * 2 ** (n - 1):.1f} | {found[0]:.0f} | {found[1]:.0f} |", flush=True)


def print_power(studies: int) -> None:
    print(
        "\nPower of the planned number of seeds, %: asked for 80, at alpha over the comparisons; normal differences\n"
    )
    print("| effect, sd | comparisons | seeds | test | planned | reached |\n|---|---|---|---|---|---|")
    for comparisons in (1, 5, 15):
        for effect in (0.5, 1.0, 1.5, 2.0):
            n = seeds_needed(effect, 1.0, 0.05 / comparisons) or 0
            d = np.random.default_rng([3, n]).standard_normal((studies, n)) + effect
            results = [paired_test(row, comparisons=comparisons) for row in d]
            reached = np.mean([p <= 0.05 / comparisons for p, _ in results])
            planned = power(n, effect, 1.0, 0.05 / comparisons)
            name = {name for _, name in results}.pop()
            print(
                f"| {effect} | {comparisons} | {n} | {name} | {100 * planned:.0f} | {100 * reached:.0f} |", flush=True
            )


def print_improvement(studies: int) -> None:
    print("\nCoverage of the 95% interval of the probability of improvement, %; normal values, one task\n")
    print("| true probability | " + " | ".join(f"n = {n}" for n in SEEDS) + " |\n|---|" + "---|" * len(SEEDS))
    for shift in (0.0, 0.75, 1.5):
        cells = []
        for n in SEEDS:
            x, y = np.random.default_rng([4, n]).standard_normal((2, studies, n))
            ends = np.array([probability_of_improvement(a + shift, b).interval for a, b in zip(x, y, strict=True)])
            true = float(ndtr(shift / math.sqrt(2)))
            cells.append(f"{100 * np.mean((ends[:, 0] <= true) & (ends[:, 1] >= true)):.1f}")
        print(f"| {true:.2f} | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--studies", type=int, default=4_000)
    studies = parser.parse_args().studies
    print(f"{studies} simulated studies a cell (a quarter at 20 seeds).")
    print_coverage(studies)
    print_false_verdicts(studies // 2)
    print_room(studies // 2)
    print_power(studies // 2)
    print_improvement(studies // 2)


if __name__ == "__main__":
    main()
