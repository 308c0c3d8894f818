"""What an optimiser reports after a step, and what a minimisation returns.

Every second-order optimiser of this room carries `.status`, replaced after each `step`. Progress bars and diagnosis read it; nothing in it
holds a tensor, so reading it never waits for a device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

Reason = Literal[
    "progress",
    "converged",
    "precision",
    "line_search",
    "wrong_gradient",
    "stationary",
    "not_finite",
    "not_deterministic",
    "max_iter",
    "max_eval",
    "callback",
]

MESSAGES: dict[Reason, str] = {
    "progress": "The step was taken; more can be.",
    "converged": "The gradient is as small as was asked for.",
    "precision": "The value cannot fall further at this precision; the gradient is larger than was asked for.",
    "line_search": "No lower value was found, neither along the search direction nor along the gradient.",
    "wrong_gradient": "The value does not change as the gradient says: is it scaled (GradScaler), clipped, accumulated, or of another loss?",
    "stationary": "The gradient is as small as was asked for, but the curvature is negative along some direction: stationary, not a minimum.",
    "not_finite": "The value or the gradient is not finite where the step starts; the parameters are as they were.",
    "not_deterministic": "The closure gives different values at the same parameters.",
    "max_iter": "The iterations that were allowed are used up.",
    "max_eval": "The evaluations that were allowed are used up.",
    "callback": "The callback asked to stop.",
}
"""What each reason means, in a sentence."""

CODES: dict[Reason, int] = {
    "converged": 0,
    "progress": 1,
    "max_iter": 1,
    "max_eval": 1,
    "precision": 2,
    "line_search": 2,
    "wrong_gradient": 2,
    "stationary": 5,
    "not_finite": 3,
    "not_deterministic": 4,
    "callback": 99,
}
"""SciPy's numbers where it has one: 0 success, 1 a limit, 2 loss of precision, 3 not finite, 99 the callback; of its own, 4 and 5."""


@dataclass(frozen=True)
class Status:
    """The outcome of an optimiser's steps.

    Attributes:
        value: f at the parameters as the step left them (what is maximised keeps its sign).
        gradient_norm: Euclidean norm of the gradient there.
        evaluations: of the closure, since the optimiser was made.
        iterations: steps taken, since then.
        step_length: t of the last iteration, w <- w + t d; 0 where it took none.
        reason: why the step ended; `MESSAGES` has the sentences.
        skipped_pairs: pairs (s, y) without usable curvature that were left out, since the optimiser was made.
        damped_pairs: pairs that were damped (Powell), since then.
        restarts: times the memory was cleared, since then: a search failed, or its direction was orthogonal to the gradient but for rounding.
        gradient_max: the gradient's largest entry in size; NaN where it was not measured.
    """

    value: float
    gradient_norm: float
    evaluations: int
    iterations: int
    step_length: float
    reason: Reason
    skipped_pairs: int = 0
    damped_pairs: int = 0
    restarts: int = 0
    gradient_max: float = math.nan

    @property
    def message(self) -> str:
        """The reason as a sentence."""
        return MESSAGES[self.reason]

    @property
    def goes_on(self) -> bool:
        """Whether another step can be useful."""
        return self.reason in ("progress", "max_eval")


@dataclass
class Result:
    """The outcome of a minimisation, with the names of `scipy.optimize.OptimizeResult`.

    Attributes:
        x: the best point, with the shape of the start.
        fun: f(x).
        grad: the gradient at x, with its shape.
        nit: iterations.
        nfev: evaluations of f, each with its gradient.
        success: whether the gradient is as small as was asked for, and nothing shows that the point is no minimum.
        status: 0 converged, 1 a limit was reached, 2 precision or line search, 3 not finite, 4 not deterministic,
            5 stationary but not a minimum, 99 callback.
        message: the same in a sentence.
        nhev: evaluations of f with its second derivatives that tested the end of a quasi-Newton method, not among nfev.
    """

    x: Tensor
    fun: float
    grad: Tensor
    nit: int
    nfev: int
    success: bool
    status: int
    message: str
    nhev: int = 0
