"""Newton's and quasi-Newton methods by name, for training loops: one iteration a step.

Their `step` takes a closure (`Optimiser.closure` says so), and has no weight decay of its own: a penalty belongs into the closure's loss, or
line search and step would follow different functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import optim

from seewhy.core.errors import bad_value
from seewhy.core.registry import Technique
from seewhy.optim.first_order import OPTIMISERS, Named, Optimiser
from seewhy.optim.newton import Newton
from seewhy.optim.quasi_newton import BFGS, DFP, LBFGS

MOST_PRODUCTS = 30
"""Products with the curvature in a step on a mini-batch, whose curvature is known only roughly."""


def _make(kind: Callable[..., optim.Optimizer], **options: Any) -> Callable[..., optim.Optimizer]:
    def make(named: list[Named], lr: float, momentum: float, weight_decay: float) -> optim.Optimizer:  # noqa: ARG001
        if weight_decay:
            raise bad_value(
                "optim.weight_decay",
                weight_decay,
                "0 for an optimiser that searches along a line",
                "put the penalty into the loss: reg.l2",
            )
        return kind([parameter for _, parameter in named], lr=lr, **options)

    return make


OPTIMISERS.add(
    Technique(
        name="newton",
        factory=Optimiser(
            _make(Newton, damping=None, max_cg=MOST_PRODUCTS), lr=1.0, closure=True, lives_in="seewhy.optim.Newton"
        ),
        summary="to the minimum of the local parabola",
        formula="solve H d = -g (conjugate gradients beyond 1,000 weights); w <- w + d",
        source="Nocedal & Wright 2006, ch. 3, 7",
        good_for="the last digits near a minimum",
        bad_for="starting far away, saddles: nothing holds it back",
        claims=("C16",),
    )
)
OPTIMISERS.add(
    Technique(
        name="damped_newton",
        factory=Optimiser(
            _make(Newton, damping="levenberg", curvature="gauss_newton", max_cg=MOST_PRODUCTS),
            lr=1.0,
            closure=True,
            lives_in="seewhy.optim.Newton",
        ),
        summary="Hessian-free: Gauss-Newton curvature, damped as much as the model was wrong",
        formula="(G + lambda I) d = -g by conjugate gradients; w <- w + alpha d; lambda by the reduction ratio",
        source="Martens 2010; Nocedal & Wright 2006, ch. 7",
        good_for="deep narrow networks that first-order methods crawl through",
        bad_for="small batches; time per image",
        claims=("C16",),
    )
)
OPTIMISERS.add(
    Technique(
        name="dfp",
        factory=Optimiser(_make(DFP, max_iter=1), lr=1.0, closure=True, lives_in="seewhy.optim.DFP"),
        summary="the first quasi-Newton method",
        formula="D <- D + s s'/(s'y) - D y y'D/(y'D y); d = -D g",
        source="Davidon 1959; Fletcher & Powell 1963",
        good_for="comparison with BFGS",
        bad_for="recovering from a bad D; more than some ten thousand weights",
        claims=("C17",),
    )
)
OPTIMISERS.add(
    Technique(
        name="bfgs",
        factory=Optimiser(_make(BFGS, max_iter=1), lr=1.0, closure=True, lives_in="seewhy.optim.BFGS"),
        summary="learns the inverse Hessian from gradients",
        formula="D <- (I - s y'/(y's)) D (I - y s'/(y's)) + s s'/(y's); d = -D g",
        source="Broyden, Fletcher, Goldfarb, Shanno 1970",
        good_for="smooth problems of up to some ten thousand weights, to high accuracy",
        bad_for="noise; more weights than n^2 numbers have room",
        claims=("C17",),
    )
)
OPTIMISERS.add(
    Technique(
        name="lbfgs",
        factory=Optimiser(_make(LBFGS, max_iter=1), lr=1.0, closure=True, lives_in="seewhy.optim.LBFGS"),
        summary="BFGS from the last m pairs, in O(m n) memory",
        formula="d = -D g, D from the pairs (s, y) in the compact form; gamma = s'y / y'y",
        source="Nocedal 1980; Liu & Nocedal 1989; Berahas et al. 2016, 1605.06049 (mini-batches)",
        good_for="full batches or large ones; smooth losses",
        bad_for="small noisy batches, where momentum and Adam are quicker",
        claims=("C18",),
    )
)
