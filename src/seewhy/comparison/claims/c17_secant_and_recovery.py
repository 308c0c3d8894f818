"""C17: DFP and BFGS satisfy the secant condition; BFGS recovers from a bad matrix, DFP hardly does."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from seewhy.comparison.claims.base import Claim, Criterion, Measured, paired
from seewhy.comparison.claims.regression import Regression, path
from seewhy.comparison.claims.setting import Setting
from seewhy.core.seeding import rng
from seewhy.reporting.claim_records import Dots

SIDE, PENALTY = 4, 1e-2
TOO_SMALL = 1e-3
"""What the matrix is multiplied by in a quarter of the directions: there it takes the curvature to be a thousand times what it is."""

TARGET = 1e-6
"""A run has arrived where its value is within this of the least one, in nats."""

LOOSE, TIGHT = 0.9, 0.1
"""c2 of the strong Wolfe conditions: the usual one of BFGS, and one whose searches are nearly exact."""


def measure(setting: Setting) -> Measured:
    """Update matrices by pairs of a real run, and count what each method needs from a bad matrix."""
    images, most = setting.amount(500, 100), setting.amount(600, 60)
    residuals = list[float]()
    counts: dict[str, list[int]] = {}
    for seed in range(setting.seeds):
        f = Regression(setting, side=SIDE, images=images, penalty=PENALTY, seed=seed)
        minimum, start = f.minimum(), f.start(seed, 0.1)
        residuals.append(_worst_residual(f, list(path(f, start, "bfgs", max_iter=30))))
        matrices = {"identity": torch.eye(f.n, dtype=start.dtype), "bad": _bad_matrix(f, minimum, seed)}
        for name, method, D0, c2 in (
            ("BFGS from the identity", "bfgs", "identity", LOOSE),
            ("BFGS from a bad matrix", "bfgs", "bad", LOOSE),
            ("DFP from a bad matrix", "dfp", "bad", LOOSE),
            ("BFGS, near-exact search", "bfgs", "bad", TIGHT),
            ("DFP, near-exact search", "dfp", "bad", TIGHT),
        ):
            needed = _evaluations(f, start, float(f(minimum)), method, most, D0=matrices[D0], c2=c2)
            counts.setdefault(name, []).append(needed)
    return Measured(
        criteria=(
            Criterion(
                text="every update of both fulfils D y = s, to rounding",
                measure="largest |D y - s| / |s| over the pairs of a run, float64",
                values=tuple(residuals),
                high=1e-10,
                kind="exact",
            ),
            Criterion(
                text="BFGS gets over a bad matrix as fast as it learns one from nothing",
                measure="evaluations to the target, bad matrix / identity, BFGS",
                values=paired(counts, "BFGS from a bad matrix", "BFGS from the identity"),
                high=1.0,
                kind="ratio",
            ),
            Criterion(
                text="DFP hardly gets over it with the same search",
                measure=f"evaluations to the target (at most about {most}), DFP / BFGS, c2 = {LOOSE}",
                values=paired(counts, "DFP from a bad matrix", "BFGS from a bad matrix"),
                low=3.0,
                kind="ratio",
            ),
            Criterion(
                text="nor with a nearly exact search",
                measure=f"the same, c2 = {TIGHT}",
                values=paired(counts, "DFP, near-exact search", "BFGS, near-exact search"),
                low=3.0,
                kind="ratio",
            ),
        ),
        experiment=f"Softmax regression of {images} training images at {SIDE} x {SIDE} pixels, {f.n} weights, L2 of {PENALTY:g}, float64; "
        f"to within {TARGET:g} nats of the minimum. The bad matrix is the inverse Hessian of the minimum, times {TOO_SMALL:g} along a random "
        "quarter of its eigenvectors.",
        figure=Dots(
            y="evaluations to the target",
            groups={name: tuple(map(float, values)) for name, values in counts.items()},
            log=True,
        ),
    )


def _worst_residual(f: Regression, points: list[Tensor]) -> float:
    """Return the largest |D y - s| / |s| of both updates along the points of a run, each from the matrix that it made itself."""
    from seewhy.optim.updates import bfgs, dfp

    gradients = [torch.func.grad(f)(point) for point in points]
    worst = 0.0
    for update in (bfgs, dfp):
        D = torch.eye(f.n, dtype=points[0].dtype)
        for (w, moved), (g, changed) in zip(pairwise(points), pairwise(gradients), strict=True):
            s, y = moved - w, changed - g
            D = update(D, s, y)
            worst = max(worst, float((D @ y - s).norm() / s.norm()))
    return worst


def _bad_matrix(f: Regression, minimum: Tensor, seed: int) -> Tensor:
    """Return the inverse Hessian with a random quarter of its eigenvalues far too small."""
    from seewhy.optim.curvature import hessian

    curvatures, directions = torch.linalg.eigh(hessian(f, minimum))
    scale = 1.0 / curvatures
    scale[torch.randperm(f.n, generator=rng(seed, "claims", "bad matrix"))[: f.n // 4]] *= TOO_SMALL
    matrix: Tensor = (directions * scale) @ directions.T
    return matrix


def _evaluations(f: Regression, start: Tensor, least: float, method: str, most: int, *, D0: Tensor, c2: float) -> int:
    from seewhy.optim import minimize

    result = minimize(
        f, start, method, D0=D0, c2=c2, gtol=1e-12, max_iter=most,  # type: ignore[arg-type]
        callback=lambda _, status: status.value - least < TARGET,
    )  # fmt: skip
    return result.nfev


CLAIM = Claim(
    code="C17",
    title="The secant condition, and recovery from a bad matrix",
    sentence="DFP and BFGS satisfy the secant condition; BFGS recovers from a bad matrix, DFP hardly does.",
    source="Nocedal & Wright 2006, section 6.1: both satisfy D y = s; BFGS corrects a matrix that misjudges the curvature within a few steps, "
    "if the search is adequate, and DFP is less effective. Powell 1986 explains it on two variables: "
    "DFP needs many steps to shrink large eigenvalues of the Hessian's estimate. "
    "Dixon 1972: with exact searches both go through the same points.",
    measure=measure,
)
