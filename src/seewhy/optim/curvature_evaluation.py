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
from seewhy.optim.curvature import Product, gauss_newton_product, hessian_matrix, hessian_product
from seewhy.optim.flat import Flat

Curvature = Literal["exact", "hessian", "gauss_newton"]
Closure = Callable[[], Tensor | tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class LocalModel:
    """f at a point, and its quadratic model there: m(d) = g'd + d'Ad/2.

    Attributes:
        value: f.
        g: its gradient, (n).
        product: v (n) -> A v (n).
        noise: what rounding may add to f.
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


class CurvatureEvaluator:
    """Evaluates a closure for one step.

    Attributes:
        sign: 1 to minimise, -1 to maximise.
        count: evaluations so far.
    """

    def __init__(self, closure: Closure, flat: Flat, curvature: Curvature, *, maximize: bool) -> None:
        """Args: closure: see the module; flat: the parameters; curvature: what A is; maximize: evaluate -f."""
        self.closure, self.flat, self.curvature = closure, flat, curvature
        self.sign = -1.0 if maximize else 1.0
        self.count = 0

    def call(self, *, gradients: bool) -> tuple[Tensor, Tensor | None]:
        """Return the loss at the parameters as they are and, for gauss_newton, the outputs.

        Raises:
            InputError: the closure calls backward, or returns something else than it has to.
        """
        for tensor in self.flat.tensors:
            tensor.grad = None
        with torch.set_grad_enabled(gradients):
            returned = self.closure()
        self.count += 1
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

    def model(self) -> tuple[Tensor, LocalModel]:
        """Return the loss, and f, g and A at the parameters as they are."""
        loss, outputs = self.call(gradients=True)
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

        noise = 4.0 * torch.finfo(loss.dtype).eps * abs(loss.item())
        return loss.detach(), LocalModel(sign * loss.item(), sign * g.to(dtype), product, noise, matrix)

    def value(self, w: Tensor) -> float:
        """Return f at w, where the parameters are left."""
        self.flat.write(w)
        loss, _ = self.call(gradients=False)
        return self.sign * loss.item()

    def gradient(self, loss: Tensor) -> Tensor:
        """Return the loss's gradient (n), and leave it in `.grad`."""
        gradients = torch.autograd.grad(loss, self.flat.tensors, materialize_grads=True)
        for tensor, gradient in zip(self.flat.tensors, gradients, strict=True):
            tensor.grad = gradient
        return self.flat.gather_grads(self.flat.empty())
