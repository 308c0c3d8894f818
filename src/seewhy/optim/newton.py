"""Newton's method: exact for small problems, Hessian-free for networks.

Letters: w parameters (n), f the loss, g its gradient (n), A its curvature (n, n), d the step, m(d) = g'd + d'Ad/2 the model of f(w + d) - f(w),
lambda the damping.

Three choices of A:

    exact          the Hessian, its matrix in memory: n^2 numbers, n^3 operations
    hessian        the Hessian by its products with vectors; A d = -g by conjugate gradients, stopped early
    gauss_newton   the generalised Gauss-Newton matrix J'H_l J by its products: never indefinite for a convex loss of the outputs

Three ways to use it:

    None           w <- w + d with A d = -g: the textbook's method, quadratic near a solution, drawn to saddles, without a guard
    line_search    w <- w + alpha d, alpha from Armijo's backtracking; where A is indefinite, |A| takes its place (below)
    levenberg      (A + lambda I) d = -g, then backtracking; lambda follows how well the model foretold: rho = (f(w + d) - f(w)) / m(d),
                   lambda grows where rho < 1/4 and shrinks where rho > 3/4 (Levenberg 1944; Marquardt 1963; Martens 2010)

|A| has the eigenvectors of A and the absolute eigenvalues: -|A|^-1 g descends, and leaves a saddle along its negative directions at the same
rate at which it approaches along the others (Dauphin et al. 2014, 1406.2572). Conjugate gradients see A in the basis of their search
directions, and do the same there: they end with a step along the first direction of negative curvature. Where the gradient vanishes and
A has a negative eigenvalue, the step follows that curvature alone, with its length searched for in both directions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, optim

from seewhy.core.errors import InputError, bad_value, unknown_name
from seewhy.optim.curvature import (
    Product,
    absolute_solve,
    conjugate_gradients,
    gauss_newton_product,
    hessian_matrix,
    hessian_product,
    most_negative,
)
from seewhy.optim.flat import Flat
from seewhy.optim.status import Reason, Status

Curvature = Literal["exact", "hessian", "gauss_newton"]
Damping = Literal["line_search", "levenberg"]
Closure = Callable[[], Tensor | tuple[Tensor, Tensor]]

EXACT_UP_TO = 1000
"""Parameters up to which the exact Hessian is taken by default."""

EXACT_AT_MOST = 10_000
"""Parameters above which it is refused: its matrix and the factor would fill the memory."""

PROGRESS = 5e-4
"""Martens' constant of relative progress."""

FACTOR, FACTOR_EXACT = 1.5, 4.0
"""By which lambda grows and shrinks: Martens' (2010), and a quicker one where every step is exact."""


@dataclass(frozen=True)
class _Point:
    """The objective at a point: f, g (n), A, what rounding may add to f and, for small problems, the matrix of A (n, n)."""

    value: float
    g: Tensor
    product: Product
    noise: float
    matrix: Tensor | None = None

    @property
    def finite(self) -> bool:
        return math.isfinite(self.value) and bool(self.g.isfinite().all())


