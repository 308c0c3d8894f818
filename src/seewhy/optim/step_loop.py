"""The step loop of quasi-Newton methods, whatever their memory of curvature is.

An iteration at w with gradient g: d = -D g; a line search finds t; w <- w + t d; the pair s = t d, y = g(w + t d) - g(w) updates D
(`seewhy.optim.updates`). While there is no pair D = I, and the first step is tried with length lr min(|g|, 1).

**One function.** A line search compares values, so the closure must be the same function throughout a `step`: the whole data, or one batch held
fixed, with the same masks of dropout. The function may be accumulated over batches inside the closure; nothing here needs it in one graph.

**Mini-batches.** The noise between two batches would drown y. `step(closure, overlap)` takes d from the closure's batch, and both ends of the
search and of the pair from `overlap`, a closure over some samples that this batch shares with the next (Berahas, Nocedal & Takac 2016,
1605.06049). Pairs are then damped. `line_search="none"` goes lr d without a search.

**When something goes wrong.** A limited memory is cleared by a direction that is orthogonal to the gradient but for rounding: it is cheap
to rebuild, and steepest descent then does better (Zoutendijk's condition; L-BFGS-B does so where its factorisation fails). A search without a
lower value is repeated once along the gradient, with the memory cleared. If that fails too, the parameters are restored to the last accepted
point, and `status` says why; so they are when the closure raises, or is interrupted. A value or gradient that is not finite counts as too far.
A closure whose values differ a little between calls is searched down to its noise (`seewhy.optim.noise`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from seewhy.core.errors import InputError
from seewhy.optim.evaluation import Closure, Evaluator, Exhausted, Point, validate_autocast, validate_step
from seewhy.optim.flat import Flat, one_group
from seewhy.optim.line_search import Search
from seewhy.optim.noise import Noise
from seewhy.optim.status import Reason, Status
from seewhy.optim.step_options import LINE_SEARCHES, Counts, Line, StepOptions, search_along
from seewhy.optim.updates import Change, Memory, damped, damping
from seewhy.optim.vectors import EMPTY, subtract

CURVATURE = 1e-8
"""A pair counts if s'y > CURVATURE s'Bs; the first one, whose B = I has no scale, if the slope changed by that share."""
DAMPING = 0.2
"""Damped pairs have s'y >= DAMPING s'Bs."""
ANGLE = 5e-8
"""A direction whose cosine with -g is smaller clears a limited memory: the root of the noise, 10 eps in float64."""
SEARCH_EVALUATIONS = 20
FURTHER = 2.02
"""An exploring memory's first t is at most FURTHER times the one that would repeat the last decrease on a parabola (as in SciPy's BFGS)."""

LASTING = (
    "_closed",
    "_flat",
    "_memory",
    "_here",
    "_there",
    "_counts",
    "_known",
    "_predicted",
    "_decrease",
    "_evaluate",
    "status",
)
"""What a copy of an optimiser takes along, beside what torch's own copies do."""


