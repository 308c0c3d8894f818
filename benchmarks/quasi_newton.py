"""BFGS and L-BFGS beside SciPy's, torch's and pytorch-minimize's: problems solved, evaluations.

    python benchmarks/quasi_newton.py [--only problems,scaled,dfp,softmax] [--repeats 3] [--out docs/quasi-newton.svg]

scaled     Quadratics of 50 numbers whose eigenvalues span six orders, above and below 1, and the chained Wood function of 100: evaluations.
dfp        DFP on the runs of `problems` with c2 = 0.1 and 0.9, at most 3,000 evaluations each.
problems   The eighteen problems of unconstrained minimisation of More, Garbow & Hillstrom (1981), float64, from 1, 10 and 100 times the standard
           start: solved means largest entry of the gradient <= 1e-5. Counts, no times. Draws Dolan & More's (2002) performance profiles.
softmax    Softmax regression on 20,000 images of MNIST, L2 1e-3, float64, to a largest gradient entry of 1e-6, history 10.

SciPy and pytorch-minimize are installed into `benchmarks/.peers/scipy` by the first run, optimistix with JAX into `.peers/optimistix`, where a
process of its own runs it (`peers/optimistix_run.py`); nothing of theirs enters seewhy's environment.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import hardware
from problems import PROBLEMS, SCALED
from torch import Tensor, nn

from seewhy.data import load_dataset
from seewhy.optim import minimize
from seewhy.reporting import save_figure
from seewhy.reporting.figures import inline_data

HERE = Path(__file__).resolve().parent
PEERS = HERE / ".peers" / "scipy"
OPTIMISTIX = HERE / ".peers" / "optimistix"
FACTORS = (1.0, 10.0, 100.0)
GTOL = 1e-5
MOST = 15_000


def peers() -> Any:
    """Return SciPy's optimize, installed beside the project."""
    install(PEERS, "scipy", "pytorch-minimize", "--no-deps")
    sys.path.append(str(PEERS))
    return importlib.import_module("scipy.optimize")


def install(folder: Path, *packages: str) -> None:
    """Install packages into a folder of their own, unless it holds the first."""
    if not (folder / packages[0]).exists():
        print(f"installing {', '.join(packages)} into {folder}", file=sys.stderr)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder), *packages]
        subprocess.run(command, check=True)


@dataclass
class Outcome:
    """How a method ended on a problem."""

    evaluations: int
    iterations: int
    value: float
    gradient: float

    @property
    def solved(self) -> bool:
        """Whether the gradient is as small as was asked for."""
        return self.gradient <= GTOL


def with_numpy(f: Callable[[Tensor], Tensor]) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    """Return (value, gradient) for SciPy."""

    def evaluate(x: np.ndarray) -> tuple[float, np.ndarray]:
        point = torch.from_numpy(np.array(x)).requires_grad_()
        value = f(point)
        (gradient,) = torch.autograd.grad(value, point)
        return value.item(), gradient.numpy()

    return evaluate


def by_seewhy(method: Any, f: Callable[[Tensor], Tensor], start: Tensor, **options: Any) -> Outcome:
    result = minimize(f, start, method, gtol=GTOL, max_iter=MOST, max_eval=MOST, **options)
    return Outcome(result.nfev, result.nit, result.fun, result.grad.abs().max().item())


def by_scipy(optimize: Any, method: str, f: Callable[[Tensor], Tensor], start: Tensor) -> Outcome:
    options = {"gtol": GTOL, "maxiter": MOST}
    if method == "L-BFGS-B":
        options |= {"ftol": 0.0, "maxfun": MOST, "maxcor": 10}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        result = optimize.minimize(with_numpy(f), start.numpy(), jac=True, method=method, options=options)
    return Outcome(result.nfev, result.nit, float(result.fun), float(np.abs(result.jac).max()))


Method = Callable[[Callable[[Tensor], Tensor], Tensor], Outcome]


def both_by_both() -> dict[str, Method]:
    """Return L-BFGS and BFGS, ours and SciPy's."""
    optimize = peers()
    return {
        "seewhy LBFGS": partial(by_seewhy, "lbfgs"),
        "SciPy L-BFGS-B": partial(by_scipy, optimize, "L-BFGS-B"),
        "seewhy BFGS": partial(by_seewhy, "bfgs"),
        "SciPy BFGS": partial(by_scipy, optimize, "BFGS"),
    }


