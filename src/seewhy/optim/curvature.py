"""Curvature without its matrix: products of Hessians and Gauss-Newton matrices with vectors, and what solves with them.

Letters: w parameters as one vector of n numbers, L(w) the loss, g = dL/dw (n), H = d2L/dw2 (n, n), v a vector (n). A network gives outputs
z(w) (m numbers) and the loss is L = l(z); J = dz/dw (m, n), H_l = d2l/dz2 (m, m).

    Hessian                              H v
    generalised Gauss-Newton matrix      G v = J' H_l J v

G leaves out the sum of dl/dz times d2z/dw2. Where l is convex (squared error, cross-entropy) G has no negative eigenvalue, wherever w is.
Either product costs a small multiple of a gradient and n numbers of memory (Pearlmutter 1994; Schraudolph 2002).

There are two interfaces. `hessian`, `hessian_vector` and `gauss_newton_vector` take functions and use torch.func. `hessian_product`,
`gauss_newton_product` and `hessian_matrix` take the loss of a closure with its graph, and differentiate that graph once more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from seewhy.core.errors import InputError

Product = Callable[[Tensor], Tensor]
"""v (n) -> A v (n), for a symmetric A (n, n)."""

Scalar = Callable[[Tensor], Tensor]
"""x (n) -> f(x), one number."""

FEW_ROWS = 256
"""Rows of a Hessian that are differentiated at once."""


def hessian(f: Scalar, x: Tensor) -> Tensor:
    """Return the Hessian of f at x, (n, n); its two halves are averaged, so that it is symmetric to the bit."""
    rows: Tensor = torch.func.jacrev(torch.func.grad(f))(x)
    return (rows + rows.mT) / 2


def hessian_vector(f: Scalar, x: Tensor, v: Tensor) -> Tensor:
    """Return H v (n), the derivative of the gradient of f at x (n) along v (n) (Pearlmutter 1994)."""
    return _pull(torch.func.grad(f), x)(v)


def gauss_newton_vector(network: Callable[[Tensor], Tensor], loss: Scalar, x: Tensor, v: Tensor) -> Tensor:
    """Return G v = J' H_l J v (n) (Schraudolph 2002).

    Args:
        network: x (n) -> z, of any shape.
        loss: z -> l(z), one number.
        x: (n).
        v: (n).
    """
    z = network(x)
    pull = _pull(network, x)
    Jv = _pull(pull, torch.zeros_like(z))(v)
    return pull(_pull(torch.func.grad(loss), z)(Jv))


def _pull(f: Callable[[Tensor], Tensor], x: Tensor) -> Product:
    """Return u -> J'u for the Jacobian J of f at x. Of a map that is itself linear, u -> A u, that is v -> A'v wherever x is.

    Everything is differentiated backwards: forward mode loads decompositions that torch compiles with its deprecated torch.jit.
    """
    vjp = torch.func.vjp(f, x)[1]

    def pull(u: Tensor) -> Tensor:
        product: Tensor = vjp(u)[0]
        return product

    return pull


def _join(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def _split(v: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    parts = torch.split(v, [tensor.numel() for tensor in like])
    return [part.view(tensor.shape).to(tensor.dtype) for part, tensor in zip(parts, like, strict=True)]


def validate_differentiable(loss: Tensor) -> None:
    """Raise InputError unless the loss is one real number with its graph."""
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        came = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        raise InputError(f"closure: must return the loss as a tensor of one number, got {came}; return its mean or sum")
    if not loss.requires_grad:
        raise InputError(
            "closure: must return the loss with its graph, got a loss without one; "
            "compute it from the parameters, without torch.no_grad(), .item() or .detach()"
        )


def _derivative(outputs: Sequence[Tensor], inputs: Sequence[Tensor], along: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return the derivatives of sum(outputs * along) by the inputs; the graph stays. Outputs without a graph are constant."""
    pairs = [(output, v) for output, v in zip(outputs, along, strict=True) if output.requires_grad]
    if not pairs:
        return tuple(torch.zeros_like(tensor) for tensor in inputs)
    try:
        return torch.autograd.grad(
            [output for output, _ in pairs], inputs, [v for _, v in pairs], retain_graph=True, materialize_grads=True
        )
    except RuntimeError as error:
        raise _without_second(error) from error


def _without_second(error: RuntimeError) -> Exception:
    """Return the error where there is no second derivative because the function was compiled; else the error itself."""
    if "double backward" not in str(error):
        return error
    return InputError(
        "closure: a function of torch.compile has no second derivatives; give the function itself, or take lbfgs, which needs none"
    )


