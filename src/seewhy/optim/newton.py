"""Newton's method: exact for small problems, Hessian-free for networks.

Letters: w parameters (n), f the loss, g its gradient (n), A its curvature (n, n), d the step, m(d) = g'd + d'Ad/2 the model of f(w + d) - f(w),
lambda the damping.

Three choices of A:

    exact          the Hessian, its matrix in memory: n^2 numbers, n^3 operations
    hessian        the Hessian by its products with vectors; A d = -g by conjugate gradients, stopped early
    gauss_newton   the generalised Gauss-Newton matrix J'H_l J by its products: never indefinite for a convex loss of the outputs

Three ways to use it:

    None           w <- w + d with A d = -g: the textbook's method, quadratic near a solution, attracted by saddles, without a safeguard
    line_search    w <- w + alpha d, alpha from Armijo's backtracking; where A is indefinite, |A| takes its place (below)
    levenberg      (A + lambda I) d = -g, then backtracking; lambda follows how well the model predicted: rho = (f(w + d) - f(w)) / m(d),
                   lambda grows where rho < 1/4 and falls where rho > 3/4 (Levenberg 1944; Marquardt 1963; Martens 2010)

|A| has the eigenvectors of A and the absolute eigenvalues: -|A|^-1 g descends, and leaves a saddle along its negative directions at the same
rate at which it approaches along the others (Dauphin et al. 2014, 1406.2572). Conjugate gradients know A in the basis of their
search directions, and do the same there: they end with a step along the first direction of negative curvature. Where the gradient vanishes and
A has a negative eigenvalue, the step follows that curvature alone, with its length searched for in both directions.

The closure is evaluated by `seewhy.optim.curvature_evaluation`; lengths come from `seewhy.optim.newton_search`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Literal, get_args

import torch
from torch import Tensor, optim

from seewhy.core.errors import InputError, bad_value, unknown_name
from seewhy.optim.curvature import absolute_solve, conjugate_gradients
from seewhy.optim.curvature_evaluation import Closure, Curvature, CurvatureEvaluator, LocalModel
from seewhy.optim.flat import Flat
from seewhy.optim.newton_search import adapted, decreases_within_noise, escape, halve, lowest, negative_curvature
from seewhy.optim.status import Reason, Status

Damping = Literal["line_search", "levenberg"]

EXACT_UP_TO = 1000
"""Parameters up to which the exact Hessian is taken by default."""

EXACT_AT_MOST = 10_000
"""Parameters above which it is refused: its matrix and the factor would fill the memory."""

PROGRESS = 5e-4
"""Martens' constant of relative progress."""

FACTOR, FACTOR_EXACT = 1.5, 4.0
"""By which lambda grows and falls: Martens' (2010), and a quicker one where every step is exact."""


