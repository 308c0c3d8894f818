"""L-BFGS's own cost beside torch's and SciPy's: the time that is not evaluation.

    python benchmarks/lbfgs_cost.py [--sizes 1000,100000,2000000] [--iterations 100] [--repeats 5] [--threads 1] [--out FILE.json]

f(w) = 1/2 sum d w^2 + 1/4 sum w^4, d from 1 to 1000, float64, history 20. The methods take turns, so that other work on the machine falls on
all; "x torch" and "x SciPy" are medians, with ranges, of the ratios of total times within a turn. "Own" is the least time beyond the
evaluations, in milliseconds a step and in reads: two reads of the history by `torch.mv`, the best of 7, which uses one core.
`--threads` are torch's and those of SciPy's BLAS; more than there are idle cores wait for each other.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from machine import hardware
from quasi_newton import peers, with_numpy
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from seewhy.optim import LBFGS

M = 20


class Run(NamedTuple):
    """Seconds in all and in evaluations, how many these were, and the norm of the gradient at the end."""

    total: float
    inside: float
    evaluations: int
    gradient: float


def bandwidth(n: int, dtype: torch.dtype) -> float:
    """Return the seconds of two reads of the history, 2 x 2 M n numbers, in matrix-vector products."""
    history, g = torch.randn(2 * M, n, dtype=dtype), torch.randn(n, dtype=dtype)
    small = torch.randn(2 * M, dtype=dtype)
    best = math.inf
    for _ in range(7):
        start = time.perf_counter()
        torch.mv(history, g)
        torch.mv(history.mT, small)
        best = min(best, time.perf_counter() - start)
    return best


def quartic(n: int) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    d = torch.logspace(0, 3, n, dtype=torch.float64)
    return lambda w: 0.5 * (d * w * w).sum() + 0.25 * (w**4).sum(), torch.ones(n, dtype=torch.float64)


def by_torch(kind: Any, f: Callable[[Tensor], Tensor], start: Tensor, **options: Any) -> Run:
    w = nn.Parameter(start.clone())
    optimizer = kind([w], **options)
    spent: list[float] = []

    def closure() -> Tensor:
        begun = time.perf_counter()
        w.grad = None
        value = f(w)
        value.backward()
        spent.append(time.perf_counter() - begun)
        return value

    begun = time.perf_counter()
    optimizer.step(closure)
    total = time.perf_counter() - begun
    w.grad = None
    f(w).backward()
    assert w.grad is not None
    return Run(total, sum(spent), len(spent), w.grad.norm().item())


def by_scipy(optimize: Any, f: Callable[[Tensor], Tensor], start: Tensor, iterations: int) -> Run:
    spent: list[float] = []
    evaluate = with_numpy(f)

    def timed_evaluation(x: np.ndarray) -> tuple[float, np.ndarray]:
        begun = time.perf_counter()
        value = evaluate(x)
        spent.append(time.perf_counter() - begun)
        return value

    options = {"maxcor": M, "maxiter": iterations, "maxfun": 10**6, "gtol": 0.0, "ftol": 0.0}
    begun = time.perf_counter()
    result = optimize.minimize(timed_evaluation, start.numpy(), jac=True, method="L-BFGS-B", options=options)
    total = time.perf_counter() - begun
    return Run(total, sum(spent), len(spent), float(np.linalg.norm(result.jac)))


def measured(n: int, iterations: int, repeats: int) -> list[dict[str, Any]]:
    """Let the methods take turns, and print their rows."""
    f, start = quartic(n)
    limits = {kind: bandwidth(n, kind) for kind in (torch.float64, torch.float32)}
    ours: dict[str, Any] = {"history": M, "max_iter": iterations, "gtol": 0.0}
    theirs: dict[str, Any] = {
        "history_size": M,
        "max_iter": iterations,
        "max_eval": 10**6,
        "line_search_fn": "strong_wolfe",
    }
    theirs |= {"tolerance_grad": 0.0, "tolerance_change": 0.0}
    contenders: dict[str, Callable[[], Run]] = {
        "seewhy": partial(by_torch, LBFGS, f, start, **ours),
        "seewhy, float32 history": partial(by_torch, LBFGS, f, start, **ours, history_dtype=torch.float32),
        "torch.optim.LBFGS": partial(by_torch, torch.optim.LBFGS, f, start, **theirs),
        "SciPy L-BFGS-B": partial(by_scipy, peers(), f, start, iterations),
    }
    turns = [{name: run() for name, run in contenders.items()} for _ in range(repeats)]
    rows = []
    for name in contenders:
        runs = [turn[name] for turn in turns]
        limit = 1e3 * limits[torch.float32 if "float32" in name else torch.float64]
        own = 1e3 * min(run.total - run.inside for run in runs) / iterations
        ratios = {
            peer: [turn[name].total / turn[peer].total for turn in turns]
            for peer in ("torch.optim.LBFGS", "SciPy L-BFGS-B")
        }
        cells = [
            f"{statistics.median(ratio):.2f} ({min(ratio):.2f} to {max(ratio):.2f})" if name != peer else ""
            for peer, ratio in ratios.items()
        ]
        print(
            f"| {n:,} | {name} | {' | '.join(cells)} | {own:.2f} ({own / limit:.2f}) | {runs[0].evaluations} | {min(runs).total:.2f} |",
            flush=True,
        )
        rows.append(
            {
                "n": n,
                "method": name,
                "runs": [run._asdict() for run in runs],
                "ratios": ratios,
                "own_ms": own,
                "limit_ms": limit,
            }
        )
    return rows


def load() -> str:
    """Return the mean number of runnable processes of the last 1, 5 and 15 minutes."""
    return "load " + ", ".join(f"{average:.1f}" for average in os.getloadavg())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sizes", type=lambda text: [int(n) for n in text.split(",")], default=[1_000, 100_000, 2_000_000]
    )
    parser.add_argument("--iterations", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="file for all figures, JSON")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    peers()  # SciPy brings a BLAS of its own, which has to be there to be limited
    threadpool_limits(options.threads, user_api="blas")
    print(f"{hardware()}; {load()}; {options.repeats} turns of {options.iterations} iterations\n")
    print("| n | method | x torch | x SciPy | own ms a step (reads) | evaluations | least s |\n" + "|---" * 7 + "|")
    rows = [row for n in options.sizes for row in measured(n, options.iterations, options.repeats)]
    print(f"\n{load()} at the end")
    if options.out:
        options.out.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
