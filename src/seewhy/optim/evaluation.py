"""A closure as a function of one vector: its value, its gradient, and what a search needs, fetched together.

A closure clears the gradients, computes the loss, calls backward and returns the loss, as for `torch.optim.LBFGS`. On an accelerator each number
that the host reads waits for all work that is queued; here one evaluation waits once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from seewhy.core.errors import InputError
from seewhy.optim.flat import Flat
from seewhy.optim.updates import Memory
from seewhy.optim.vectors import EMPTY, Products, fetch

Closure = Callable[[], Any]
EPS = {kind: torch.finfo(kind).eps for kind in (torch.float64, torch.float32, torch.bfloat16)}


@dataclass
class Point:
    """A point and what was measured there.

    Attributes:
        x: the parameters, (n).
        g: the gradient of what is minimised, (n).
        value: of what is minimised; infinite until it is measured.
        norm: Euclidean, of g.
        projections: products of the memory's rows with g.
    """

    x: Tensor
    g: Tensor
    value: float = math.inf
    norm: float = math.inf
    projections: Products = field(default_factory=lambda: EMPTY)
    _largest: float | None = math.inf

    @property
    def largest(self) -> float:
        """The largest entry of g, in size."""
        if self._largest is None:
            (least, most), _ = fetch([*torch.aminmax(self.g)])
            self._largest = max(-least, most)
        return self._largest

    @largest.setter
    def largest(self, value: float | None) -> None:
        self._largest = value

    def within(self, bound: float) -> bool:
        """Whether no entry of g is larger than the bound, without reading each where its norm shows that some must be."""
        return self.norm <= bound * math.sqrt(len(self.g)) * (1.0 + 1e-6) and self.largest <= bound

    @property
    def finite(self) -> bool:
        """Whether value and gradient are."""
        return math.isfinite(self.value) and math.isfinite(self.norm)


class Evaluator:
    """Evaluates closures at the parameters as they are.

    Attributes:
        flat: the parameters.
        sign: 1 to minimise, -1 to maximise.
        count: evaluations so far.
        eps: the relative rounding of the last loss.
    """

    def __init__(self, flat: Flat, *, maximize: bool) -> None:
        self.flat = flat
        self.sign = -1.0 if maximize else 1.0
        self.count = 0
        self.eps = EPS[torch.float64]

    def __call__(
        self,
        closure: Closure,
        point: Point,
        memory: Memory | None = None,
        along: Tensor | None = None,
        ready: Sequence[Tensor] = (),
    ) -> list[float]:
        """Evaluate and fill the point, but for x.

        Args:
            closure: see the module.
            point: to fill.
            memory: gives the projections of the gradient.
            along: d (n), whose product with the gradient is needed.
            ready: further numbers to fetch.

        Returns:
            The product, if it is needed, then the numbers.

        Raises:
            InputError: the loss is not one real number of at least bf16, or a gradient is sparse.
        """
        with torch.enable_grad():
            loss = closure()
        self.count += 1
        g = self.flat.gather_grads(point.g)
        if self.sign < 0.0:
            g.neg_()
        numbers = [torch.dot(g, g)]
        if along is not None:
            numbers.append(torch.dot(g, along))
        numbers += ready
        waits = not g.is_cpu  # then everything is fetched now, even what may not be needed
        if waits:
            numbers += reversed(torch.aminmax(g))
        if isinstance(loss, Tensor):
            loss = _number(loss)
            self.eps = EPS[loss.dtype]
            numbers.append(loss)
        fetched, point.projections = fetch(numbers, None if memory is None else memory.project(g))
        value = fetched.pop() if isinstance(loss, Tensor) else float(loss)
        squared, *rest = fetched
        point.value, point.largest = self.sign * value, None
        if waits:
            point.largest = max(-rest.pop(), rest.pop())
        point.norm = math.sqrt(squared) if squared >= 0.0 else math.nan
        return rest

    def noise(self, point: Point) -> float:
        """Return the error that rounding may leave in the point's value."""
        return 10.0 * self.eps * abs(point.value)


def validate_autocast(device: torch.device) -> None:
    """Raise InputError in fp16 autocast."""
    if torch.is_autocast_enabled(device.type) and torch.get_autocast_dtype(device.type) == torch.float16:
        raise InputError(
            "autocast: fp16 loses the differences that curvature is estimated from, and its loss scaling breaks line searches; "
            "use torch.bfloat16 or leave autocast"
        )


def _number(loss: Tensor) -> Tensor:
    if loss.numel() != 1:
        raise InputError(
            f"closure: must return the loss as one number, got shape {tuple(loss.shape)}; return its mean or sum"
        )
    if loss.dtype not in EPS:
        raise InputError(f"closure: must return a real loss of at least bf16, got {loss.dtype}; compute it in float32")
    return loss if loss.dim() == 0 else loss.reshape(())