def _gradient(loss: Tensor, parameters: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return the gradient as a function of the parameters."""
    validate_differentiable(loss)
    try:
        present = torch.autograd.grad(loss, parameters, create_graph=True, allow_unused=True)
    except RuntimeError as error:
        if "second time" not in str(error):
            raise
        raise InputError(
            "closure: must not call backward, which frees the graph that curvature is computed from; only return the loss"
        ) from error
    if all(part is None for part in present):
        raise InputError(
            "closure: must return a loss that depends on the parameters, got one that depends on none of them"
        )
    gradients = tuple(
        torch.zeros_like(parameter) if part is None else part
        for part, parameter in zip(present, parameters, strict=True)
    )
    if any(part.layout != torch.strided for part in gradients):
        raise InputError("params: must have dense gradients, got a sparse one; make the embedding with sparse=False")
    return gradients


def hessian_product(loss: Tensor, parameters: Sequence[Tensor]) -> tuple[Tensor, Product]:
    """Return the gradient (n) and the product v -> H v, by differentiating the gradient's graph.

    Args:
        loss: one number with its graph; backward has not been called on it.
        parameters: leaves of the graph, of n numbers in all; those that the loss does not depend on have zeros.

    Raises:
        InputError: the loss is not one number, or its graph is missing or was freed by backward.
    """
    g = _gradient(loss, parameters)

    def product(v: Tensor) -> Tensor:
        return _join(_derivative(g, parameters, _split(v, g))).to(v.dtype)

    return _join(g).detach(), product


def gauss_newton_product(loss: Tensor, outputs: Tensor, parameters: Sequence[Tensor]) -> tuple[Tensor, Product]:
    """Return the gradient (n) and the product v -> G v = J' H_l J v.

    J v comes from two derivatives backwards: J'u is linear in u, and its derivative by u along v is J v. What in the loss does not pass
    through the outputs, such as a penalty on the weights, is in the gradient and not in G.

    Args:
        loss: one number with its graph, computed from `outputs`; backward has not been called on it.
        outputs: z, of any shape, with its graph: the very tensor that the loss was computed from.
        parameters: leaves of the graph, of n numbers in all.

    Raises:
        InputError: as for `hessian_product`, or the loss does not depend on the outputs.
    """
    g = _join(_gradient(loss, parameters)).detach()
    if not isinstance(outputs, Tensor) or not outputs.requires_grad:
        raise InputError(
            "closure: must return the outputs as a tensor with its graph; return the one the loss is computed from"
        )
    (slope,) = torch.autograd.grad(loss, outputs, create_graph=True, allow_unused=True)
    if slope is None:
        raise InputError(
            "closure: must return the outputs that the loss is computed from, got others; return (loss, outputs) of one evaluation"
        )
    u = torch.zeros_like(outputs, requires_grad=True)
    pulled = torch.autograd.grad(outputs, parameters, u, create_graph=True, materialize_grads=True)

    def product(v: Tensor) -> Tensor:
        Jv = _derivative(pulled, [u], _split(v, pulled))
        HJv = _derivative([slope], [outputs], Jv)
        return _join(_derivative([outputs], parameters, HJv)).to(v.dtype)

    return g, product


def hessian_matrix(loss: Tensor, parameters: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the gradient (n) and the Hessian (n, n), its two halves averaged.

    Rows are differentiated many at once, under torch.func.vmap.

    Raises:
        InputError: as for `hessian_product`, or an operation in the loss cannot be differentiated for many rows at once.
    """
    g = _gradient(loss, parameters)
    flat = _join(g)
    n = flat.numel()
    rows = flat.new_zeros(n, n)
    if flat.requires_grad:
        for first in range(0, n, FEW_ROWS):
            last = min(n, first + FEW_ROWS)
            units = torch.zeros(last - first, n, dtype=flat.dtype, device=flat.device)
            units[:, first:last].fill_diagonal_(1.0)
            try:
                derivatives = torch.autograd.grad(
                    flat, parameters, units, retain_graph=True, is_grads_batched=True, allow_unused=True
                )
            except RuntimeError as error:
                if isinstance(compiled := _without_second(error), InputError):
                    raise compiled from error
                raise InputError(
                    f"curvature: the exact Hessian needs operations that torch.func.vmap knows, got {error}; "
                    "choose curvature='hessian'"
                ) from error
            columns = 0
            for part, parameter in zip(derivatives, parameters, strict=True):
                if part is not None:  # the loss depends on this parameter
                    rows[first:last, columns : columns + parameter.numel()] = part.reshape(last - first, -1)
                columns += parameter.numel()
    return flat.detach(), (rows + rows.mT) / 2


def absolute_solve(A: Tensor, g: Tensor, damping: float = 0.0) -> Tensor:
    """Return -(|A| + lambda I)^-1 g, with the absolute eigenvalues of A held above sqrt(eps) times the largest.

    Args:
        A: symmetric, (n, n). Where A + lambda I is positive definite the result is -(A + lambda I)^-1 g.
        g: (n).
        damping: lambda.
    """
    shifted = A.clone()
    shifted.diagonal().add_(damping)
    factor, info = torch.linalg.cholesky_ex(shifted)
    if not int(info):
        return -torch.cholesky_solve(g[:, None], factor).squeeze(1)
    values, vectors = torch.linalg.eigh(A)
    sizes = values.abs()
    largest = float(sizes.max())
    if largest == 0.0:
        return -g
    sizes = sizes.clamp(min=math.sqrt(torch.finfo(A.dtype).eps) * largest) + damping
    step: Tensor = -(vectors @ ((vectors.mT @ g) / sizes))
    return step


Reason = Literal["residual", "progress", "negative_curvature", "limit"]


@dataclass(frozen=True)
class Solution:
    """Where conjugate gradients stopped.

    Attributes:
        x: the last iterate, (n).
        reason: "residual" (small enough), "progress" (the model stopped falling), "negative_curvature", "limit" (of iterations).
        iterations: products with A, without the one that a start needs.
        model: q(x) = x'Ax/2 - b'x.
        negative: the search direction d (n) along which d'Ad <= 0, or None.
        curvature: d'Ad of that direction.
        slope: d'r of that direction, r = b - A x.
        iterates: (iteration, x, q(x)) at the iterations 1, 2, 3, 4, 6, 8, 11, ... (each about 1.3 times the one before) and the last.
    """

    x: Tensor
    reason: Reason
    iterations: int
    model: float
    negative: Tensor | None = None
    curvature: float = 0.0
    slope: float = 0.0
    iterates: list[tuple[int, Tensor, float]] = field(default_factory=list)


def conjugate_gradients(
    product: Product,
    b: Tensor,
    *,
    max_iter: int,
    rtol: float = 0.0,
    progress: float | None = None,
    start: Tensor | None = None,
    scale: Tensor | None = None,
) -> Solution:
    """Minimise q(x) = x'Ax/2 - b'x, that is solve A x = b where A is positive definite, and stop early.

    The iteration (Hestenes & Stiefel 1952) ends at a direction with d'Ad <= 0, where q has no minimum (Steihaug 1983), and otherwise at the
    first of: |r| <= rtol |b|; Martens' (2010) relative progress, i > k, q_i < 0 and (q_i - q_{i-k}) / q_i < k progress with
    k = max(10, i / 10); `max_iter`.

    Args:
        product: v (n) -> A v (n).
        b: (n).
        max_iter: the most iterations.
        rtol: of the residual r = b - A x.
        progress: Martens' constant, 5e-4 in his paper; None leaves his rule out.
        start: x to start from, (n); zeros by default. A start with q > 0 is replaced by zeros.
        scale: the diagonal of a preconditioner, (n), positive: A is nearly diag(scale).

    Returns:
        Where it stopped. With A positive definite x'b > 0 for every iterate from zeros.
    """
    x, r = _start(product, b, start)
    goal = rtol * float(b.norm())
    models = [-0.5 * float(x @ (b + r))]
    z = r if scale is None else r / scale
    d, rho = z.clone(), float(r @ z)
    iterates: list[tuple[int, Tensor, float]] = []
    reason: Reason = "limit"
    following, i = 1, 0
    while i < max_iter:
        if float(r.norm()) <= goal or rho <= 0.0:
            reason = "residual"
            break
        Ad = product(d)
        curvature = float(d @ Ad)
        if not curvature > 0.0:
            return Solution(x, "negative_curvature", i, models[-1], d, curvature, rho, iterates)
        i += 1
        alpha = rho / curvature
        x = x + alpha * d
        r = r - alpha * Ad
        models.append(-0.5 * float(x @ (b + r)))
        if i >= following:
            iterates.append((i, x, models[-1]))
            following = max(i + 1, math.ceil(1.3 * following))
        if progress is not None and _stalled(models, progress):
            reason = "progress"
            break
        z = r if scale is None else r / scale
        rho, before = float(r @ z), rho
        d = z + (rho / before) * d
    if i and iterates[-1][0] != i:
        iterates.append((i, x, models[-1]))
    return Solution(x, reason, i, models[-1], iterates=iterates)


def _start(product: Product, b: Tensor, start: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return x and r = b - A x of the start, or of zeros where the model there is lower."""
    if start is not None:
        r = b - product(start)
        if float(start @ (b + r)) > 0.0:
            return start.clone(), r
    return torch.zeros_like(b), b.clone()


def _stalled(models: list[float], progress: float) -> bool:
    """Return whether the model fell too little over the last k iterations."""
    i = len(models) - 1
    k = max(10, i // 10)
    return i > k and models[-1] < 0.0 and (models[-1] - models[-1 - k]) / models[-1] < k * progress


def most_negative(product: Product, like: Tensor, *, max_iter: int, seed: int = 0) -> tuple[Tensor, float] | None:
    """Return a direction of negative curvature where the gradient shows none, as at a saddle.

    Conjugate gradients for A x = b with a random b of length 1 meet d'Ad <= 0 within n iterations if A has a negative eigenvalue, and with
    high probability much sooner (Royer, O'Neill & Wright 2020).

    Args:
        product: v (n) -> A v (n).
        like: a vector (n) with the dtype and device to work in.
        max_iter: the most products.
        seed: of b.

    Returns:
        (unit vector d (n), d'Ad < 0), or None where none was met.
    """
    rng = torch.Generator().manual_seed(seed)
    b = torch.randn(like.shape, generator=rng, dtype=like.dtype).to(like.device)
    solution = conjugate_gradients(product, b / b.norm(), max_iter=max_iter, rtol=100 * torch.finfo(like.dtype).eps)
    if solution.negative is None:
        return None
    length = float(solution.negative.norm())
    curvature = solution.curvature / length**2
    return (solution.negative / length, curvature) if curvature < 0.0 else None