def run_problems(out: Path | None) -> dict[str, Any]:
    """Count what the methods need for the problems."""
    methods = both_by_both()
    table = {
        (problem.name, factor): {
            name: method(problem.value, problem.from_start(factor)) for name, method in methods.items()
        }
        for problem in PROBLEMS
        for factor in FACTORS
    }
    print(
        f"{len(table)} runs: {len(PROBLEMS)} problems from 1, 10 and 100 times the standard start, float64, |g|max <= {GTOL:g}\n"
    )
    print(
        "| method | solved | evaluations where both of a pair solved | iterations there | not solved |\n|---|---|---|---|---|"
    )
    for ours, theirs in (("seewhy LBFGS", "SciPy L-BFGS-B"), ("seewhy BFGS", "SciPy BFGS")):
        both = [key for key, row in table.items() if row[ours].solved and row[theirs].solved]
        for name in (ours, theirs):
            unsolved = [f"{key[0]} x{key[1]:g}" for key, row in table.items() if not row[name].solved]
            evaluations = sum(table[key][name].evaluations for key in both)
            iterations = sum(table[key][name].iterations for key in both)
            solved, others = len(table) - len(unsolved), ", ".join(unsolved) or "none"
            print(f"| {name} | {solved} | {evaluations:,} ({len(both)} runs) | {iterations:,} | {others} |")
        ratio = sum(table[key][ours].evaluations for key in both) / sum(table[key][theirs].evaluations for key in both)
        print(f"| | | **{ratio:.2f}** of SciPy's | | |")
    if out is not None:
        save_figure(profile(table, list(methods)), out)
        print(f"\nfigure {out}")
    return {f"{name} x{factor:g}": {m: vars(o) for m, o in row.items()} for (name, factor), row in table.items()}


def run_scaled() -> list[dict[str, Any]]:
    """Count evaluations where the scale of the Hessian is far from that of the identity, and differs by direction."""
    methods = both_by_both()
    print(f"\n| | {' | '.join(methods)} |\n|---|{'---|' * len(methods)}")
    rows = []
    for problem in SCALED:
        outcomes = {name: method(problem.value, problem.from_start(1.0)) for name, method in methods.items()}
        cells = [f"{outcome.evaluations:,}" if outcome.solved else "not solved" for outcome in outcomes.values()]
        print(f"| {problem.name} | {' | '.join(cells)} |", flush=True)
        rows.append({"problem": problem.name, **{name: vars(outcome) for name, outcome in outcomes.items()}})
    return rows


def run_dfp() -> list[dict[str, Any]]:
    """Count what DFP solves with a search that is nearly exact, and with BFGS's."""
    rows = []
    print("\n| DFP | solved | evaluations there |\n|---|---|---|")
    for c2 in (0.1, 0.9):
        runs = [
            minimize(problem.value, problem.from_start(factor), "dfp", gtol=GTOL, max_iter=3000, max_eval=3000, c2=c2)
            for problem in PROBLEMS
            for factor in FACTORS
        ]
        solved = [run.nfev for run in runs if run.grad.abs().max().item() <= GTOL]
        print(f"| c2 = {c2} | {len(solved)} of {len(runs)} | {sum(solved):,} |", flush=True)
        rows.append({"c2": c2, "solved": len(solved), "evaluations": sum(solved)})
    return rows


def profile(table: dict[Any, dict[str, Outcome]], names: list[str]) -> Any:
    """Draw the share of runs that a method solves with at most tau times the fewest evaluations (Dolan & More 2002)."""
    import altair as alt

    rows = []
    taus = [2 ** (0.05 * k) for k in range(121)]
    for name in names:
        ratios = []
        for row in table.values():
            costs = {m: o.evaluations if o.solved else math.inf for m, o in row.items()}
            best = min(costs.values())
            ratios.append(costs[name] / best if math.isfinite(best) else math.inf)
        rows += [
            {"tau": tau, "solved": sum(ratio <= tau for ratio in ratios) / len(ratios), "method": name} for tau in taus
        ]
    return (
        alt.Chart(inline_data(rows))
        .mark_line(interpolate="step-after")
        .encode(
            x=alt.X("tau:Q", scale=alt.Scale(type="log", base=2), title="evaluations, times the fewest of the four"),
            y=alt.Y(
                "solved:Q", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1]), title="share of the runs solved"
            ),
            color=alt.Color("method:N", sort=names, title=None),
        )
        .properties(width=520, height=300)
    )


Evaluated = tuple[int, float]
"""Evaluations of a loss and its gradient, and the largest entry of the gradient at the end."""


def softmax_by_seewhy(f: Callable[[Tensor], Tensor], start: Tensor) -> Evaluated:
    result = minimize(f, start, "lbfgs", gtol=1e-6, history=10, max_iter=5000)
    return result.nfev, result.grad.abs().max().item()