def adapted(damping: float, ratio: float, factor: float) -> float:
    """Return lambda for the next step: times `factor` where rho < 1/4 or is no number, divided by it where rho > 3/4."""
    if ratio > 0.75:
        return damping / factor
    return damping if ratio >= 0.25 else damping * factor


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
    def step(self, closure: Closure | None = None) -> Tensor:  # type: ignore[override]
        """Take one step and return the loss where it started.

        Args:
            closure: see the class.

        Raises:
            InputError: there is no closure, it calls backward, or returns something else than it has to; or float16 autocast is on.
        """
        if closure is None:
            raise InputError(
                "closure: must be given, got None; pass a function that computes the loss and does not call backward"
            )
        self._refuse_half()
        loss, start = self._curved(closure)
        w = self._flat.read(self._flat.empty())
        norm = float(start.g.norm())
        if not start.finite:
            return self._end(closure, loss, start, 0.0, "not_finite", w)
        if norm <= self.param_groups[0]["gtol"]:
            length = self._escape(closure, w, start)
            return self._end(closure, loss, start, length, "progress" if length else "converged", w)
        d, bend = self._direction(closure, w, start, norm)
        if self.damping is None:
            length, reason = self._plain(closure, w, start, d)
        else:
            length, reason = self._search(closure, w, start, d, bend)
        return self._end(closure, loss, start, length, reason, w)

    # What follows is in the order of a step: evaluate, choose a direction, search along it, report.

    def _refuse_half(self) -> None:
        kind = self._flat.device.type
        if torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) == torch.float16:
            raise InputError(
                "autocast: must not be float16, whose range the products with curvature leave; use bfloat16, or leave autocast off"
            )

    def _call(self, closure: Closure, *, gradients: bool) -> tuple[Tensor, Tensor | None]:
        """Return the loss and, for gauss_newton, the outputs."""
        for tensor in self._flat.tensors:
            tensor.grad = None
        with torch.set_grad_enabled(gradients):
            found = closure()
        self._memory["evaluations"] += 1
        if any(tensor.grad is not None for tensor in self._flat.tensors):
            raise InputError(
                "closure: must not call backward, curvature is computed from the graph of what it returns; only return the loss"
            )
        if self.curvature == "gauss_newton":
            if not isinstance(found, tuple) or len(found) != 2:
                raise InputError(
                    f"closure: must return (loss, outputs) for curvature='gauss_newton', got {type(found).__name__}"
                )
            return found[0], found[1]
        if isinstance(found, tuple):
            raise InputError(f"closure: must return the loss alone for curvature={self.curvature!r}, got a tuple")
        return found, None

    def _curved(self, closure: Closure) -> tuple[Tensor, _Point]:
        """Evaluate f, g and A."""
        loss, outputs = self._call(closure, gradients=True)
        tensors, dtype, sign = self._flat.tensors, self._flat.dtype, -1.0 if self.maximize else 1.0
        matrix = None
        with torch.enable_grad():
            if self.curvature == "exact":
                g, matrix = hessian_matrix(loss, tensors)
                matrix = sign * matrix.to(dtype)
                product: Product = matrix.mv
            else:
                g, raw = (
                    hessian_product(loss, tensors) if outputs is None else gauss_newton_product(loss, outputs, tensors)
                )

                def product(v: Tensor) -> Tensor:
                    return sign * raw(v)

        noise = 4.0 * torch.finfo(loss.dtype).eps * abs(loss.item())
        return loss.detach(), _Point(sign * loss.item(), sign * g.to(dtype), product, noise, matrix)

    def _value(self, closure: Closure, w: Tensor) -> float:
        """Return f at w, where the parameters are left."""
        self._flat.write(w)
        loss, _ = self._call(closure, gradients=False)
        return -loss.item() if self.maximize else loss.item()

    def _direction(self, closure: Closure, w: Tensor, at: _Point, norm: float) -> tuple[Tensor, float]:
        """Return d and d'Ad."""
        lr = float(self.param_groups[0]["lr"])
        if at.matrix is None:
            d, bend = self._krylov(closure, w, at, norm)
            return lr * d, lr * lr * bend
        if self.damping is None:
            d = lr * torch.linalg.solve_ex(at.matrix, -at.g)[0]
        else:
            d = lr * absolute_solve(at.matrix, at.g, self._memory["damping"] if self.damping == "levenberg" else 0.0)
        return d, float(d @ at.product(d))

    def _krylov(self, closure: Closure, w: Tensor, at: _Point, norm: float) -> tuple[Tensor, float]:
        """Return d and d'Ad by conjugate gradients. All products come first: moving the parameters spoils the graph they need."""
        levenberg, memory = self.damping == "levenberg", self._memory
        damping = memory["damping"] if levenberg else 0.0
        found = conjugate_gradients(
            (lambda v: at.product(v) + damping * v) if levenberg else at.product,
            -at.g,
            max_iter=self.param_groups[0]["max_cg"],
            rtol=0.0 if levenberg else min(0.1, math.sqrt(norm)),
            progress=PROGRESS if levenberg else None,
            start=memory["solution"] if levenberg else None,
        )
        ways = [(x, 2.0 * (q - float(at.g @ x)) - damping * float(x @ x)) for _, x, q in found.iterates]
        if found.negative is not None and (self.damping is not None or not ways):
            least = math.sqrt(torch.finfo(at.g.dtype).eps) * float(found.negative @ found.negative)
            d = (
                -at.g
                if self.damping is None
                else found.x + (found.slope / max(abs(found.bend), least)) * found.negative
            )
            ways.append((d, float(d @ at.product(d))))
        if not ways:  # the start solved it
            ways = [(found.x, float(found.x @ at.product(found.x)))]
        if not levenberg:
            return ways[-1]
        memory["solution"] = found.x
        return self._best(closure, w, ways)

    def _best(self, closure: Closure, w: Tensor, ways: list[tuple[Tensor, float]]) -> tuple[Tensor, float]:
        """Return the iterate of conjugate gradients with the lowest f, from the last backwards while f falls (Martens 2010)."""
        best, lowest = ways[-1], self._value(closure, w + ways[-1][0])
        for way in reversed(ways[:-1]):
            value = self._value(closure, w + way[0])
            if not (value < lowest or math.isnan(lowest)):
                break
            best, lowest = way, value
        return best

    def _plain(self, closure: Closure, w: Tensor, at: _Point, d: Tensor) -> tuple[float, Reason]:
        """Take the step as it is; where it does not lead to numbers, as with a singular A, one along the gradient."""
        if bool(d.isfinite().all()) and math.isfinite(self._value(closure, w + d)):
            return 1.0, "progress"
        self._memory["restarts"] += 1
        length, _ = self._halve(closure, w, at, -at.g, -float(at.g @ at.g))
        return (length, "progress") if length else (0.0, "line_search")

    def _search(self, closure: Closure, w: Tensor, at: _Point, d: Tensor, bend: float) -> tuple[float, Reason]:
        """Shorten the step until f falls enough; try the gradient once where it does not."""
        for attempt in (d, -at.g):
            slope = float(at.g @ attempt)
            if slope < 0.0:
                if -slope <= at.noise:
                    return self._blind(closure, w, at, attempt)
                length, first = self._halve(closure, w, at, attempt, slope)
                if attempt is d and self.damping == "levenberg":
                    foretold = slope + 0.5 * bend
                    ratio = (first - at.value) / foretold if foretold < 0.0 else math.nan
                    factor = FACTOR_EXACT if at.matrix is not None else FACTOR
                    self._memory["damping"] = adapted(self._memory["damping"], ratio, factor)
                if length:
                    return length, "progress"
                if self._value(closure, w) != at.value:
                    return 0.0, "not_deterministic"
            if attempt is d:
                self._memory["restarts"] += 1
                self._memory["solution"] = None
        return 0.0, "line_search"

    def _halve(self, closure: Closure, w: Tensor, at: _Point, d: Tensor, slope: float) -> tuple[float, float]:
        """Return the first of 1, 1/2, 1/4, ... that meets Armijo's condition, or 0, and f of the whole step.

        A parabola through the values, as in `line_search.backtracking`, shortens more than halving where the model was a parabola that failed.
        """
        t, first = 1.0, math.nan
        for attempt in range(40):
            value = self._value(closure, w + t * d)
            first = value if attempt == 0 else first
            if math.isfinite(value) and value <= at.value + 1e-4 * t * slope:
                return t, first
            t *= 0.5
        return 0.0, first

    def _blind(self, closure: Closure, w: Tensor, at: _Point, d: Tensor) -> tuple[float, Reason]:
        """Take a step whose decrease rounding hides, if the gradient shrinks."""
        self._flat.write(w + d)
        loss, _ = self._call(closure, gradients=True)
        value = -loss.item() if self.maximize else loss.item()
        if value <= at.value + at.noise and float(self._gradient(loss).norm()) < float(at.g.norm()):
            return 1.0, "progress"
        return 0.0, "precision"

    def _escape(self, closure: Closure, w: Tensor, at: _Point) -> float:
        """Leave a stationary point along negative curvature; return the length of the step, 0 where there is none."""
        found = self._negative(at) if self.damping is not None else None
        if found is None:
            return 0.0
        d, bend = found
        if float(at.g @ d) > 0.0:
            d = -d
        t, value = 1.0, self._value(closure, w + d)
        while not value < at.value + 0.25 * bend * t * t:
            t *= 0.5
            if t < 1e-12:
                self._flat.write(w)
                return 0.0
            value = self._value(closure, w + t * d)
        while t < 1024.0:
            further = self._value(closure, w + 2.0 * t * d)
            if not (math.isfinite(further) and further < value):
                break
            t, value = 2.0 * t, further
        self._flat.write(w + t * d)
        return t

    def _negative(self, at: _Point) -> tuple[Tensor, float] | None:
        """Return a unit direction of negative curvature and d'Ad, or None where A is positive semidefinite."""
        if self.curvature == "gauss_newton":
            return None
        if at.matrix is None:
            return most_negative(at.product, at.g, max_iter=self.param_groups[0]["max_cg"])
        values, vectors = torch.linalg.eigh(at.matrix)
        threshold = math.sqrt(torch.finfo(values.dtype).eps) * float(values.abs().max())
        return (vectors[:, 0], float(values[0])) if float(values[0]) < -threshold else None

    def _gradient(self, loss: Tensor) -> Tensor:
        """Return the loss's gradient (n), and leave it in `.grad`."""
        found = torch.autograd.grad(loss, self._flat.tensors, materialize_grads=True)
        for tensor, gradient in zip(self._flat.tensors, found, strict=True):
            tensor.grad = gradient
        return self._flat.gather_grads(self._flat.empty())

    def _end(self, closure: Closure, loss: Tensor, at: _Point, length: float, reason: Reason, w: Tensor) -> Tensor:
        """Keep the new parameters if f and g are numbers there, else the old ones; report."""
        memory, sign = self._memory, -1.0 if self.maximize else 1.0
        if length:
            arrived, _ = self._call(closure, gradients=True)
            g = self._gradient(arrived)
            if math.isfinite(arrived.item()) and bool(g.isfinite().all()):
                memory["iterations"] += 1
                small = float(g.norm()) <= self.param_groups[0]["gtol"]
                # A stationary point may be a saddle: where the curvature can tell, the next step looks.
                if small and (self.damping is None or self.curvature == "gauss_newton"):
                    reason = "converged"
                self.status = self._report(arrived.item(), g, length, reason)
                return loss
            reason = "not_finite"
        self._flat.write(w)
        for tensor, part in zip(self._flat.tensors, self._flat.parts(sign * at.g), strict=True):
            tensor.grad = part.to(tensor.dtype)
        self.status = self._report(sign * at.value, at.g, 0.0, reason)
        return loss

    def _report(self, value: float, g: Tensor, length: float, reason: Reason) -> Status:
        memory = self._memory
        return Status(
            value=value,
            gradient_norm=float(g.norm()),
            evaluations=memory["evaluations"],
            iterations=memory["iterations"],
            step_length=length,
            reason=reason,
            restarts=memory["restarts"],
            gradient_max=float(g.abs().max()),
        )