class QuasiNewton(torch.optim.Optimizer):
    """The step loop. `BFGS`, `DFP` and `LBFGS` give it a memory."""

    _step_supports_amp_scaling = True  # it supports none: torch.amp.GradScaler.step then reaches `step`, which says so

    def __init__(self, params: Iterable[Any], options: StepOptions, make: Callable[[Flat], Memory]) -> None:
        self._closed = False
        super().__init__(one_group(params), dict(vars(options)))
        self._closed = True
        self._flat = Flat(self.param_groups[0]["params"])
        self._memory = make(self._flat)
        empty = self._flat.empty
        self._here, self._there = Point(empty(), empty()), Point(empty(), empty())
        self._d, self._tried = self._here.g, math.nan
        self._counts = Counts()
        self._known, self._predicted, self._decrease = False, 0.0, 0.0
        self._reached, self._updating = False, False
        self._evaluate = Evaluator(self._flat, maximize=options.maximize)
        self.status = Status(math.nan, math.nan, 0, 0, 0.0, "progress")

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Refuse a second group: a step moves all parameters along one direction.

        Raises:
            InputError: always, after construction.
        """
        if self._closed:
            raise InputError(
                f"params: {type(self).__name__} moves all parameters together, got a second group; "
                "make a new optimiser over all of them"
            )
        super().add_param_group(param_group)

    @torch.no_grad()
    def step(  # type: ignore[override]
        self,
        closure: Closure | None = None,
        overlap: Closure | None = None,
        on_gradient: Callable[[], object] | None = None,
        *,
        fresh: bool = True,
    ) -> Tensor:
        """Make up to `max_iter` iterations (one, if an overlap is given).

        Args:
            closure: clears the gradients, computes the loss, calls backward and returns the loss, as for `torch.optim.LBFGS`.
            overlap: the same for samples that this batch shares with the next; None where the closure is one function.
            on_gradient: called once, before anything moves, when `.grad` holds the gradient of the closure where the step starts.
            fresh: evaluate at the start. False takes the value and gradient that the last step ended with, if the parameters are still
                those; right only where the closure is the same function as then.

        Returns:
            The loss where the step began.

        Raises:
            InputError: there is no closure, it leaves no gradient, its loss is not one real number, it runs in fp16 autocast or with a
                GradScaler, or a gradient is sparse.
        """
        validate_step(self, closure, overlap)
        assert closure is not None, "validated"
        validate_autocast(self._flat.device)
        most = self.param_groups[0]["max_eval"]
        self._evaluate.limit = math.inf if most is None else self._evaluate.count + most
        self._reached = False
        try:
            return self._step(closure, overlap, on_gradient, fresh=fresh)
        except BaseException:
            self._abandon()
            raise

    def _step(
        self, closure: Closure, overlap: Closure | None, on_gradient: Callable[[], object] | None, *, fresh: bool
    ) -> Tensor:
        group = self.param_groups[0]
        check = fresh and group["line_search"] != "none" and overlap is None
        reason = self._begin(closure, on_gradient, check=check, fresh=fresh)
        began = torch.tensor(self._evaluate.sign * self._here.value, dtype=self._flat.dtype)
        length = 0.0
        for _ in range(1 if overlap is not None else group["max_iter"]):
            if reason != "progress":
                break
            if self._here.within(group["gtol"]):
                reason = "converged"
                break
            try:
                reason, length = self._iterate(closure, overlap)
            except Exhausted:
                reason, length = self._restore("max_eval")
        if reason in ("progress", "max_eval") and overlap is None and self._here.within(group["gtol"]):
            reason = "converged"
        self._known = overlap is None and reason != "not_finite"
        self.status = Status(
            self._evaluate.sign * self._here.value,
            self._here.norm,
            self._evaluate.count,
            step_length=length,
            reason=reason,
            gradient_max=self._here.largest,
            **vars(self._counts),
        )
        return began

    def _abandon(self) -> None:
        """Go back to the last accepted point, in the middle of anything."""
        self._known = False
        if self._updating:  # the memory holds half of a pair
            self._memory.clear()
            self._predicted, self._decrease, self._updating = 0.0, 0.0, False
        if self._reached:
            self._flat.write(self._here.x)
            self._flat.assign_grads(self._here.g * self._evaluate.sign)

    def _begin(self, closure: Closure, on_gradient: Callable[[], object] | None, *, check: bool, fresh: bool) -> Reason:
        """Evaluate where the parameters are, unless that is known."""
        here, there = self._here, self._there
        if not fresh and self._known and torch.equal(self._flat.read(there.x), here.x):
            self._reached = True
            if on_gradient is not None:
                self._flat.assign_grads(here.g * self._evaluate.sign)
                on_gradient()
            return "progress"
        self._flat.read(here.x)
        self._evaluate(closure, here, self._memory)
        self._reached = True
        if on_gradient is not None:
            on_gradient()
        if not here.finite:
            return "not_finite"
        check = check and self._evaluate.count == 1 < self._evaluate.limit
        if check and self._evaluate.compare(closure, here, there) == "random":
            return "not_deterministic"
        return "progress"

    def _iterate(self, closure: Closure, overlap: Closure | None) -> tuple[Reason, float]:
        """Make one iteration, if need be along the gradient."""
        while True:
            base = source = self._here
            function, slope = closure, None
            self._d = self._memory.direction(source.g, source.projections)
            if overlap is not None:
                base, function = Point(self._here.x, self._flat.empty()), overlap
                (slope,) = self._evaluate(overlap, base, self._memory, self._d)
                if not base.finite:
                    return self._restore("not_finite")
                if not slope < 0.0:  # the overlap disagrees with its batch
                    source, slope = base, None
                    self._d = self._memory.direction(source.g, source.projections)
            result, line = self._search(function, base, source, slope)
            if result.step > 0.0:
                self._update(result, base, source, line)
                self._predicted = -result.step * line.slope
                self._decrease = 0.0 if overlap is not None else base.value - result.value
                self._here, self._there = self._there, self._here
                self._counts.iterations += 1
                return "progress", result.step
            self._flat.write(self._here.x)
            verdict = self._evaluate.compare(function, base, self._there)
            if verdict == "random":
                return self._restore("not_deterministic")
            if verdict == "noisy":  # search again, with the noise that is known now
                continue
            if self._memory.empty:
                return self._restore(self._failure(function, base, line))
            self._memory.clear()
            self._predicted, self._decrease = 0.0, 0.0
            self._counts.restarts += 1

    def _failure(self, function: Closure, base: Point, line: Line) -> Reason:
        """Return why there is no step along the gradient: its last digits are reached, or it is no gradient of this function."""
        error, shorter = self._evaluate.error(base), min(1.0, 1.0 / max(self._here.norm, 1e-300))
        if -line.slope * shorter <= error:
            return "precision"
        t = max(1e-6 * shorter, 1e3 * error / -line.slope) if line.slope < 0.0 else 0.0
        if not t < shorter:
            return "line_search"
        self._try(function, base, t)
        share = (base.value - self._there.value) / (-line.slope * t)
        return "line_search" if 0.1 < share < 10.0 or share < 0.0 else "wrong_gradient"

    def _search(self, function: Closure, base: Point, source: Point, slope: float | None) -> tuple[Search, Line]:
        """Search along d = -D g(source); `slope` is phi'(0) if it is known.

        Returns:
            The search's result, and what is known of the line: phi'(0) = d'g(base), d'B d = -d'g(source). The parameters and `_there` are
            those of the step, if there is one.
        """
        group = self.param_groups[0]
        products = torch.dot(source.g, self._d), torch.dot(self._d, self._d)
        first = self._first(base, products[0])
        slope_there, downhill, square = self._try(function, base, first, *products)
        slope = downhill if slope is None else slope
        line = Line(slope, -downhill, -downhill / max(math.sqrt(square) * source.norm, 1e-300))
        known = [(self._there.value, slope_there)]

        def phi(t: float) -> tuple[float, float]:
            if known:
                return known.pop()
            (slope,) = self._try(function, base, t)
            return self._there.value, slope

        search = group["line_search"]
        search = LINE_SEARCHES[search] if isinstance(search, str) else search
        if search is None:
            return Search(first if self._there.finite else 0.0, self._there.value, slope_there, 1, "met"), line
        left = 1 + self._evaluate.limit - self._evaluate.count  # the first is done
        left = (
            SEARCH_EVALUATIONS if left > SEARCH_EVALUATIONS else max(1, int(left) - 1)
        )  # the last is for the best of them
        noise = self._evaluate.error(base)
        constants = {"c1": group["c1"], "c2": group["c2"]}
        result = search_along(search, phi, base.value, slope, step=first, noise=noise, max_eval=left, **constants)
        if not result.met and not result.value < base.value:
            result = Search(0.0, base.value, slope, result.evaluations, result.reason)
        if result.step > 0.0 and result.step != self._tried:
            self._try(function, base, result.step)
            if not self._there.finite:
                result = Search(0.0, base.value, slope, result.evaluations, result.reason)
        return result, line

    def _first(self, base: Point, downhill: Tensor) -> float:
        """Return the first t: lr, or less where the direction's length says little; `downhill` is d'g."""
        group = self.param_groups[0]
        first: float = group["lr"]
        if (
            self._memory.empty
        ):  # -d = g, of any size: as much gain as predicted for the last step, or a step of length 1
            square = max(base.norm**2, 1e-300)
            return first * (self._predicted / square if self._predicted else min(1.0, square**-0.5))
        searches = group["line_search"] not in ("none", "backtracking")  # which cannot lengthen a step
        if self._memory.explores and searches and self._decrease > self._evaluate.error(base):
            slope = downhill.item()
            first = min(first, FURTHER * self._decrease / -slope) if slope < 0.0 else first
        return first

    def _try(self, function: Closure, base: Point, t: float, *extra: Tensor) -> list[float]:
        """Evaluate at w + t d; return phi'(t), then the extra numbers."""
        there, self._tried = self._there, t
        torch.add(base.x, self._d, alpha=t, out=there.x)
        self._flat.write(there.x)
        if self._flat.narrow:
            self._flat.read(there.x)
        numbers = self._evaluate(function, there, self._memory, self._d, extra)
        if not there.finite:
            there.value = math.inf
        return numbers

    def _update(self, result: Search, base: Point, source: Point, line: Line) -> None:
        """Take in the pair of a step s = t d with s'Bs = t^2 d'Bd, B s = -t g(source), unless it has no curvature."""
        t, there = result.step, self._there
        if line.cosine < ANGLE and self._memory.limited and not self._memory.empty:
            self._memory.clear()
            self._counts.restarts += 1
            return
        sy, sBs = t * (result.slope - line.slope), t * t * line.curvature
        noisy = source is not base or self.param_groups[0]["line_search"] in ("backtracking", "none")
        damp, excess = noisy and sy < DAMPING * sBs, None if noisy else sBs / sy if sy > 0.0 else None
        expected = -t * line.slope if self._memory.empty else sBs  # the size of D = I means nothing
        if not damp and not sy > CURVATURE * expected > 0.0:
            self._counts.skipped_pairs += 1
            return
        self._updating = True
        s, y = self._memory.buffers()
        if self._flat.narrow:
            subtract(there.x, base.x, out=s)
        elif s.dtype == self._d.dtype:
            torch.mul(self._d, t, out=s)
        else:
            s.copy_(self._d).mul_(t)
        subtract(there.g, base.g, out=y)
        y_projections = there.projections - base.projections[: len(there.projections)]
        if damp:
            self._counts.damped_pairs += 1
            y.copy_(damped(y, source.g * -t, sy, sBs, least=DAMPING))
            theta, sy = damping(sy, sBs, least=DAMPING), DAMPING * sBs
            from_B = (1.0 - theta) * t * source.projections[: len(y_projections)]
            y_projections = theta * y_projections - from_B
        exact = self._flat.dtype == torch.float64 and not self._flat.narrow
        measured = {"sy": sy, "sg": t * result.slope} if exact else {}
        projections = self._memory.update(Change(there.g, there.projections, y_projections, excess=excess, **measured))
        self._updating = False
        there.projections = EMPTY if projections is None else projections
        self._counts.skipped_pairs += projections is None

    def _restore(self, reason: Reason) -> tuple[Reason, float]:
        self._flat.write(self._here.x)
        self._flat.set_grads(self._here.g * self._evaluate.sign)
        return reason, 0.0

    def __getstate__(self) -> dict[str, Any]:
        """Return all that a copy, a pickle or torch.save needs."""
        return {**super().__getstate__(), **{name: getattr(self, name) for name in LASTING}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over what `__getstate__` returned."""
        super().__setstate__(state)
        self._d, self._tried, self._reached, self._updating = self._here.g, math.nan, False, False

    def state_dict(self) -> dict[str, Any]:
        """Return all that is needed to go on to the bit. Tensors are references, as torch's are."""
        here = self._here
        loop = {
            "evaluations": self._evaluate.count,
            "counts": vars(self._counts),
            "memory": self._memory.state(),
            "known": self._known,
            "predicted": self._predicted,
            "decrease": self._decrease,
            "noise": self._evaluate.noise.state(),
            "g": here.g,
            "x": here.x,
            "projections": torch.from_numpy(here.projections.copy()),
            "measures": [here.value, here.norm, here.largest],
        }
        return {**super().state_dict(), "quasi_newton": loop}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned, in the precision of the history, whatever the parameters' is.

        Raises:
            InputError: it is another optimiser's.
        """
        if "quasi_newton" not in state_dict:
            raise InputError(
                f"state_dict: must come from {type(self).__name__}, got one without 'quasi_newton'; start afresh, or load it into its own class"
            )
        super().load_state_dict({key: state_dict[key] for key in ("state", "param_groups")})
        loop, here = state_dict["quasi_newton"], self._here
        self._evaluate.count, self._counts = loop["evaluations"], Counts(**loop["counts"])
        self._memory.load(loop["memory"])
        self._known, self._predicted, self._decrease = loop["known"], loop["predicted"], loop["decrease"]
        self._evaluate.noise = Noise(**loop["noise"])
        self._evaluate.sign = -1.0 if self.param_groups[0]["maximize"] else 1.0
        here.g.copy_(loop["g"])
        here.x.copy_(loop["x"])
        here.projections = loop["projections"].cpu().numpy()
        here.value, here.norm, here.largest = loop["measures"]
