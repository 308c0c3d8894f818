"""Minimise a function of a tensor, as `scipy.optimize.minimize` does, without leaving torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Literal, final, get_args

import torch
from torch import Tensor

from seewhy.core.errors import InputError, bad_value, unknown_name
from seewhy.optim.curvature_evaluation import Curvature, CurvatureEvaluator
from seewhy.optim.flat import ACCEPTED, Flat
from seewhy.optim.newton import Damping, Newton
from seewhy.optim.newton_search import negative_curvature
from seewhy.optim.quasi_newton import BFGS, DFP, LBFGS
from seewhy.optim.status import CODES, MESSAGES, Reason, Result, Status
from seewhy.optim.step_loop import QuasiNewton
from seewhy.optim.step_options import LineSearch, StepOptions
from seewhy.optim.updates import Identity

Method = Literal["bfgs", "dfp", "lbfgs", "newton", "damped_newton", "gradient"]
Callback = Callable[[Tensor, Status], object]

TESTED_UP_TO = 100
"""Numbers of x up to which quasi-Newton methods test the curvature where they end."""

PRODUCTS = 20
"""The most products with the curvature of that test, where x is larger and the start was stationary."""


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

    Success is a small gradient where the curvature is not negative along any direction. Newton's methods always test that, the others up to
    100 numbers and wherever the start itself is stationary, unless f has no second derivatives.

    Args:
        f: a tensor of x0's shape -> a tensor of one number, differentiable by torch and the same function at every call.
        x0: of float32, float64 or bf16, on any device; it is not changed.
        method: "bfgs", "dfp" (matrices, some ten thousand numbers), "lbfgs" (any size), "newton" (undamped), "damped_newton" (line search) or
            "gradient" (steepest descent).
        gtol: success is a gradient whose norm is at most this.
        norm: math.inf for the largest entry, as SciPy has it, or 2. Newton's methods always take 2.
        max_iter: the most iterations; None for 200 times the size of x0, and at least 1000.
        max_eval: the most evaluations of f with its gradient; None for any number.
        callback: called after each iteration with (x, status); the minimisation ends if it returns True or raises StopIteration. If f raises
            or is interrupted, the x that it was given holds the last accepted point.
        options: of the optimiser: `history` and `history_dtype` (lbfgs), `D0` (bfgs, dfp), `lr`, `line_search`, `c1`, `c2`, ...

    Returns:
        The last point, which is the lowest one, with the names of SciPy's result.

    Raises:
        InputError: an argument is out of range, or f does not return one real number that depends on x.
    """
    _validate(x0, method, norm, max_iter, max_eval)
    x = x0.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
    method_norm = 2 if method in ("newton", "damped_newton") else math.inf
    optimizer, closure = _prepare(method, f, x, gtol if method_norm in (2, norm) else 0.0, options)
    limit = max(1000, 200 * x.numel()) if max_iter is None else max_iter
    reason: Reason = "progress"
    while reason == "progress":
        before = optimizer.status
        if max_eval is not None:
            optimizer.param_groups[0]["max_eval"] = max_eval - before.evaluations
        optimizer.step(closure, fresh=False)
        status = optimizer.status
        reason = status.reason
        if isinstance(optimizer, QuasiNewton) and (status.gradient_norm if norm == 2 else status.gradient_max) <= gtol:
            reason = "converged"  # Newton itself decides whether it is a minimum: at a saddle it goes on
        if callback is not None and status.iterations > before.iterations and _stops(callback, x, status):
            reason = "callback"
        elif reason == "progress" and max_eval is not None and status.evaluations >= max_eval:
            reason = "max_eval"
        elif reason == "progress" and status.iterations >= limit:
            reason = "max_iter"
    tests = 0
    if (
        reason == "converged"
        and isinstance(optimizer, QuasiNewton)
        and (max_eval is None or status.evaluations < max_eval)
    ):
        tests, reason = _tested(f, x, status, maximize=optimizer.param_groups[0]["maximize"])
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
        nhev=tests,
    )


def _validate(x0: Tensor, method: str, norm: float, max_iter: int | None, max_eval: int | None) -> None:
    if method not in get_args(Method):
        raise unknown_name("method", method, get_args(Method))
    if norm not in (2, math.inf):
        raise bad_value("norm", norm, "2 or math.inf")
    for name, limit in (("max_iter", max_iter), ("max_eval", max_eval)):
        if limit is not None and limit < 1:
            raise bad_value(name, limit, "at least 1")
    if not isinstance(x0, Tensor):
        raise bad_value("x0", type(x0).__name__, "a torch.Tensor", "write torch.tensor(x0, dtype=torch.float64)")
    if x0.dtype not in ACCEPTED:
        raise bad_value("x0", x0.dtype, "of float32, float64 or bfloat16", "write x0.double()")


def _tested(f: Callable[[Tensor], Tensor], x: Tensor, status: Status, *, maximize: bool) -> tuple[int, Reason]:
    """Return how often f was evaluated to test the curvature at a stationary x, and what the test found."""
    if x.numel() > TESTED_UP_TO and status.iterations:
        return 0, "converged"
    gradient = x.grad
    curvature: Curvature = "exact" if x.numel() <= TESTED_UP_TO else "hessian"
    evaluator = CurvatureEvaluator(lambda: f(x), Flat([x]), curvature, maximize=maximize)
    reason: Reason = "converged"
    try:
        if negative_curvature(evaluator, evaluator.model(), max_cg=PRODUCTS) is not None:
            reason = "stationary"
    except (InputError, RuntimeError, NotImplementedError):  # f has no second derivatives
        pass
    x.grad = gradient
    return evaluator.count, reason


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
        if value.numel() != 1:
            raise InputError(f"f: must return one number, got shape {tuple(value.shape)}; return its mean or sum")
        return value

    def loss_with_gradient() -> Tensor:
        x.grad = None
        return _backward(loss(), x)

    try:
        if method in ("newton", "damped_newton"):
            damping: Damping | None = None if method == "newton" else "line_search"
            return Newton([x], **{"gtol": gtol, "damping": damping, **options}), loss
        kinds: dict[str, Callable[..., QuasiNewton]] = {"bfgs": BFGS, "dfp": DFP, "lbfgs": LBFGS, "gradient": _Descent}
        optimizer = kinds[method]([x], **{"gtol": gtol, "max_iter": 1, **options})
    except TypeError as error:
        raise InputError(f"options: {method} lacks one of {', '.join(options)}: {error}") from error
    return optimizer, loss_with_gradient


def _backward(value: Tensor, x: Tensor) -> Tensor:
    value.backward()  # type: ignore[no-untyped-call]
    if x.grad is None:
        raise InputError(
            "f: must depend on x, got a number that does not; compute it from the tensor that f is called with"
        )
    return value


def _stops(callback: Callback, x: Tensor, status: Status) -> bool:
    try:
        return callback(x.detach(), status) is True
    except StopIteration:
        return True