class Newton(optim.Optimizer):
    """Newton's method; see the module's text.

    `step` takes a closure that does not call backward, for the curvature is computed from the graph of what it returns:

        exact, hessian      the loss, one number with its graph
        gauss_newton        (loss, outputs), outputs the tensor that the loss was computed from, such as a network's logits

    It is called with gradients at the start of a step and at its end, without gradients in between; within a step it has to give the same
    loss for the same parameters, so a mini-batch stays the same and dropout is off. After the step `.grad` holds the gradient at the parameters
    as the step left them, and `.status` says what was done. A step that finds nothing lower, or NaN, leaves the parameters as they were.

    Args:
        params: parameters of float32, float64 or bf16, in one group.
        lr: length of the first step that is tried, as a multiple of d.
        damping: "line_search", "levenberg" or None.
        curvature: "exact", "hessian" or "gauss_newton"; None is "exact" up to `EXACT_UP_TO` parameters, "hessian" beyond.
        max_cg: the most products of a step.
        levenberg: lambda of the first step.
        gtol: the Euclidean norm of the gradient from which on the parameters count as stationary.
        maximize: ascend; A is then the curvature of -f.

    Raises:
        InputError: a value is out of range, a parameter is sparse, complex or of half precision, or there are several groups.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float = 1.0,
        damping: Damping | None = "line_search",
        curvature: Curvature | None = None,
        max_cg: int = 250,
        levenberg: float = 1.0,
        gtol: float = 1e-7,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, {"lr": lr, "max_cg": max_cg, "gtol": gtol})
        if len(self.param_groups) != 1:
            raise InputError(
                f"params: must be one group, got {len(self.param_groups)}; one curvature holds all parameters together, so give them in one list"
            )
        if damping is not None and damping not in get_args(Damping):
            raise unknown_name("damping", damping, get_args(Damping))
        if curvature is not None and curvature not in get_args(Curvature):
            raise unknown_name("curvature", curvature, get_args(Curvature))
        for name, value, low in (
            ("lr", lr, 0.0),
            ("levenberg", levenberg, 0.0),
            ("max_cg", max_cg, 0.5),
            ("gtol", gtol, -1e-300),
        ):
            if not low < value < math.inf:
                bound = {0.0: "more than 0", 0.5: "at least 1"}.get(low, "at least 0")
                raise bad_value(name, value, f"{bound} and finite")
        self._flat = Flat(self.param_groups[0]["params"])
        self.curvature: Curvature = curvature or ("exact" if self._flat.n <= EXACT_UP_TO else "hessian")
        if self.curvature == "exact" and self._flat.n > EXACT_AT_MOST:
            raise InputError(
                f"curvature: 'exact' holds a matrix of {self._flat.n:,} x {self._flat.n:,} numbers, at most {EXACT_AT_MOST:,} parameters "
                "are allowed; choose 'hessian' or 'gauss_newton'"
            )
        self.damping, self.maximize = damping, maximize
        self.status = Status(math.nan, math.nan, 0, 0, 0.0, "progress")
        self._memory.update(
            {"iterations": 0, "evaluations": 0, "restarts": 0, "damping": float(levenberg), "solution": None}
        )

    @property
    def _memory(self) -> dict[str, Any]:
        memory: dict[str, Any] = self.state[self.param_groups[0]["params"][0]]
        return memory

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        super().load_state_dict(state_dict)
        solution = state_dict["state"][0]["solution"]
        if solution is not None:  # torch rounds it to the parameter's type
            self._memory["solution"] = solution.to(self._flat.device, self._flat.dtype, copy=True)

    @torch.no_grad()
    def step(  # type: ignore[override]
        self, closure: Closure | None = None, on_gradient: Callable[[], object] | None = None
    ) -> Tensor:
        """Take one step and return the loss where it started.

        Args:
            closure: see the class.
            on_gradient: called once, before anything moves, when `.grad` holds the gradient where the step starts.

        Raises:
            InputError: there is no closure, it calls backward, or returns something else than it has to; or float16 autocast is on.
        """
        if closure is None:
            raise InputError(
                "closure: must be given, got None; pass a function that computes the loss and does not call backward"
            )
        self._validate_autocast()
        f = CurvatureEvaluator(closure, self._flat, self.curvature, maximize=self.maximize)
        try:
            return self._step(f, on_gradient)
        finally:
            self._memory["evaluations"] += f.count

    # What follows is in the order of a step: evaluate, choose a direction, search along it, report.

    def _step(self, f: CurvatureEvaluator, on_gradient: Callable[[], object] | None) -> Tensor:
        loss, start = f.model()
        if on_gradient is not None:
            self._flat.assign_grads(f.sign * start.g)
            on_gradient()
        w = self._flat.read(self._flat.empty())
        norm = float(start.g.norm())
        if not start.finite:
            return self._end(f, loss, start, 0.0, "not_finite", w)
        if norm <= self.param_groups[0]["gtol"]:
            length = self._escape(f, w, start)
            return self._end(f, loss, start, length, "progress" if length else "converged", w)
        d, curvature = self._direction(f, w, start, norm)
        if self.damping is None:
            length, reason = self._undamped(f, w, start, d)
        else:
            length, reason = self._search(f, w, start, d, curvature)
        return self._end(f, loss, start, length, reason, w)

    def _validate_autocast(self) -> None:
        kind = self._flat.device.type
        if torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) == torch.float16:
            raise InputError(
                "autocast: must not be float16, whose range the products with curvature leave; use bfloat16, or leave autocast off"
            )

    def _direction(self, f: CurvatureEvaluator, w: Tensor, at: LocalModel, norm: float) -> tuple[Tensor, float]:
        """Return d and d'Ad."""
        lr = float(self.param_groups[0]["lr"])
        if at.matrix is None:
            d, curvature = self._krylov(f, w, at, norm)
            return lr * d, lr * lr * curvature
        if self.damping is None:
            d = lr * torch.linalg.solve_ex(at.matrix, -at.g)[0]
        else:
            d = lr * absolute_solve(at.matrix, at.g, self._memory["damping"] if self.damping == "levenberg" else 0.0)
        return d, float(d @ at.product(d))

    def _krylov(self, f: CurvatureEvaluator, w: Tensor, at: LocalModel, norm: float) -> tuple[Tensor, float]:
        """Return d and d'Ad by conjugate gradients. All products come first: moving the parameters spoils the graph they need."""
        levenberg, memory = self.damping == "levenberg", self._memory
        damping = memory["damping"] if levenberg else 0.0
        solution = conjugate_gradients(
            (lambda v: at.product(v) + damping * v) if levenberg else at.product,
            -at.g,
            max_iter=self.param_groups[0]["max_cg"],
            rtol=0.0 if levenberg else min(0.1, math.sqrt(norm)),
            progress=PROGRESS if levenberg else None,
            start=memory["solution"] if levenberg else None,
        )
        steps = [(x, 2.0 * (q - float(at.g @ x)) - damping * float(x @ x)) for _, x, q in solution.iterates]
        if solution.negative is not None and (self.damping is not None or not steps):
            least = math.sqrt(torch.finfo(at.g.dtype).eps) * float(solution.negative @ solution.negative)
            along = (solution.slope / max(abs(solution.curvature), least)) * solution.negative
            d = -at.g if self.damping is None else solution.x + along
            steps.append((d, float(d @ at.product(d))))
        if not steps:  # the start solved it
            steps = [(solution.x, float(solution.x @ at.product(solution.x)))]
        if not levenberg:
            return steps[-1]
        memory["solution"] = solution.x
        return lowest(f, w, steps)

    def _undamped(self, f: CurvatureEvaluator, w: Tensor, at: LocalModel, d: Tensor) -> tuple[float, Reason]:
        """Take the step as it is; where it does not lead to numbers, as with a singular A, one along the gradient."""
        if bool(d.isfinite().all()) and math.isfinite(f.value(w + d)):
            return 1.0, "progress"
        self._memory["restarts"] += 1
        length, _ = halve(f, w, at, -at.g, -float(at.g @ at.g))
        return (length, "progress") if length else (0.0, "line_search")

    def _search(
        self, f: CurvatureEvaluator, w: Tensor, at: LocalModel, d: Tensor, curvature: float
    ) -> tuple[float, Reason]:
        """Shorten the step until f falls enough; try the gradient once where it does not."""
        for attempt in (d, -at.g):
            slope = float(at.g @ attempt)
            if slope < 0.0:
                if -slope <= at.noise:
                    return (1.0, "progress") if decreases_within_noise(f, w, at, attempt) else (0.0, "precision")
                length, first = halve(f, w, at, attempt, slope)
                if attempt is d and self.damping == "levenberg":
                    predicted = slope + 0.5 * curvature
                    ratio = (first - at.value) / predicted if predicted < 0.0 else math.nan
                    factor = FACTOR_EXACT if at.matrix is not None else FACTOR
                    self._memory["damping"] = adapted(self._memory["damping"], ratio, factor)
                if length:
                    return length, "progress"
                if f.value(w) != at.value:
                    return 0.0, "not_deterministic"
            if attempt is d:
                self._memory["restarts"] += 1
                self._memory["solution"] = None
        return 0.0, "line_search"

    def _escape(self, f: CurvatureEvaluator, w: Tensor, at: LocalModel) -> float:
        """Leave a stationary point along negative curvature; return the length of the step, 0 where there is none."""
        if self.damping is None:
            return 0.0
        direction = negative_curvature(f, at, max_cg=self.param_groups[0]["max_cg"])
        return 0.0 if direction is None else escape(f, w, at, *direction)

    def _end(
        self, f: CurvatureEvaluator, loss: Tensor, at: LocalModel, length: float, reason: Reason, w: Tensor
    ) -> Tensor:
        """Accept the new parameters if f and g are numbers there, else restore the old ones; report."""
        if length:
            arrived, _ = f.call(gradients=True)
            g = f.gradient(arrived)
            if math.isfinite(arrived.item()) and bool(g.isfinite().all()):
                self._memory["iterations"] += 1
                small = float(g.norm()) <= self.param_groups[0]["gtol"]
                # A stationary point may be a saddle: where the curvature can tell, the next step finds out.
                if small and (self.damping is None or self.curvature == "gauss_newton"):
                    reason = "converged"
                self.status = self._report(f, arrived.item(), g, length, reason)
                return loss
            reason = "not_finite"
        self._flat.write(w)
        self._flat.assign_grads(f.sign * at.g)
        self.status = self._report(f, f.sign * at.value, at.g, 0.0, reason)
        return loss

    def _report(self, f: CurvatureEvaluator, value: float, g: Tensor, length: float, reason: Reason) -> Status:
        memory = self._memory
        return Status(
            value=value,
            gradient_norm=float(g.norm()),
            evaluations=memory["evaluations"] + f.count,
            iterations=memory["iterations"],
            step_length=length,
            reason=reason,
            restarts=memory["restarts"],
            gradient_max=float(g.abs().max()),
        )
