"""What quasi-Newton methods owe to their constants: counts beside SciPy's and beside the same code without one of its parts.

    python benchmarks/quasi_newton_choices.py [--only moved,scaled,networks,images,iterations,matrix,saddle] [--out FILE.json]

moved       216 runs: the eighteen problems of `problems.py` from 1, 10 and 100 times the standard start, and three copies of each start whose
            entries are moved by 2% at random (normal, seeds 1 to 3). Against SciPy: runs solved (|g|max <= 1e-5), evaluations where both
            solved, and the mean ratio: geometric, first of a problem's runs, which are alike, then with standard error over the problems.
scaled      BFGS without parts of its start on the quadratics and the long valley of `problems.SCALED`: evaluations.
networks    BFGS on the 1,797 digits, float64, L2 1e-3, to |g|max <= 1e-5: softmax regression without biases (640 weights) and a network
            64-10-10 of tanh (760 weights), from five starts, N(0, 1/inputs): median and range of the evaluations.
images      Softmax regression on eight sets of 1,500 images of MNIST, L2 1e-3, float64, to 1e-6, history 10: evaluations of L-BFGS.
iterations  Rosenbrock's function from (-1.2, 1) to a Euclidean norm of 1e-5, and the extended one of 8 numbers to 1e-3.
matrix      |x|^2 / 2 from B = diag(1, 10^k) and the odd degrees of the unit circle below 90, unit steps, to |x| <= 1e-4: the most iterations.
saddle      Where L-BFGS and BFGS end on Biggs' EXP6 from its standard start, with the least eigenvalue of the Hessian there.

Counts, no times. Rounding moves them, and threads round differently: OMP_NUM_THREADS=1 gives those of docs/optimisers.md. A part is taken
away by replacing its constant or function for the run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from machine import hardware
from problems import PROBLEMS, SCALED, Problem
from quasi_newton import (
    FACTORS,
    Method,
    Outcome,
    both_by_both,
    by_seewhy,
    softmax_by_scipy,
    softmax_by_seewhy,
    softmax_by_torch,
)
from sklearn.datasets import load_digits
from torch import Tensor, nn

from seewhy.data import load_dataset
from seewhy.optim import dense, minimize, step_loop
from seewhy.optim.dense import Dense

Loss = Callable[[Tensor], Tensor]
Rows = list[dict[str, Any]]
UPDATE, FIRST = Dense.update, Dense._first

NEVER_RENEWED = [(step_loop, "ANGLE", -1.0)]
LARGER = [(dense, "FIRST", 1e6)]
SCALING_ALONE = [(Dense, "_first", lambda self, s, y, exact: FIRST(self, s, y, exact=False))]
PLAIN = [
    (Dense, "update", lambda self, change: UPDATE(self, change._replace(excess=None))),
    (step_loop, "FURTHER", math.inf),
]
"""D = s'y/(y'y) I at the first pair (Nocedal & Wright 2006, 6.20), and nothing else."""


@contextlib.contextmanager
def without(parts: list[tuple[Any, str, Any]]) -> Iterator[None]:
    """Replace constants and functions for a while."""
    with contextlib.ExitStack() as stack:
        for owner, name, value in parts:
            stack.enter_context(patch.object(owner, name, value))
        yield


def lacking(parts: list[tuple[Any, str, Any]], method: str) -> Method:
    """Return a method of ours without parts of it."""

    def run(f: Loss, start: Tensor) -> Any:
        with without(parts):
            return by_seewhy(method, f, start)

    return run


def bfgs_and_its_parts() -> dict[str, Method]:
    methods = both_by_both()
    return {
        "seewhy BFGS": methods["seewhy BFGS"],
        "first 1e6 s's/(s'y)": lacking(LARGER, "bfgs"),
        "s'y/(y'y) and scaling": lacking(SCALING_ALONE, "bfgs"),
        "s'y/(y'y) alone": lacking(PLAIN, "bfgs"),
        "SciPy BFGS": methods["SciPy BFGS"],
    }


def moved(problem: Problem, seed: int) -> Problem:
    """Return the problem with a start whose entries are moved by 2%, those at 0 by 0.02; seed 0 leaves it as it is."""
    start = torch.tensor(problem.start, dtype=torch.float64)
    rng = torch.Generator().manual_seed(seed)
    z = torch.randn(len(start), dtype=torch.float64, generator=rng) if seed else torch.zeros_like(start)
    return replace(problem, start=tuple((start + 0.02 * z * torch.where(start == 0, 1.0, start)).tolist()))


def run_moved() -> Rows:
    methods, parts = both_by_both(), bfgs_and_its_parts()
    l_bfgs_b, bfgs = methods["SciPy L-BFGS-B"], parts.pop("SciPy BFGS")
    pairs: dict[str, tuple[Method, Method]] = {
        "LBFGS": (methods["seewhy LBFGS"], l_bfgs_b),
        "LBFGS, memory never renewed": (lacking(NEVER_RENEWED, "lbfgs"), l_bfgs_b),
        "LBFGS, c2 = 0.7": (partial(by_seewhy, "lbfgs", c2=0.7), l_bfgs_b),
        "LBFGS, c1 = 1e-3": (partial(by_seewhy, "lbfgs", c1=1e-3), l_bfgs_b),
        **{name: (method, bfgs) for name, method in parts.items()},
        "seewhy BFGS beside s'y/(y'y) alone": (parts["seewhy BFGS"], parts["s'y/(y'y) alone"]),
        "s'y/(y'y) and scaling beside s'y/(y'y) alone": (parts["s'y/(y'y) and scaling"], parts["s'y/(y'y) alone"]),
    }
    starts = [
        (problem.name, moved(problem, seed), factor) for problem in PROBLEMS for seed in range(4) for factor in FACTORS
    ]
    known: dict[Method, list[Outcome]] = {}
    rows = []
    print("\n| | solved | peer | evaluations where both did | peer | ratio | mean ratio |\n" + "|---" * 7 + "|")
    for name, pair in pairs.items():
        for method in pair:
            if method not in known:
                known[method] = [method(copy.value, copy.from_start(factor)) for _, copy, factor in starts]
        row = compared(name, [problem for problem, _, _ in starts], *(known[method] for method in pair))
        cells = (*row["solved"], f"{row['evaluations'][0]:,} ({row['both']} runs)", f"{row['evaluations'][1]:,}")
        mean, error = row["mean"]
        print(
            f"| {name} | {' | '.join(map(str, cells))} | {row['ratio']:.2f} | {mean:.3f} +- {error:.3f} |", flush=True
        )
        rows.append(row)
    return rows


def compared(name: str, problems: list[str], ours: list[Outcome], theirs: list[Outcome]) -> dict[str, Any]:
    """Return how often each solved, the evaluations where both did, and their ratios: of the sums, and the mean with its standard error."""
    both = [(problem, a, b) for problem, a, b in zip(problems, ours, theirs, strict=True) if a.solved and b.solved]
    logs: dict[str, list[float]] = {}
    for problem, a, b in both:
        logs.setdefault(problem, []).append(math.log(a.evaluations / b.evaluations))
    means = [statistics.fmean(runs) for runs in logs.values()]
    mean, error = math.exp(statistics.fmean(means)), statistics.stdev(means) / len(means) ** 0.5
    counts = [sum(a.evaluations for _, a, _ in both), sum(b.evaluations for _, _, b in both)]
    solved = [sum(outcome.solved for outcome in side) for side in (ours, theirs)]
    return {
        "method": name,
        "solved": solved,
        "both": len(both),
        "evaluations": counts,
        "ratio": counts[0] / counts[1],
        "mean": (mean, mean * error),
    }


def run_scaled() -> Rows:
    return counted(
        [(problem.name, problem.value, [problem.from_start(1.0)]) for problem in SCALED], bfgs_and_its_parts()
    )


def counted(losses: list[tuple[str, Loss, list[Tensor]]], methods: dict[str, Method]) -> Rows:
    """Print and return the evaluations of each method on each loss, from each of its starts."""
    print(f"\n| | {' | '.join(methods)} |\n|---|{'---|' * len(methods)}")
    rows = []
    for name, f, starts in losses:
        outcomes = {method: [run(f, start) for start in starts] for method, run in methods.items()}
        cells = []
        for runs in outcomes.values():
            counts = sorted(run.evaluations for run in runs)
            spread = f" ({counts[0]:,} to {counts[-1]:,})" if len(counts) > 1 else ""
            unsolved = sum(not run.solved for run in runs)
            cells.append(
                f"{statistics.median_high(counts):,}{spread}" + (f", {unsolved} not solved" if unsolved else "")
            )
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
        rows.append({"loss": name, **{method: [vars(run) for run in runs] for method, runs in outcomes.items()}})
    return rows


def perceptron(x: Tensor, y: Tensor, *sizes: int) -> tuple[Loss, list[Tensor]]:
    """Return the loss of a network over one vector of weights, biases beside hidden layers only, and five starts."""
    shapes = [(fan_in, fan_out) for fan_in, fan_out in pairwise(sizes)]
    bias = len(shapes) > 1
    lengths = [length for i, o in shapes for length in (i * o, o * bias)]

    def f(w: Tensor) -> Tensor:
        parts, h = iter(w.split(lengths)), x
        for index, shape in enumerate(shapes):
            h = (h.tanh() if index else h) @ next(parts).view(shape)
            b = next(parts)
            h = h + b if bias else h
        return nn.functional.cross_entropy(h, y) + 0.5e-3 * w.square().sum()

    starts = []
    for seed in range(5):
        rng = torch.Generator().manual_seed(seed)
        deviations = torch.cat(
            [torch.full((n,), s) for (i, o) in shapes for n, s in ((i * o, i**-0.5), (o * bias, 0.0))]
        )
        starts.append(deviations.double() * torch.randn(sum(lengths), dtype=torch.float64, generator=rng))
    return f, starts


def run_networks() -> Rows:
    digits = load_digits()
    x, y = torch.from_numpy(digits.data) / 16, torch.from_numpy(digits.target).long()
    losses = []
    for sizes in ((64, 10), (64, 10, 10)):
        f, starts = perceptron(x, y, *sizes)
        losses.append((f"{'-'.join(map(str, sizes))}, {len(starts[0])} weights", f, starts))
    methods = both_by_both()
    l_bfgs = {name: methods[name] for name in ("seewhy LBFGS", "SciPy L-BFGS-B")}
    return counted(losses, {**bfgs_and_its_parts(), **l_bfgs})


def run_images() -> Rows:
    train = load_dataset("mnist").train
    contenders = {
        "seewhy": softmax_by_seewhy,
        "SciPy L-BFGS-B": softmax_by_scipy,
        "torch.optim.LBFGS": softmax_by_torch,
    }
    counts: dict[str, list[int]] = {name: [] for name in contenders}
    order = torch.randperm(len(train.labels), generator=torch.Generator().manual_seed(0))
    for rows in order[: 8 * 1500].split(1500):
        x = train.images(rows).flatten(1).double() / 255
        x, y = torch.cat([x, torch.ones(len(x), 1, dtype=torch.float64)], 1), train.labels[rows]

        def f(w: Tensor, x: Tensor = x, y: Tensor = y) -> Tensor:
            return nn.functional.cross_entropy(x @ w.view(785, 10), y) + 0.5e-3 * w.square().sum()

        for name, run in contenders.items():
            counts[name].append(run(f, torch.zeros(7850, dtype=torch.float64))[0])
    print("\n| 8 sets of 1,500 images | mean evaluations | range |\n|---|---|---|")
    for name, n in counts.items():
        print(f"| {name} | {statistics.fmean(n):.1f} | {min(n)} to {max(n)} |")
    return [{"method": name, "evaluations": n} for name, n in counts.items()]


def run_iterations() -> Rows:
    def rosenbrock(x: Tensor) -> Tensor:
        return (100 * (x[1::2] - x[::2] ** 2) ** 2 + (1 - x[::2]) ** 2).sum()

    start = torch.tensor([-1.2, 1.0], dtype=torch.float64)
    cases: list[tuple[str, Any, int, float, dict[str, Any]]] = [
        ("BFGS from D = I", "bfgs", 1, 1e-5, {"D0": torch.eye(2, dtype=torch.float64)}),
        ("BFGS", "bfgs", 1, 1e-5, {}),
        ("DFP", "dfp", 1, 1e-5, {}),
        ("Newton, undamped", "newton", 1, 1e-5, {}),
        ("Newton, line search", "damped_newton", 1, 1e-5, {}),
        ("LBFGS", "lbfgs", 1, 1e-5, {}),
        ("LBFGS, 8 numbers to 1e-3", "lbfgs", 4, 1e-3, {}),
    ]
    rows = []
    print("\n| Rosenbrock's function | iterations | evaluations |\n|---|---|---|")
    for name, method, copies, gtol, options in cases:
        result = minimize(rosenbrock, start.repeat(copies), method, gtol=gtol, norm=2, **options)
        assert result.success, result.message
        print(f"| {name} | {result.nit} | {result.nfev} |")
        rows.append({"method": name, "iterations": result.nit, "evaluations": result.nfev})
    return rows


def run_matrix() -> Rows:
    rows = []
    angles = [math.radians(degree) for degree in range(1, 90, 2)]
    print("\n| B = diag(1, 10^k), most iterations of 45 | k = 1 | 2 | 3 | 4 |\n|---|---|---|---|---|")
    for method in ("bfgs", "dfp"):
        most = []
        for k in (1, 2, 3, 4):
            D0 = torch.diag(torch.tensor([1.0, 10.0**-k], dtype=torch.float64))
            options: dict[str, Any] = {"D0": D0, "line_search": "none", "gtol": 1e-4, "norm": 2, "max_iter": 20_000}
            starts = [torch.tensor([math.cos(a), math.sin(a)], dtype=torch.float64) for a in angles]
            results = [minimize(lambda x: 0.5 * x.square().sum(), start, method, **options) for start in starts]
            assert all(result.success for result in results)
            most.append(max(result.nit for result in results))
        print(f"| {method.upper()} | {' | '.join(f'{count:,}' for count in most)} |", flush=True)
        rows.append({"method": method, "most": most})
    return rows


def run_saddle() -> Rows:
    problem = next(problem for problem in PROBLEMS if problem.name == "Biggs EXP6")
    rows = []
    print("\n| Biggs EXP6 | f | least eigenvalue | what `minimize` says |\n|---|---|---|---|")
    for method in ("lbfgs", "bfgs"):
        result = minimize(problem.value, problem.from_start(1.0), method, gtol=1e-7)
        least = torch.linalg.eigvalsh(torch.func.hessian(problem.value)(result.x))[0].item()
        print(f"| {method.upper()} | {result.fun:.6g} | {least:.2g} | {result.message} |")
        rows.append({"method": method, "f": result.fun, "eigenvalue": least, "message": result.message})
    return rows


RUNS: dict[str, Callable[[], Rows]] = {
    "moved": run_moved,
    "scaled": run_scaled,
    "networks": run_networks,
    "images": run_images,
    "iterations": run_iterations,
    "matrix": run_matrix,
    "saddle": run_saddle,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(RUNS))
    parser.add_argument("--out", type=Path, help="file for all figures, JSON")
    options = parser.parse_args()
    unknown = sorted(set(options.only) - set(RUNS))
    if unknown:
        parser.error(f"--only: not known: {', '.join(unknown)}; choose from {', '.join(RUNS)}")
    print(hardware())
    results = {name: RUNS[name]() for name in options.only}
    if options.out:
        options.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
