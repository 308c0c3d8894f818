"""Newton's method: exact for small problems, Hessian-free for networks.

Letters: w parameters (n), f the loss, g its gradient (n), A its curvature (n, n), d the step, m(d) = g'd + d'Ad/2 the model of f(w + d) - f(w),
lambda the damping.

Three choices of A:

    exact          the Hessian, its matrix in memory: n^2 numbers, n^3 operations
    hessian        the Hessian by its products with vectors; A d = -g by conjugate gradients, stopped early
    gauss_newton   the generalised Gauss-Newton matrix J'H_l J by its products: never indefinite for a convex loss of the outputs

Three ways to use it:

    None           w <- w + d with A d = -g: the textbook's method, quadratic near a solution, attracted by saddles, without a safeguard
    line_search    w <- w + alpha d, alpha from Armijo's backtracking, or argmin; where A is indefinite, |A| takes its place (below)
    levenberg      (A + lambda I) d = -g, then backtracking; lambda follows how well the model predicted: rho = (f(w + d) - f(w)) / m(d),
                   lambda grows where rho < 1/4 and falls where rho > 3/4 (Levenberg 1944; Marquardt 1963; Martens 2010)

|A| has the eigenvectors of A and the absolute eigenvalues: -|A|^-1 g descends, and leaves a saddle along its negative directions at the same
rate at which it approaches along the others (Dauphin et al. 2014, 1406.2572). Conjugate gradients know A in the basis of their
search directions, and do the same there: they end with a step along the first direction of negative curvature. Where the gradient vanishes and
A has a negative eigenvalue, the step follows that curvature alone, with its length searched for in both directions.

Where the plain method ends at a maximum or a saddle, its status says "stationary".

The closure is evaluated by `seewhy.optim.curvature_evaluation`; lengths come from `seewhy.optim.newton_search`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Any, Literal, get_args

import torch
from torch import Tensor, optim

from seewhy.core.errors import InputError, bad_value, unknown_name
from seewhy.optim.curvature import absolute_solve, conjugate_gradients
from seewhy.optim.curvature_evaluation import Closure, Curvature, CurvatureEvaluator, Evaluation, LocalModel
from seewhy.optim.evaluation import Exhausted, validate_step
from seewhy.optim.flat import Flat
from seewhy.optim.newton_search import (
    ARMIJO,
    Along,
    adapted,
    decreases_within_noise,
    escape,
    halve,
    lowest,
    minimise_along,
    negative_curvature,
)
from seewhy.optim.noise import Noise
from seewhy.optim.status import Reason, Status

Damping = Literal["line_search", "levenberg"]
Lengths = Literal["backtracking", "exact"]

EXACT_UP_TO = 1000
"""Parameters up to which the exact Hessian is taken by default."""

EXACT_AT_MOST = 10_000
"""Parameters above which it is refused: its matrix and the factor would fill the memory."""

PROGRESS = 5e-4
"""Martens' constant of relative progress."""

LASTING = ("_flat", "curvature", "damping", "maximize", "status")
"""What a copy of an optimiser takes along, beside what torch's own copies do."""

FACTOR, FACTOR_EXACT = 1.5, 4.0
"""By which lambda grows and falls: Martens' (2010), and a quicker one where every step is exact."""


