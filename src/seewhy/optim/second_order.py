"""Newton's and quasi-Newton methods by name, for training loops: one iteration a step.

Their `step` takes a closure (`Optimizer.closure` says so), and has no weight decay of its own: a penalty belongs into the closure's loss, or
line search and step would follow different functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn, optim

from seewhy.core.errors import bad_value
from seewhy.core.registry import Technique
from seewhy.optim.first_order import OPTIMISERS, Make, Named, Optimizer
from seewhy.optim.newton import Lengths, Newton
from seewhy.optim.newton_search import ARMIJO
from seewhy.optim.quasi_newton import BFGS, DFP, LBFGS

MAX_CG = 30
"""Products with the curvature in a step on a mini-batch, whose curvature is known only roughly."""


def _validate_decay(weight_decay: float) -> None:
    if weight_decay:
        raise bad_value(
            "weight_decay",
            weight_decay,
            "0 for an optimiser that searches along a line",
            "put the penalty into the loss",
        )


def _weights(named: list[Named]) -> list[nn.Parameter]:
    return [parameter for _, parameter in named]


def _newton(named: list[Named], lr: float, weight_decay: float, *, max_cg: int = MAX_CG) -> optim.Optimizer:
    _validate_decay(weight_decay)
    return Newton(_weights(named), lr=lr, damping=None, max_cg=max_cg)


def _damped_newton(
    named: list[Named],
    lr: float,
    weight_decay: float,
    *,
    max_cg: int = MAX_CG,
    line_search: Lengths = "backtracking",
    c1: float = ARMIJO,
) -> optim.Optimizer:
    _validate_decay(weight_decay)
    return Newton(_weights(named), lr=lr, damping="line_search", max_cg=max_cg, line_search=line_search, c1=c1)


def _hessian_free(
    named: list[Named],
    lr: float,
    weight_decay: float,
    *,
    max_cg: int = MAX_CG,
    levenberg: float = 1.0,
    c1: float = ARMIJO,
) -> optim.Optimizer:
    _validate_decay(weight_decay)
    options: dict[str, Any] = {"max_cg": max_cg, "levenberg": levenberg, "c1": c1}
    return Newton(_weights(named), lr=lr, damping="levenberg", curvature="gauss_newton", **options)


def _quasi_newton(kind: Callable[..., optim.Optimizer]) -> Make:
    def make(named: list[Named], lr: float, weight_decay: float, **options: Any) -> optim.Optimizer:
        _validate_decay(weight_decay)
        return kind(_weights(named), lr=lr, max_iter=1, **options)

    return make


OPTIMISERS.add(
    Technique(
        name="newton",
        factory=Optimizer(_newton, closure=True),
        summary="to the minimum of the local parabola",
        formula="solve H d = -g (conjugate gradients beyond 1,000 weights); w <- w + d",
        source="Nocedal & Wright 2006, ch. 3, 7",
        good_for="the last digits near a minimum",
        bad_for="starting far away, saddles: nothing holds it back",
        claims=("C16",),
        qualified_name="seewhy.optim.Newton",
        hyperparameters=("max_cg",),
    )
)
OPTIMISERS.add(
    Technique(
        name="damped_newton",
        factory=Optimizer(_damped_newton, closure=True),
        summary="Newton's direction, with a line search",
        formula="solve H d = -g, |H| where H is indefinite (conjugate gradients beyond 1,000 weights); w <- w + lambda d, "
        "lambda by Armijo's backtracking with c1 = 1e-4, or argmin over lambda of f(w + lambda d)",
        source="Nocedal & Wright 2006, ch. 3, 7; Dauphin et al. 2014, 1406.2572",
        good_for="smooth problems from anywhere; leaves saddles along negative curvature",
        bad_for="small batches; time per image",
        claims=("C16",),
        qualified_name="seewhy.optim.Newton",
        hyperparameters=("max_cg", "line_search", "c1"),
    )
)
OPTIMISERS.add(
    Technique(
        name="hessian_free",
        factory=Optimizer(_hessian_free, closure=True),
        summary="Gauss-Newton curvature, damped as much as the quadratic model was wrong",
        formula="(G + lambda I) d = -g by conjugate gradients; w <- w + alpha d, alpha by backtracking with c1 = 1e-4; "
        "lambda by the reduction ratio",
        source="Martens 2010; Nocedal & Wright 2006, ch. 7",
        good_for="deep narrow networks that first-order methods crawl through",
        bad_for="small batches; time per image",
        claims=("C16",),
        qualified_name="seewhy.optim.Newton",
        hyperparameters=("max_cg", "levenberg", "c1"),
    )
)
OPTIMISERS.add(
    Technique(
        name="dfp",
        factory=Optimizer(_quasi_newton(DFP), closure=True),
        summary="the first quasi-Newton method",
        formula="D <- D + s s'/(s'y) - D y y'D/(y'D y); d = -D g; w <- w + t d, t by strong Wolfe with c1 = 1e-4, c2 = 0.1",
        source="Davidon 1959; Fletcher & Powell 1963",
        good_for="comparison with BFGS",
        bad_for="recovering from a bad D; more than some ten thousand weights",
        claims=("C17",),
        qualified_name="seewhy.optim.DFP",
        hyperparameters=("line_search", "c1", "c2"),
    )
)
OPTIMISERS.add(
    Technique(
        name="bfgs",
        factory=Optimizer(_quasi_newton(BFGS), closure=True),
        summary="estimates the inverse Hessian from gradients",
        formula="D <- (I - s y'/(y's)) D (I - y s'/(y's)) + s s'/(y's); d = -D g; w <- w + t d, t by strong Wolfe with c1 = 1e-4, "
        "c2 = 0.9; D starts as 3 s's/(s'y) I",
        source="Broyden, Fletcher, Goldfarb, Shanno 1970; Al-Baali 1998 (scaling)",
        good_for="smooth problems of up to some ten thousand weights, to high accuracy",
        bad_for="noise; more weights than n^2 numbers have room",
        claims=("C17",),
        qualified_name="seewhy.optim.BFGS",
        hyperparameters=("line_search", "c1", "c2"),
    )
)
OPTIMISERS.add(
    Technique(
        name="lbfgs",
        factory=Optimizer(_quasi_newton(LBFGS), closure=True),
        summary="BFGS from the last m pairs, in O(m n) memory",
        formula="d = -D g, D from the pairs (s, y) in the compact form; gamma = s'y / y'y; w <- w + t d, t by strong Wolfe with "
        "c1 = 1e-4, c2 = 0.9",
        source="Nocedal 1980; Liu & Nocedal 1989; Berahas et al. 2016, 1605.06049 (mini-batches)",
        good_for="full batches or large ones; smooth losses",
        bad_for="small noisy batches, where momentum and Adam are quicker",
        claims=("C18",),
        qualified_name="seewhy.optim.LBFGS",
        hyperparameters=("history", "line_search", "c1", "c2"),
    )
)
