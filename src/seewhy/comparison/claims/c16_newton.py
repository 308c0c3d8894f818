"""C16: Newton is quadratic near the minimum and can diverge undamped; damping mends it."""

from __future__ import annotations

import torch
from torch import Tensor

from seewhy.comparison.claims.base import Claim, Criterion, Measured
from seewhy.comparison.claims.layers import band
from seewhy.comparison.claims.regression import Regression, orders, path
from seewhy.comparison.claims.setting import Setting
from seewhy.reporting.claim_records import Lines

SIDE, PENALTY = 4, 1e-3
FAR = 2.0
"""Standard deviation of the weights of a start that is far: each prediction is then sure, and mostly wrong."""

CLOSE = 1e-6
"""A run has arrived where its weights are within this of the minimum, relative to the minimum's norm."""

MOST = 25
"""Steps of a run; damped ones end by themselves after about ten."""

NAMES = {"newton": "undamped", "damped_newton": "damped"}

FLOOR = 1e-11
"""Errors below are of rounding."""


def measure(setting: Setting) -> Measured:
    """Follow Newton's method from zero weights, and from far ones with and without damping."""
    images, starts = setting.amount(500, 100), setting.amount(2, 1)
    order, arrived = list[float](), {"newton": list[float](), "damped_newton": list[float]()}
    errors: dict[str, list[list[float]]] = {}
    for seed in range(setting.seeds):
        f = Regression(setting, side=SIDE, images=images, penalty=PENALTY, seed=seed)
        w, zero = f.minimum(), torch.zeros(f.n, dtype=torch.float64)
        near = _errors(f, zero, w, "newton")
        order.append(orders(near, FLOOR)[-1])
        errors.setdefault("Newton from zero weights", []).append(near)
        errors.setdefault("steepest descent from zero weights", []).append(_errors(f, zero, w, "gradient"))
        for method, shares in arrived.items():
            runs = [_errors(f, f.start(1000 * seed + k, FAR), w, method) for k in range(starts)]
            shares.append(sum(run[-1] < CLOSE * float(w.norm()) for run in runs) / starts)
            errors.setdefault(f"{NAMES[method]} from far", []).extend(runs)
    return Measured(
        criteria=(
            Criterion(
                text="near the minimum the error is squared in each step",
                measure="order of convergence: log(e_(k+1) / e_k) / log(e_k / e_(k-1)), the last one above rounding",
                values=tuple(order),
                low=1.8,
            ),
            Criterion(
                text="from far the undamped method can diverge",
                measure=f"share of far starts from which it does not arrive in {MOST} steps",
                values=tuple(1.0 - share for share in arrived["newton"]),
                low=0.05,
            ),
            Criterion(
                text="damped it arrives from every far start",
                measure="share of the same starts from which the damped one arrives",
                values=tuple(arrived["damped_newton"]),
                low=1.0,
                kind="exact",
            ),
        ),
        experiment=f"Softmax regression of {images} training images at {SIDE} x {SIDE} pixels, {f.n} weights, L2 of {PENALTY:g}, "
        f"float64, exact Hessians. Far: weights from N(0, {FAR:g}^2), {starts} starts for each seed.",
        figure=Lines(
            x="step",
            y="distance to the minimum",
            lines={name: band(runs, range(min(map(len, runs)))) for name, runs in errors.items()},
            log_y=True,
        ),
    )


def _errors(f: Regression, start: Tensor, minimum: Tensor, method: str) -> list[float]:
    points = path(f, start, method, max_iter=MOST, gtol=1e-9)
    return [float((point - minimum).norm()) for point in points]


CLAIM = Claim(
    code="C16",
    title="Newton is quadratic, and needs damping",
    sentence="Newton's method converges quadratically near the minimum and can diverge undamped; damping mends it.",
    source="Nocedal & Wright 2006, theorem 3.5: with a Lipschitz Hessian |w(k+1) - w*| <= L |w(k) - w*|^2 from near enough, order 2; "
    "far away the full step may lead uphill, and a line search along it (section 3.4) restores convergence from everywhere.",
    measure=measure,
)
