"""BFGS, DFP and L-BFGS as torch optimisers: one step loop (`seewhy.optim.step_loop`), and their memories of curvature."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, final

import torch
from torch import Tensor

from seewhy.core.errors import InputError, bad_value
from seewhy.optim.dense import Dense
from seewhy.optim.flat import Flat
from seewhy.optim.pairs import Pairs
from seewhy.optim.step_loop import QuasiNewton
from seewhy.optim.step_options import LineSearch, StepOptions
from seewhy.optim.updates import Memory, Update, bfgs, dfp

DENSE_LIMIT = 40_000


@final
class BFGS(QuasiNewton):
    """Broyden, Fletcher, Goldfarb and Shanno's method (1970) with D (n, n), for up to some ten thousand parameters.

    D <- (I - s y'/(y's)) D (I - y s'/(y's)) + s s'/(y's). Memory n^2 numbers; a step reads D twice and writes it once.

    Args:
        params: parameters in one group; float32, float64 or bf16 (then D is float32).
        lr: the first t that a search tries.
        line_search: "strong_wolfe", "exact" (argmin over t), "backtracking", "none" (t = lr), or a function that is called as `strong_wolfe` is.
        c1: of the sufficient decrease that a search asks for.
        c2: of the slope that a strong Wolfe search leaves at most, as a share; more than c1.
        max_iter: iterations a step.
        max_eval: evaluations a step; None for any number.
        gtol: the step ends where no entry of the gradient is larger.
        maximize: climb.
        D0: symmetric and positive definite, (n, n), to start from; None for the identity, scaled as `seewhy.optim.dense` says.

    Raises:
        InputError: an option is out of range; several groups with options; parameters that are sparse, complex, fp16, or too many.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float = 1.0,
        line_search: str | LineSearch = "strong_wolfe",
        c1: float = 1e-4,
        c2: float = 0.9,
        max_iter: int = 20,
        max_eval: int | None = None,
        gtol: float = 1e-7,
        maximize: bool = False,
        D0: Tensor | None = None,
    ) -> None:
        options = StepOptions(lr, line_search, c1, c2, max_iter, max_eval, gtol, maximize)
        super().__init__(params, options, lambda flat: _dense(flat, bfgs, D0))


@final
class DFP(QuasiNewton):
    """Davidon's (1959), Fletcher and Powell's (1963) method: as `BFGS`, with D <- D + s s'/(s'y) - D y y'D/(y'D y).

    It recovers much more slowly than BFGS from a bad D, and depends on searches that are nearly exact: c2 is 0.1, and D0 the identity as it is.
    With c2 = 0.9 it solves 23 of 54 test runs, with 0.1 it solves 50 (docs/optimisers.md).
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float = 1.0,
        line_search: str | LineSearch = "strong_wolfe",
        c1: float = 1e-4,
        c2: float = 0.1,
        max_iter: int = 20,
        max_eval: int | None = None,
        gtol: float = 1e-7,
        maximize: bool = False,
        D0: Tensor | None = None,
    ) -> None:
        options = StepOptions(lr, line_search, c1, c2, max_iter, max_eval, gtol, maximize)
        super().__init__(params, options, lambda flat: _dense(flat, dfp, D0))


@final
class LBFGS(QuasiNewton):
    """Limited-memory BFGS (Nocedal 1980; Liu & Nocedal 1989) in the compact form, for any number of parameters.

    Memory 2 m n numbers; a step reads them twice. Options as for `BFGS`, and

    Args:
        params: see `BFGS`.
        lr: see `BFGS`.
        history: m, the most pairs.
        line_search: see `BFGS`.
        c1: see `BFGS`.
        c2: see `BFGS`.
        max_iter: see `BFGS`.
        max_eval: see `BFGS`.
        gtol: see `BFGS`.
        maximize: see `BFGS`.
        history_dtype: of the pairs; None for that of the vectors (float32 for bf16 parameters). torch.float32 halves memory and time in float64.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float = 1.0,
        history: int = 10,
        line_search: str | LineSearch = "strong_wolfe",
        c1: float = 1e-4,
        c2: float = 0.9,
        max_iter: int = 20,
        max_eval: int | None = None,
        gtol: float = 1e-7,
        maximize: bool = False,
        history_dtype: torch.dtype | None = None,
    ) -> None:
        if history < 1:
            raise bad_value("history", history, "at least 1", "10 is usual")
        if history_dtype not in (None, torch.float32, torch.float64):
            raise bad_value("history_dtype", history_dtype, "torch.float32, torch.float64 or None")
        super().__init__(
            params,
            StepOptions(lr, line_search, c1, c2, max_iter, max_eval, gtol, maximize),
            lambda flat: Pairs(history, flat.n, dtype=history_dtype or flat.dtype, device=flat.device),
        )


def _dense(flat: Flat, update: Update, D0: Tensor | None) -> Memory:
    if flat.n > DENSE_LIMIT:
        raise InputError(
            f"params: the matrix of BFGS and DFP holds n^2 numbers, which is for at most {DENSE_LIMIT:,} parameters, got {flat.n:,}; use LBFGS"
        )
    if D0 is not None:
        if D0.shape != (flat.n, flat.n):
            raise bad_value("D0", tuple(D0.shape), f"of shape {(flat.n, flat.n)}")
        D0 = D0.detach().to(dtype=flat.dtype, device=flat.device)
    return Dense(flat.n, update, D0, explores=update is bfgs, dtype=flat.dtype, device=flat.device)
