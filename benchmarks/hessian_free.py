"""Hessian-free Newton against tuned momentum on a deep autoencoder of digits, at equal time.

    python benchmarks/hessian_free.py [--seconds 60] [--seeds 1] [--threads 1] [--out curves.svg] [--page trajectories.html]

The network is 64-100-50-25-6-25-50-100-64 with tanh between (after Martens 2010 and Sutskever et al. 2013, with scikit-learn's 1,797 digits
of 8 x 8 in place of MNIST's), sparse initialisation (15 incoming weights of standard deviation 1 for each unit), logistic outputs,
cross-entropy, float32. All methods start from the same weights. Momentum is Nesterov's on batches of 200; every pair of the grid's rates and
momenta is given the whole time. Hessian-free is Newton(curvature="gauss_newton", damping="levenberg") on all digits at once.

Printed is the training error as the papers give it, the squared error summed over pixels, mean over digits, at fractions of the time. Time is
processor time, so that other work on the machine does not count; evaluations are not timed.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections.abc import Callable
from pathlib import Path

import altair as alt
import numpy as np
import torch
from machine import hardware
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from seewhy.core.files import write_text
from seewhy.optim import Newton
from seewhy.optim.landscape import plane, surface
from seewhy.reporting import Trajectory, TrajectoryRecord, render_trajectories, save_figure
from seewhy.reporting.figures import inline_data

SIZES = (64, 100, 50, 25, 6, 25, 50, 100, 64)
RATES = (0.003, 0.01, 0.03, 0.1)
MOMENTA = (0.9, 0.99)
BATCH = 200
FRACTIONS = (0.05, 0.1, 0.25, 0.5, 1.0)

Curve = list[tuple[float, float]]
"""(seconds, training error)."""


def network(seed: int) -> nn.Sequential:
    rng = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(SIZES):
        layer = nn.Linear(fan_in, fan_out)
        weight = torch.zeros(fan_out, fan_in)
        for row in weight:
            inputs = torch.randperm(fan_in, generator=rng)[:15]
            row[inputs] = torch.randn(len(inputs), generator=rng)
        nn.init.zeros_(layer.bias)
        layer.weight.data = weight
        layers += [layer, nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def loss_of(logits: Tensor, x: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)


class Clock:
    """Times training and leaves evaluations out."""

    def __init__(self, net: nn.Module, x: Tensor, seconds: float) -> None:
        self.net, self.x, self.seconds = net, x, seconds
        self.curve: Curve = []
        self.weights: list[Tensor] = []
        self.spent, self.began = 0.0, time.process_time()
        self.record()

    def record(self) -> bool:
        """Record the error; return whether time is left."""
        self.spent += time.process_time() - self.began
        with torch.no_grad():
            error = float((torch.sigmoid(self.net(self.x)) - self.x).square().sum() / len(self.x))
            self.weights.append(nn.utils.parameters_to_vector(self.net.parameters()).clone())
        self.curve.append((self.spent, error))
        self.began = time.process_time()
        return self.spent < self.seconds and math.isfinite(error)


def momentum(seed: int, x: Tensor, seconds: float, rate: float, rho: float) -> Clock:
    net = network(seed)
    optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=rho, nesterov=True, fused=True)
    rng = torch.Generator().manual_seed(seed)
    clock = Clock(net, x, seconds)
    going = True
    while going:
        for _ in range(5):
            for rows in torch.randperm(len(x), generator=rng).split(BATCH):
                optimizer.zero_grad()
                loss_of(net(x[rows]), x[rows]).backward()
                optimizer.step()
        going = clock.record()
    return clock


def hessian_free(seed: int, x: Tensor, seconds: float, max_cg: int) -> Clock:
    net = network(seed)
    optimizer = Newton(net.parameters(), curvature="gauss_newton", damping="levenberg", max_cg=max_cg)

    def closure() -> tuple[Tensor, Tensor]:
        logits = net(x)
        return loss_of(logits, x), logits

    clock = Clock(net, x, seconds)
    going = True
    while going:
        optimizer.step(closure)
        going = clock.record() and optimizer.status.reason == "progress"
    return clock


def at(curve: Curve, second: float) -> float:
    """Return the error at the last record up to a second."""
    return [error for moment, error in curve if moment <= second or moment == 0.0][-1]


def row(name: str, curves: list[Curve], seconds: float) -> None:
    cells = []
    for fraction in FRACTIONS:
        errors = [at(curve, fraction * seconds * 1.0001) for curve in curves]
        spread = f" ({min(errors):.3g}-{max(errors):.3g})" if len(errors) > 1 else ""
        cells.append(f"{np.mean(errors):.4g}{spread}")
    print(f"{name:<30}" + "".join(f"{cell:>20}" for cell in cells) + f"{np.mean([len(c) - 1 for c in curves]):>10.0f}")


def last(curve: Curve) -> float:
    """Return the error at the end; infinite where it is not finite."""
    return curve[-1][1] if math.isfinite(curve[-1][1]) else math.inf


def draw(curves: dict[str, Curve], path: Path) -> None:
    """Draw the errors of the first seed over processor seconds, at most 200 points each."""
    rows = [
        {"seconds": moment, "error": error, "method": name}
        for name, curve in curves.items()
        for moment, error in curve[1 :: max(1, len(curve) // 200)] + curve[-1:]
    ]
    chart = (
        alt.Chart(inline_data(rows))
        .mark_line()
        .encode(
            x=alt.X("seconds:Q", title="processor seconds, one thread"),
            y=alt.Y("error:Q", scale=alt.Scale(type="log"), title="squared error, summed over pixels"),
            color=alt.Color("method:N", sort=list(curves), title=None),
        )
        .properties(width=520, height=300)
    )
    save_figure(chart, path)


def page(clocks: dict[str, Clock], x: Tensor) -> str:
    """Draw the trajectories over the plane through the first of them."""
    flats = {
        name: clock.weights[:: max(1, len(clock.weights) // 100)] + clock.weights[-1:] for name, clock in clocks.items()
    }
    first = next(iter(flats.values()))
    ground = plane(first)
    net = network(0)

    def loss(w: Tensor) -> float:
        nn.utils.vector_to_parameters(w, net.parameters())
        return float((torch.sigmoid(net(x)) - x).square().sum() / len(x))

    grid = surface(loss, ground)
    trajectories = []
    for name, flat in flats.items():
        points = (torch.stack(flat) - ground.origin) @ ground.axes.T
        with torch.no_grad():
            trajectories.append(Trajectory(name, points.double().numpy(), np.array([loss(w) for w in flat])))
    record = TrajectoryRecord(
        title="Autoencoder of digits", x=grid.x, y=grid.y, values=grid.values, trajectories=trajectories, minimum=0.0, step_name="record",
        axes=("first component", "second component"),
        text=f"Squared error on the plane of the first method's trajectory, which holds {sum(ground.explained):.0%} of its variation.",
    )  # fmt: skip
    return render_trajectories([record], title="Two methods that train an autoencoder")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--max-cg", type=int, default=250)
    parser.add_argument("--out", type=Path, help="figure of the curves of Hessian-free and the best of the grid")
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    x = torch.from_numpy(load_digits().data).float() / 16.0
    print(f"{hardware()}, float32")
    sizes = "-".join(str(size) for size in SIZES)
    print(
        f"autoencoder {sizes} on {len(x):,} digits; n = {options.seeds} seeds; {options.seconds:g} s each; mean (range) of"
    )
    print("the training squared error at fractions of the time\n")
    print(f"{'':<30}" + "".join(f"{f'{fraction:.0%}':>20}" for fraction in FRACTIONS) + f"{'records':>10}")
    seeds = range(options.seeds)
    arms: dict[str, Callable[[int], Clock]] = {
        "Hessian-free": lambda seed: hessian_free(seed, x, options.seconds, options.max_cg)
    }
    for rho in MOMENTA:
        for rate in RATES:
            arms[f"Nesterov {rho:g}, rate {rate:g}"] = lambda seed, rate=rate, rho=rho: momentum(
                seed, x, options.seconds, rate, rho
            )
    clocks = {}
    for name, arm in arms.items():
        runs = [arm(seed) for seed in seeds]
        row(name, [clock.curve for clock in runs], options.seconds)
        clocks[name] = runs[0]
    best = min(list(clocks)[1:], key=lambda name: last(clocks[name].curve))
    if options.out:
        draw({name: clocks[name].curve for name in ("Hessian-free", best)}, options.out)
    if options.page:
        write_text(options.page, page({"Hessian-free": clocks["Hessian-free"], best: clocks[best]}, x))


if __name__ == "__main__":
    main()