class Newton(optim.Optimizer):
    """Newton's method; see the module's text.

    `step` takes a closure that does not call backward, for the curvature is computed from the graph of what it returns:

        exact, hessian      the loss, one number with its graph
        gauss_newton        (loss, outputs), outputs the tensor that the loss was computed from, such as a network's logits

    It is called once at each point that is tried; within a step it has to give the same loss for the same parameters, so a mini-batch stays the
    same and dropout is off. After the step `.grad` holds the gradient at the parameters as the step left them, and `.status` says what was done.
    A step that finds nothing lower, or NaN, or whose closure raises, leaves the parameters as they were.

    Args:
        params: parameters of float32, float64 or bf16, in one group.
        lr: length of the first step that is tried, as a multiple of d.
        damping: "line_search", "levenberg" or None.
        curvature: "exact", "hessian" or "gauss_newton"; None is "exact" up to `EXACT_UP_TO` parameters, "hessian" beyond.
        max_cg: the most products of a step.
        levenberg: lambda of the first step.
        line_search: "backtracking" or, for damping="line_search" alone, "exact": argmin over alpha of f(w + alpha d).
        c1: of the sufficient decrease that backtracking asks for.
        max_eval: evaluations a step; None for any number.
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
        line_search: Lengths = "backtracking",
        c1: float = ARMIJO,
        max_eval: int | None = None,
        gtol: float = 1e-7,
        maximize: bool = False,
    ) -> None:
        search = {"line_search": line_search, "c1": c1, "max_eval": max_eval}
        super().__init__(params, {"lr": lr, "max_cg": max_cg, "gtol": gtol, **search})
        if len(self.param_groups) != 1:
            raise InputError(
                f"params: must be one group, got {len(self.param_groups)}; one curvature holds all parameters together, so give them in one list"
            )
        for name, word, words in (
            ("damping", damping, get_args(Damping)),
            ("curvature", curvature, get_args(Curvature)),
            ("line_search", line_search, get_args(Lengths)),
        ):
            if word is not None and word not in words:
                raise unknown_name(name, word, words)
        if line_search == "exact" and damping != "line_search":
            raise bad_value("line_search", line_search, f"'backtracking' with damping={damping!r}")
        for name, value, low in (
            ("lr", lr, 0.0),
            ("levenberg", levenberg, 0.0),
            ("c1", c1, 0.0),
            ("max_cg", max_cg, 0.5),
            ("max_eval", 1 if max_eval is None else max_eval, 0.5),
            ("gtol", gtol, -1e-300),
        ):
            if not low < value < (1.0 if name == "c1" else math.inf):
                bound = {0.0: "more than 0", 0.5: "at least 1"}.get(low, "at least 0")
                raise bad_value(name, value, f"{bound} and {'less than 1' if name == 'c1' else 'finite'}")
        self._flat = Flat(self.param_groups[0]["params"])
        self.curvature: Curvature = curvature or ("exact" if self._flat.n <= EXACT_UP_TO else "hessian")
        if self.curvature == "exact" and self._flat.n > EXACT_AT_MOST:
            raise InputError(
                f"curvature: 'exact' holds a matrix of {self._flat.n:,} x {self._flat.n:,} numbers, at most {EXACT_AT_MOST:,} parameters "
                "are allowed; choose 'hessian' or 'gauss_newton'"
            )
        self.damping, self.maximize = damping, maximize
        self._arrived: tuple[Tensor, Evaluation] | None = None
        self.status = Status(math.nan, math.nan, 0, 0, 0.0, "progress")
        self._memory.update(
            {"iterations": 0, "evaluations": 0, "restarts": 0, "damping": float(levenberg), "solution": None}
        )
        self._memory["noise"] = Noise().state()

    _step_supports_amp_scaling = True  # it supports none: torch.amp.GradScaler.step then reaches `step`, which says so

    def __getstate__(self) -> dict[str, Any]:
        """Return all that a copy, a pickle or torch.save needs."""
        return {**super().__getstate__(), **{name: getattr(self, name) for name in LASTING}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over what `__getstate__` returned."""
        super().__setstate__(state)
        self._arrived = None

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
        self, closure: Closure | None = None, on_gradient: Callable[[], object] | None = None, *, fresh: bool = True
    ) -> Tensor:
        """Take one step and return the loss where it started.

        Args:
            closure: see the class.
            on_gradient: called once, before anything moves, when `.grad` holds the gradient where the step starts.
            fresh: evaluate at the start. False takes the evaluation that the last step ended with, if the parameters are still those, and
                keeps its graph in memory until then; right only where the closure is the same function as then.

        Raises:
            InputError: there is no closure, it calls backward, or returns something else than it has to; or float16 autocast is on, or a
                GradScaler is used.
        """
        validate_step(self, closure)
        assert closure is not None, "validated"
        self._validate_autocast()
        f = CurvatureEvaluator(closure, self._flat, self.curvature, maximize=self.maximize)
        f.limit = self.param_groups[0]["max_eval"] or math.inf
        f.noise = Noise(**self._memory["noise"])
        w = self._flat.read(self._flat.empty())
        if not fresh and self._arrived is not None and torch.equal(self._arrived[0], w):
            f.last = self._arrived[1]
        self._arrived = None
        try:
            random = fresh and self.damping is not None and self._is_random(f, w)
            loss = self._step(f, w, on_gradient, random=random)
        except BaseException:
            self._flat.write(w)
            raise
        finally:
            self._memory["evaluations"] += f.count
            self._memory["noise"] = f.noise.state()
        if not fresh and f.last is not None:
            self._arrived = self._flat.read(w), f.last
        return loss

    # What follows is in the order of a step: evaluate, choose a direction, search along it, report.

    def _is_random(self, f: CurvatureEvaluator, w: Tensor) -> bool:
        """Return whether the closure gives another value the second time, at the first step: a search would not always find out."""
        if self._memory["evaluations"] or f.limit < 2:
            return False
        value = f.sign * f.here().loss.item()
        return math.isfinite(value) and f.compare(w, value) == "random"

    def _step(
        self, f: CurvatureEvaluator, w: Tensor, on_gradient: Callable[[], object] | None, *, random: bool
    ) -> Tensor:
        start = f.model()
        loss = f.here().loss.detach()
        if on_gradient is not None:
            self._flat.assign_grads(f.sign * start.g)
            on_gradient()
        if random or not start.finite:
            return self._end(f, loss, start, 0.0, "not_deterministic" if random else "not_finite", w)
        try:
            if float(start.g.norm()) <= self.param_groups[0]["gtol"]:
                length, reason = self._escape(f, w, start)
            else:
                along = self._direction(f, w, start, float(start.g.norm()))
                search = self._undamped if self.damping is None else self._search
                length, reason = search(f, w, start, along)
            return self._end(f, loss, start, length, reason, w)
        except Exhausted:
            return self._end(f, loss, start, 0.0, "max_eval", w)

    def _validate_autocast(self) -> None:
        kind = self._flat.device.type
        if torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) == torch.float16:
            raise InputError(
                "autocast: must not be float16, whose range the products with curvature leave; use bfloat16, or leave autocast off"
            )

    def _direction(self, f: CurvatureEvaluator, w: Tensor, at: LocalModel, norm: float) -> Along:
        """Return d and d'Ad."""
        lr = float(self.param_groups[0]["lr"])
        if at.matrix is None:
            d, curvature, value = self._krylov(f, w, at, norm)
            return Along(lr * d, lr * lr * curvature, value if lr == 1.0 else None)
        if self.damping is None:
            d = lr * torch.linalg.solve_ex(at.matrix, -at.g)[0]
        else:
            d = lr * absolute_solve(at.matrix, at.g, self._memory["damping"] if self.damping == "levenberg" else 0.0)
        return Along(d, float(d @ at.product(d)))

    def _krylov(self, f: CurvatureEvaluator, w: Tensor, at: LocalModel, norm: float) -> Along:
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
            return Along(*steps[-1])
        memory["solution"] = solution.x
        return lowest(f, w, steps)

    def _undamped(self, f: CurvatureEvaluator, w: Tensor, at: LocalModel, along: Along) -> tuple[float, Reason]:
        """Take the step as it is; where it does not lead to numbers, as with a singular A, one along the gradient."""
        if bool(along.d.isfinite().all()) and math.isfinite(f.trial(w + along.d)):
            return 1.0, "progress"
        self._memory["restarts"] += 1
        length, _ = halve(f, w, at, Along(-at.g, 0.0), -float(at.g @ at.g), c1=self.param_groups[0]["c1"])
        return (length, "progress") if length else (0.0, "line_search")

    def _search(self, f: CurvatureEvaluator, w: Tensor, at: LocalModel, along: Along) -> tuple[float, Reason]:
        """Shorten the step until f falls enough; try the gradient once where it does not."""
        attempts = [along, Along(-at.g, 0.0 if at.matrix is None else float(at.g @ at.product(at.g)))]
        while attempts:
            attempt = attempts[0]
            slope = float(at.g @ attempt.d)
            if slope < 0.0:
                if -slope <= at.noise:
                    return (1.0, "progress") if decreases_within_noise(f, w, at, attempt.d) else (0.0, "precision")
                length = self._length(f, w, at, attempt, slope, first=attempt is along)
                if length:
                    return length, "progress"
                verdict = f.compare(w, at.value)
                if verdict == "random":
                    return 0.0, "not_deterministic"
                if verdict == "noisy":  # once more, with the noise that is known now
                    at = dataclasses.replace(at, noise=f.noise.level)
                    continue
            if attempt is along:
                self._memory["restarts"] += 1
                self._memory["solution"] = None
            attempts.pop(0)
        return 0.0, "line_search"

    def _length(
        self, f: CurvatureEvaluator, w: Tensor, at: LocalModel, along: Along, slope: float, *, first: bool
    ) -> float:
        """Return how far to go, 0 where f does not fall, and adapt the damping to how well the model predicted the whole step."""
        if self.param_groups[0]["line_search"] == "exact":
            return minimise_along(f, w, at, along, slope)
        length, whole = halve(f, w, at, along, slope, c1=self.param_groups[0]["c1"])
        if first and self.damping == "levenberg":
            predicted = slope + 0.5 * along.curvature
            ratio = (whole - at.value) / predicted if predicted < 0.0 else math.nan
            factor = FACTOR_EXACT if at.matrix is not None else FACTOR
            self._memory["damping"] = adapted(self._memory["damping"], ratio, factor)
        return length

    def _escape(self, f: CurvatureEvaluator, w: Tensor, at: LocalModel) -> tuple[float, Reason]:
        """Leave a stationary point along negative curvature, unless the method is the plain one; return the length of the step."""
        direction = negative_curvature(f, at, max_cg=self.param_groups[0]["max_cg"])
        if direction is None:
            return 0.0, "converged"
        length = 0.0 if self.damping is None else escape(f, w, at, *direction)
        return length, "progress" if length else "stationary"

    def _end(
        self, f: CurvatureEvaluator, loss: Tensor, at: LocalModel, length: float, reason: Reason, w: Tensor
    ) -> Tensor:
        """Accept the new parameters if f and g are numbers there, else restore the old ones; report."""
        if length:
            arrived = f.here().loss.item()
            g = f.gradient()
            if math.isfinite(arrived) and bool(g.isfinite().all()):
                self._memory["iterations"] += 1
                # A stationary point may be a saddle: a guarded method finds out in its next step, and leaves it.
                if float(g.norm()) <= self.param_groups[0]["gtol"]:
                    if self.curvature == "gauss_newton":
                        reason = "converged"
                    elif self.damping is None:
                        _, reason = self._escape(f, w, f.model())
                self.status = self._report(f, arrived, g, length, reason)
                return loss
            reason = "not_finite"
        f.move(w)
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
