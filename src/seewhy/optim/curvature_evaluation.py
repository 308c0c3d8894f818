"""A closure as a function with curvature, for Newton's methods: its value, gradient and quadratic model.

The closure does not call backward, for curvature is computed from the graph of what it returns: the loss, or for Gauss-Newton matrices
(loss, outputs).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from seewhy.core.errors import InputError
from seewhy.optim.curvature import (
    Product,
    gauss_newton_product,
    hessian_matrix,
    hessian_product,
    validate_differentiable,
)
from seewhy.optim.evaluation import EPS, Exhausted
from seewhy.optim.flat import Flat
from seewhy.optim.noise import Noise, Verdict

Curvature = Literal["exact", "hessian", "gauss_newton"]
Closure = Callable[[], Tensor | tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class LocalModel:
    """f at a point, and its quadratic model there: m(d) = g'd + d'Ad/2.

    Attributes:
        value: f.
        g: its gradient, (n).
        product: v (n) -> A v (n).
        noise: what rounding, and noise as far as it was seen, may add to f.
        matrix: A (n, n), for small problems.
    """

    value: float
    g: Tensor
    product: Product
    noise: float
    matrix: Tensor | None = None

    @property
    def finite(self) -> bool:
        """Whether f and its gradient are."""
        return math.isfinite(self.value) and bool(self.g.isfinite().all())


@dataclass
class Evaluation:
    """What the closure returned where the parameters are, with its graph.

    Attributes:
        loss: one number.
        outputs: for gauss_newton.
        g: the gradient of the loss (n), once it was asked for.
    """

    loss: Tensor
    outputs: Tensor | None
    g: Tensor | None = None


class CurvatureEvaluator:
    """Evaluates a closure for one step. What it returned last serves as long as the parameters stay, so that no point is evaluated twice.

    Attributes:
        sign: 1 to minimise, -1 to maximise.
        count: evaluations so far.
        limit: the count at which `Exhausted` is raised instead.
        noise: what was seen of the function's.
        last: the evaluation where the parameters are now; None where there was none with a graph.
    """

    def __init__(self, closure: Closure, flat: Flat, curvature: Curvature, *, maximize: bool) -> None:
        """Args: closure: see the module; flat: the parameters; curvature: what A is; maximize: evaluate -f."""
        self.closure, self.flat, self.curvature = closure, flat, curvature
        self.sign = -1.0 if maximize else 1.0
        self.count, self.limit = 0, math.inf
        self.noise = Noise()
        self.last: Evaluation | None = None

    def call(self, *, gradients: bool) -> tuple[Tensor, Tensor | None]:
        """Return the loss at the parameters as they are and, for gauss_newton, the outputs.

        Raises:
            InputError: the closure calls backward, or returns something else than it has to.
            Exhausted: no evaluation is left.
        """
        if self.count >= self.limit:
            raise Exhausted
        for tensor in self.flat.tensors:
            tensor.grad = None
        self.count += 1
        with torch.set_grad_enabled(gradients):
            returned = self.closure()
        if any(tensor.grad is not None for tensor in self.flat.tensors):
            raise InputError(
                "closure: must not call backward, curvature is computed from the graph of what it returns; only return the loss"
            )
        if self.curvature == "gauss_newton":
            if not isinstance(returned, tuple) or len(returned) != 2:
                raise InputError(
                    f"closure: must return (loss, outputs) for curvature='gauss_newton', got {type(returned).__name__}"
                )
            return returned[0], returned[1]
        if isinstance(returned, tuple):
            raise InputError(f"closure: must return the loss alone for curvature={self.curvature!r}, got a tuple")
        return returned, None

    def here(self) -> Evaluation:
        """Return the evaluation where the parameters are."""
        if self.last is None:
            self.last = Evaluation(*self.call(gradients=True))
            validate_differentiable(self.last.loss)
        return self.last

    def model(self) -> LocalModel:
        """Return f, g and A at the parameters as they are."""
        here = self.here()
        loss, outputs = here.loss, here.outputs
        tensors, dtype, sign = self.flat.tensors, self.flat.dtype, self.sign
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

        value = sign * loss.item()
        self.noise.scale = self.noise.scale or abs(value)
        return LocalModel(value, sign * g.to(dtype), product, self.error(loss), matrix)

    def error(self, loss: Tensor) -> float:
        """Return the error that rounding and noise may leave in a loss."""
        return max(4.0 * torch.finfo(loss.dtype).eps * abs(loss.item()), self.noise.level)

    def move(self, w: Tensor) -> None:
        """Move the parameters."""
        self.flat.write(w)
        self.last = None

    def value(self, w: Tensor) -> float:
        """Return f at w, where the parameters are left, without a graph."""
        self.move(w)
        loss, _ = self.call(gradients=False)
        return self.sign * loss.item()

    def trial(self, w: Tensor) -> float:
        """Return f at w, where the parameters are left, with its graph: where the step may end."""
        self.move(w)
        return self.sign * self.here().loss.item()

    def gradient(self) -> Tensor:
        """Return the gradient of the loss where the parameters are (n), and leave it in `.grad`."""
        here = self.here()
        if here.g is None:
            gradients = torch.autograd.grad(here.loss, self.flat.tensors, retain_graph=True, materialize_grads=True)
            for tensor, gradient in zip(self.flat.tensors, gradients, strict=True):
                tensor.grad = gradient
            here.g = self.flat.gather_grads(self.flat.empty())
        return here.g

    def compare(self, w: Tensor, value: float) -> Verdict:
        """Evaluate once more at w, where f was `value`, and say what the two show."""
        again = self.trial(w)
        return self.noise.compare(value, again, eps=EPS[self.here().loss.dtype], sign=self.sign)
