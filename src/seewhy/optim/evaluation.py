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
from seewhy.optim.noise import Noise, Verdict
from seewhy.optim.updates import Memory
from seewhy.optim.vectors import EMPTY, Products, fetch

Closure = Callable[[], Any]
EPS = {kind: torch.finfo(kind).eps for kind in (torch.float64, torch.float32, torch.bfloat16)}


class Exhausted(Exception):  # noqa: N818  a limit is no error
    """No evaluation is left of those that were allowed."""


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
        limit: the count at which `Exhausted` is raised instead.
        eps: the relative rounding of the last loss.
        noise: what was seen of the function's.
    """

    def __init__(self, flat: Flat, *, maximize: bool) -> None:
        self.flat = flat
        self.sign = -1.0 if maximize else 1.0
        self.count, self.limit = 0, math.inf
        self.eps = EPS[torch.float64]
        self.noise = Noise()

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
            InputError: the loss is not one real number of at least bf16, or a gradient is sparse or lacking.
            Exhausted: no evaluation is left.
        """
        if self.count >= self.limit:
            raise Exhausted
        self.count += 1
        with torch.enable_grad():
            returned = loss = closure()
        if isinstance(loss, Tensor):
            loss = _number(loss)
        self._validate_gradients()
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
            self.eps = EPS[loss.dtype]
            numbers.append(loss)
        fetched, point.projections = fetch(numbers, None if memory is None else memory.project(g))
        value = fetched.pop() if isinstance(loss, Tensor) else float(loss)
        squared, *rest = fetched
        point.value, point.largest = self.sign * value, None
        if waits:
            point.largest = max(-rest.pop(), rest.pop())
        point.norm = math.sqrt(squared) if squared >= 0.0 else math.nan
        if squared == 0.0:
            self._validate_backward(returned)
        if self.count == 1:
            self.noise.scale = abs(point.value)
        return rest

    def error(self, point: Point) -> float:
        """Return the error that rounding, and noise as far as it was seen, may leave in the point's value."""
        return max(10.0 * self.eps * abs(point.value), self.noise.level)

    def compare(self, closure: Closure, point: Point, into: Point) -> Verdict:
        """Evaluate once more at the same parameters, into another point, and say what the two values show."""
        self(closure, into)
        return self.noise.compare(point.value, into.value, eps=self.eps, sign=self.sign)

    def _validate_gradients(self) -> None:
        if all(tensor.grad is None for tensor in self.flat.tensors):
            raise InputError(
                "closure: left no gradient on any parameter; compute the loss from the parameters, and call loss.backward() in the closure"
            )

    def _validate_backward(self, loss: Any) -> None:
        """Raise InputError where the gradient vanishes because nobody called backward."""
        if not isinstance(loss, Tensor) or not loss.requires_grad:
            return
        try:
            gradients = torch.autograd.grad(loss, self.flat.tensors, allow_unused=True)
        except RuntimeError:  # backward was called, and freed the graph
            return
        if any(gradient is not None and bool(gradient.any()) for gradient in gradients):
            raise InputError(
                "closure: left gradients of zero, but the loss has others; call loss.backward() in the closure"
            )


def validate_step(optimizer: torch.optim.Optimizer, closure: object, overlap: object = None) -> None:
    """Raise InputError unless a step can begin: a closure that can be called, and no loss scaling.

    Args:
        optimizer: whose step it is; torch.amp.GradScaler leaves its scale on optimisers that say so (`_step_supports_amp_scaling`).
        closure: what `step` was given.
        overlap: likewise, or None.
    """
    kind = type(optimizer).__name__
    if hasattr(optimizer, "grad_scale"):
        vars(optimizer).pop("grad_scale")  # torch leaves it for this step, and for ever where the step raises
        vars(optimizer).pop("found_inf", None)
        raise InputError(
            f"GradScaler: {kind} evaluates the loss several times a step, and scaled gradients do not belong to it; "
            f"call optimizer.step(closure) without a scaler, in float32 or torch.bfloat16"
        )
    if closure is None:
        raise InputError(
            f"closure: {kind}.step evaluates the loss several times, got no closure; pass a function that computes it from the parameters"
        )
    for name, value in (("closure", closure), ("overlap", overlap)):
        if value is not None and not callable(value):
            raise InputError(f"{name}: must be a function without arguments, got {type(value).__name__}")


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
