"""Minimise a function of a tensor, as `scipy.optimize.minimize` does, without leaving torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Literal, final, get_args

import torch
from torch import Tensor

from seewhy.core.errors import InputError, bad_value, unknown_name
from seewhy.optim.newton import Damping, Newton
from seewhy.optim.quasi_newton import BFGS, DFP, LBFGS
from seewhy.optim.status import CODES, MESSAGES, Reason, Result, Status
from seewhy.optim.step_loop import LineSearch, QuasiNewton, StepOptions
from seewhy.optim.updates import Identity

Method = Literal["bfgs", "dfp", "lbfgs", "newton", "damped_newton", "gradient"]
Callback = Callable[[Tensor, Status], object]


@final
class _Descent(QuasiNewton):
    """Steepest descent: the step loop with D = I."""

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
    ) -> None:
        options = StepOptions(lr, line_search, c1, c2, max_iter, max_eval, gtol, maximize)
        super().__init__(params, options, lambda flat: Identity(flat.n, dtype=flat.dtype, device=flat.device))


def minimize(
    f: Callable[[Tensor], Tensor],
    x0: Tensor,
    method: Method = "bfgs",
    *,
    gtol: float = 1e-5,
    norm: float = math.inf,
    max_iter: int | None = None,
    max_eval: int | None = None,
    callback: Callback | None = None,
    **options: Any,
) -> Result:
    """Find a local minimum of f from x0.

    Args:
        f: a tensor of x0's shape -> a tensor of one number, differentiable by torch and the same function at every call.
        x0: of float32, float64 or bf16, on any device; it is not changed.
        method: "bfgs", "dfp" (matrices, some ten thousand numbers), "lbfgs" (any size), "newton" (undamped), "damped_newton" (line search) or
            "gradient" (steepest descent).
        gtol: success is a gradient whose norm is at most this.
        norm: math.inf for the largest entry, as SciPy has it, or 2. Newton's methods always take 2.
        max_iter: the most iterations; None for 200 times the size of x0, and at least 1000.
        max_eval: the most evaluations of f with its gradient; None for any number.
        callback: called after each iteration with (x, status); the minimisation ends if it returns True or raises StopIteration.
        options: of the optimiser: `history` and `history_dtype` (lbfgs), `D0` (bfgs, dfp), `lr`, `line_search`, ...

    Returns:
        The last point, which is the lowest one, with the names of SciPy's result.

    Raises:
        InputError: an argument is out of range, or f does not return one real number that depends on x.
    """
    if method not in get_args(Method):
        raise unknown_name("method", method, get_args(Method))
    if norm not in (2, math.inf):
        raise bad_value("norm", norm, "2 or math.inf")
    for name, limit in (("max_iter", max_iter), ("max_eval", max_eval)):
        if limit is not None and limit < 1:
            raise bad_value(name, limit, "at least 1")
    x = x0.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
    method_norm = 2 if method in ("newton", "damped_newton") else math.inf
    optimizer, closure = _prepare(method, f, x, gtol if method_norm in (2, norm) else 0.0, options)
    limit = max(1000, 200 * x.numel()) if max_iter is None else max_iter
    reason: Reason = "progress"
    while reason == "progress":
        before = optimizer.status.iterations
        if isinstance(optimizer, QuasiNewton):
            optimizer.param_groups[0]["max_eval"] = (
                None if max_eval is None else max_eval - optimizer.status.evaluations
            )
            optimizer.step(closure, fresh=False)
            size = optimizer.status.gradient_norm if norm == 2 else optimizer.status.gradient_max
            small = size <= gtol
        else:
            optimizer.step(closure)
            small = False  # Newton itself decides whether it is a minimum: at a saddle it goes on
        status = optimizer.status
        reason = "converged" if small else status.reason
        if callback is not None and status.iterations > before and _stops(callback, x, status):
            reason = "callback"
        elif reason == "progress" and max_eval is not None and status.evaluations >= max_eval:
            reason = "max_eval"
        elif reason == "progress" and status.iterations >= limit:
            reason = "max_iter"
    status = optimizer.status
    gradient = torch.zeros_like(x) if x.grad is None else x.grad
    return Result(
        x=x.detach(),
        fun=status.value,
        grad=gradient.detach(),
        nit=status.iterations,
        nfev=status.evaluations,
        success=reason == "converged",
        status=CODES[reason],
        message=MESSAGES[reason],
    )


def _prepare(
    method: Method, f: Callable[[Tensor], Tensor], x: Tensor, gtol: float, options: dict[str, Any]
) -> tuple[QuasiNewton | Newton, Callable[[], Tensor]]:
    """Return the optimiser over x, and its closure."""

    def loss() -> Tensor:
        value = f(x)
        if not isinstance(value, Tensor) or (torch.is_grad_enabled() and not value.requires_grad):
            came = "a tensor without a graph" if isinstance(value, Tensor) else type(value).__name__
            raise InputError(
                f"f: must return one number computed from x with torch, got {came}; leave out .item(), .detach() and NumPy"
            )
        return value

    def loss_with_gradient() -> Tensor:
        x.grad = None
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    try:
        if method in ("newton", "damped_newton"):
            damping: Damping | None = None if method == "newton" else "line_search"
            return Newton([x], **{"gtol": gtol, "damping": damping, **options}), loss
        kinds: dict[str, Callable[..., QuasiNewton]] = {"bfgs": BFGS, "dfp": DFP, "lbfgs": LBFGS, "gradient": _Descent}
        optimizer = kinds[method]([x], **{"gtol": gtol, "max_iter": 1, **options})
    except TypeError as error:
        raise InputError(f"options: {method} lacks one of {', '.join(options)}: {error}") from error
    return optimizer, loss_with_gradient


def _stops(callback: Callback, x: Tensor, status: Status) -> bool:
    try:
        return callback(x.detach(), status) is True
    except StopIteration:
        return True
