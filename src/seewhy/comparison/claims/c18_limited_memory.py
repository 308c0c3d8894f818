"""C18: L-BFGS with m = 5..20 comes close to BFGS at O(m D) memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seewhy.comparison.claims.base import Claim, Criterion, Measured, paired
from seewhy.comparison.claims.layers import band
from seewhy.comparison.claims.regression import Regression
from seewhy.comparison.claims.setting import Setting
from seewhy.reporting.claim_records import Lines

HISTORIES = (2, 5, 10, 20, 40)
CLAIMED = (5, 10, 20)
PENALTY, TARGET = 1e-3, 1e-6
CLOSE = 2.0
"""At most so many times the evaluations of BFGS count as close."""


def measure(setting: Setting) -> Measured:
    """Count evaluations to the minimum for several m, and the numbers that each optimiser keeps."""
    images = setting.amount(500, 100)
    counts: dict[str, list[int]] = {}
    kept: dict[int, list[float]] = {m: [] for m in CLAIMED}
    share = list[float]()
    for seed in range(setting.seeds):
        f = Regression(setting, side=8, images=images, penalty=PENALTY, seed=seed)
        least = _minimise(f, torch.zeros(f.n, dtype=torch.float64), "bfgs", -1.0).fun
        start = f.start(seed, 0.1)
        counts.setdefault("BFGS", []).append(_minimise(f, start, "bfgs", least).nfev)
        counts.setdefault("steepest descent", []).append(_minimise(f, start, "gradient", least).nfev)
        for m in HISTORIES:
            counts.setdefault(f"m = {m}", []).append(_minimise(f, start, "lbfgs", least, history=m).nfev)
        numbers = {m: _numbers(f, start, "lbfgs", history=m) for m in CLAIMED}
        for m in CLAIMED:
            kept[m].append(numbers[m] / (m * f.n))
        share.append(numbers[max(CLAIMED)] / _numbers(f, start, "bfgs"))
    ratios = {m: paired(counts, f"m = {m}", "BFGS") for m in HISTORIES}
    by_seed = [[ratios[m][seed] for m in HISTORIES] for seed in range(setting.seeds)]
    return Measured(
        criteria=(
            *(
                Criterion(
                    text=f"with m = {m} it needs at most twice the evaluations of BFGS",
                    measure=f"evaluations to within {TARGET:g} nats of the minimum, L-BFGS with m = {m} / BFGS",
                    values=ratios[m],
                    high=CLOSE,
                    kind="ratio",
                )
                for m in CLAIMED
            ),
            Criterion(
                text="its memory is 2 m D numbers and a little more",
                measure=f"numbers that the optimiser keeps / (m D), the worst of m = {', '.join(map(str, CLAIMED))}",
                values=tuple(map(max, zip(*kept.values(), strict=True))),
                high=3.0,
                kind="exact",
            ),
        ),
        experiment=f"Softmax regression of {images} training images at 8 x 8 pixels, {f.n} weights, L2 of {PENALTY:g}, float64, "
        "strong Wolfe searches.",
        figure=Lines(
            x="m, pairs kept",
            y="evaluations / those of BFGS",
            lines={"L-BFGS": band(by_seed, HISTORIES)},
            log_x=True,
        ),
        remarks=(
            (f"memory with m = {max(CLAIMED)} / BFGS", f"{sum(share) / len(share):.3g} at D = {f.n}"),
            (
                "steepest descent / BFGS",
                f"{sum(paired(counts, 'steepest descent', 'BFGS')) / setting.seeds:.3g} times the evaluations",
            ),
        ),
    )


def _minimise(f: Regression, start: Tensor, method: str, least: float, **options: Any) -> Any:
    from seewhy.optim import minimize

    return minimize(
        f, start, method, gtol=1e-9, max_iter=1000,  # type: ignore[arg-type]
        callback=lambda _, status: status.value - least < TARGET, **options,
    )  # fmt: skip


def _numbers(f: Regression, start: Tensor, name: str, **options: Any) -> int:
    """Return how many numbers an optimiser keeps between steps, once its memory is full."""
    from seewhy.optim import build

    w = nn.Parameter(start.clone())
    optimizer = build(name, [("w", w)], lr=None, **options)

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = f(w)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    for _ in range(2 * max(CLAIMED)):
        optimizer.step(closure)  # type: ignore[arg-type]
    return _size(optimizer.state_dict()["quasi_newton"])


def _size(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.numel()
    if isinstance(value, dict):
        return sum(map(_size, value.values()))
    return sum(map(_size, value)) if isinstance(value, list | tuple) else 0


CLAIM = Claim(
    code="C18",
    title="L-BFGS comes close to BFGS",
    sentence="L-BFGS with m = 5 to 20 comes close to BFGS at O(m D) memory.",
    source="Nocedal 1980 keeps the last m pairs in place of the matrix: 2 m D numbers instead of D^2 / 2. "
    "Liu & Nocedal 1989 find m from 3 to 7 enough on large problems, and little gained by more; "
    "Nocedal & Wright 2006, section 7.2, say 3 to 20.",
    measure=measure,
)