def softmax_by_torch(f: Callable[[Tensor], Tensor], start: Tensor) -> Evaluated:
    w, count = nn.Parameter(start.clone()), 0
    sizes = {"history_size": 10, "max_iter": 5000, "max_eval": 10**6}
    ends = {"tolerance_grad": 1e-6, "tolerance_change": 0.0}
    optimizer = torch.optim.LBFGS([w], **sizes, **ends, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        nonlocal count
        count += 1
        w.grad = None
        value = f(w)
        value.backward()
        return value

    optimizer.step(closure)
    assert w.grad is not None
    return count, w.grad.abs().max().item()


def softmax_by_scipy(f: Callable[[Tensor], Tensor], start: Tensor) -> Evaluated:
    options = {"maxcor": 10, "maxiter": 5000, "maxfun": 10**6, "gtol": 1e-6, "ftol": 0.0}
    optimize = importlib.import_module("scipy.optimize")
    result = optimize.minimize(with_numpy(f), start.numpy(), jac=True, method="L-BFGS-B", options=options)
    return result.nfev, float(np.abs(result.jac).max())


def softmax_by_pytorch_minimize(f: Callable[[Tensor], Tensor], start: Tensor) -> Evaluated:
    options = {"gtol": 1e-6, "max_iter": 5000, "history_size": 10, "xtol": 0.0}
    result = importlib.import_module("torchmin").minimize(f, start, method="l-bfgs", options=options)
    return int(result.nfev), result.grad.abs().max().item()


def run_softmax(repeats: int) -> list[dict[str, Any]]:
    """Minimise the loss of softmax regression to a tight tolerance."""
    peers()  # installed before anything is timed
    train = load_dataset("mnist").train
    rows = torch.arange(20_000)
    x = train.images(rows).flatten(1).double() / 255
    x, y = torch.cat([x, torch.ones(len(x), 1, dtype=torch.float64)], 1), train.labels[rows]

    def f(w: Tensor) -> Tensor:
        return nn.functional.cross_entropy(x @ w.view(785, 10), y) + 0.5e-3 * w.square().sum()

    contenders = {
        "seewhy": softmax_by_seewhy,
        "torch.optim.LBFGS": softmax_by_torch,
        "SciPy L-BFGS-B": softmax_by_scipy,
        "pytorch-minimize": softmax_by_pytorch_minimize,
    }
    answers: list[dict[str, Any]] = []
    print("\n| softmax regression | evaluations | seconds | largest gradient entry |\n|---|---|---|---|")
    for name, run in contenders.items():
        seconds = []
        for _ in range(repeats):
            begun = time.perf_counter()
            try:
                count, gradient = run(f, torch.zeros(785 * 10, dtype=torch.float64))
            except Exception as error:  # noqa: BLE001  a peer's failure is a result
                print(f"| {name} | failed: {error} | | |")
                break
            seconds.append(time.perf_counter() - begun)
        else:
            answers.append({"method": name, "evaluations": count, "seconds": seconds, "gradient": gradient})
            print(softmax_row(answers[-1]), flush=True)
    return answers + in_optimistix(x, y, repeats)


def softmax_row(answer: dict[str, Any]) -> str:
    seconds = answer["seconds"]
    spread = f"{statistics.median(seconds):.1f} ({min(seconds):.1f} to {max(seconds):.1f})"
    return f"| {answer['method']} | {answer['evaluations']} | {spread} | {answer['gradient']:.1e} |"


def in_optimistix(x: Tensor, y: Tensor, repeats: int) -> list[dict[str, Any]]:
    """Let optimistix minimise the same loss, in its own process."""
    with tempfile.TemporaryDirectory() as folder:
        problem = Path(folder) / "problem.npz"
        np.savez(problem, x=x.numpy(), y=y.numpy())
        try:
            install(OPTIMISTIX, "optimistix", "jax")
            command = [
                sys.executable,
                str(HERE / "peers" / "optimistix_run.py"),
                str(problem),
                "--peers",
                str(OPTIMISTIX),
            ]
            finished = subprocess.run([*command, "--repeats", str(repeats)], check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError as error:
            print(f"| optimistix | failed: {(error.stderr or str(error)).strip().splitlines()[-1]} | | |")
            return []
    answers = [json.loads(line) for line in finished.stdout.splitlines() if line.startswith("{")]
    for answer in answers:
        print(softmax_row(answer))
    return answers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=lambda text: text.split(","), default=["problems", "scaled", "dfp", "softmax"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="figure of the performance profiles")
    parser.add_argument("--json", type=Path, help="file for all figures")
    options = parser.parse_args()
    print(hardware())
    results: dict[str, Any] = {}
    if "problems" in options.only:
        results["problems"] = run_problems(options.out)
    if "scaled" in options.only:
        results["scaled"] = run_scaled()
    if "dfp" in options.only:
        results["dfp"] = run_dfp()
    if "softmax" in options.only:
        results["softmax"] = run_softmax(options.repeats)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
