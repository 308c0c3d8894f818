"""Muon: momentum whose matrices are made orthogonal (Jordan et al. 2024; for image classification in their airbench94).

Letters: W a matrix or filter bank with rows = outputs, G its gradient, V its velocity, rho the momentum, eta the learning rate.

    V <- rho V + G;    U = G + rho V    (Nesterov);    W <- W sqrt(rows) / |W|_F;    W <- W - eta O(U)

O(U) is close to the nearest orthogonal matrix to U, found by Newton-Schulz iterations on X = U / |U|_F:

    A = X X';    X <- a X + (b A + c A^2) X

whose coefficients push every singular value towards 1 within a few steps without converging exactly. A step thus moves all directions of
a layer alike, however lopsided its gradient. The rescaling of W keeps the relative size of the steps; it changes nothing in the network's
function where a normalisation layer follows.

What is no hidden matrix (biases, scales and shifts, the output layer) follows its velocity too, with U brought to a root mean square of 1:

    W <- W - eta U / rms(U)

so that its steps do not depend on the scale of the loss or of the layers behind it either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn, optim

from seewhy.core.errors import InputError, bad_value

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""a, b, c of the iteration."""

TINY = 1e-12
"""Norms are taken to be at least this: no division by zero where a gradient vanishes."""


def orthogonalise(matrix: Tensor, steps: int = 3) -> Tensor:
    """Return an approximately orthogonal matrix with the singular vectors of `matrix`.

    The iterates are X_k = Q_k X_0 with symmetric factors that commute with A, so all but the first and the last product are between small
    square matrices: P = a I + b A + c A^2;  Q <- P Q;  A <- P A P.

    Args:
        matrix: (rows, columns), floating point, not all zero.
        steps: Newton-Schulz iterations. After 3, singular values above a hundredth of the Frobenius norm lie within about [0.3, 1.3];
            after 5, all above a thousandth do.

    Returns:
        (rows, columns), computed in the dtype of `matrix`.
    """
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / x.norm().clamp(min=TINY)
    gram = x @ x.T
    factor: Tensor | None = None
    for left in range(steps - 1, -1, -1):
        polynomial = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        polynomial.diagonal().add_(a)
        factor = polynomial if factor is None else polynomial @ factor
        if left:
            gram = polynomial @ gram @ polynomial
    assert factor is not None, "steps is at least 1"
    x = torch.mm(factor, x)
    return x.T if tall else x


class Muon(optim.Optimizer):
    """See the module's text.

    Args:
        params: parameters, or groups of them. A group's `orthogonal` says whether its members are hidden matrices (default: whether all
            of them have at least two dimensions).
        lr: eta; a group may have its own.
        momentum: rho; a group may have its own.
        weight_decay: lambda; W <- (1 - eta lambda) W before the step of what is not orthogonal. The norms of orthogonal ones are fixed.
        steps: Newton-Schulz iterations.

    Raises:
        InputError: a number is out of range, or a group with orthogonal=True holds a parameter with fewer than two dimensions.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        momentum: float = 0.6,
        weight_decay: float = 0.0,
        steps: int = 3,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "steps": steps, "orthogonal": None}
        super().__init__(params, defaults)
        for group in self.param_groups:
            _validate(group)
            matrices = all(parameter.dim() >= 2 for parameter in group["params"])
            if group["orthogonal"] is None:
                group["orthogonal"] = matrices
            if group["orthogonal"] and not matrices:
                raise InputError(
                    "params: a group with orthogonal=True must hold matrices only, got a vector; put vectors into another group"
                )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step; `closure`, if given, recomputes the loss, which is returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            present = [parameter for parameter in group["params"] if parameter.grad is not None]
            if any(parameter.grad.is_sparse for parameter in present):
                raise InputError("params: Muon needs dense gradients, got a sparse one; use sgd or adagrad there")
            for parameter, update in zip(present, self._updates(group, present), strict=True):
                if group["orthogonal"]:
                    parameter.mul_(len(parameter) ** 0.5 / parameter.norm().clamp(min=TINY))
                    direction = orthogonalise(update.flatten(1), group["steps"]).view(update.shape)
                else:
                    parameter.mul_(1.0 - group["lr"] * group["weight_decay"])
                    direction = update / update.square().mean().sqrt().clamp(min=TINY)
                parameter.add_(direction, alpha=-group["lr"])
        return loss

    def _updates(self, group: dict[str, Any], parameters: list[Tensor]) -> list[Tensor]:
        """Move the velocities V and return U."""
        if not parameters:
            return []
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        for parameter in parameters:
            if "velocity" not in self.state[parameter]:
                self.state[parameter]["velocity"] = torch.zeros_like(parameter)
        velocities = [self.state[parameter]["velocity"] for parameter in parameters]
        torch._foreach_mul_(velocities, group["momentum"])
        torch._foreach_add_(velocities, gradients)
        return list(torch._foreach_add(gradients, velocities, alpha=group["momentum"]))


def _validate(group: dict[str, Any]) -> None:
    if not 0 < group["lr"] < float("inf"):
        raise bad_value("lr", group["lr"], "more than 0 and finite")
    if not 0 <= group["momentum"] < 1:
        raise bad_value("momentum", group["momentum"], "at least 0 and less than 1")
    if not 0 <= group["weight_decay"] < float("inf"):
        raise bad_value("weight_decay", group["weight_decay"], "at least 0 and finite")
    if group["steps"] < 1:
        raise bad_value("steps", group["steps"], "at least 1")


REST_MOMENTUM = 0.85
"""Momentum of what is not a hidden matrix."""

VECTOR_STEP = 0.25
"""Root mean square step of biases, scales and shifts, as a share of the matrices' learning rate."""

OUTPUT_STEP = 1.2
"""The same for the output layer, divided by its number of inputs (as Yang et al. 2022, 2203.03466, scale it)."""


def muon_groups(
    named_parameters: Iterable[tuple[str, nn.Parameter]], *, lr: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Sort a network's parameters into hidden matrices, vectors and the output layer, the last matrix in the order given.

    Args:
        named_parameters: in the order of the layers.
        lr: the hidden matrices' learning rate; the others' follow from it.
        weight_decay: of the output layer; vectors have none, and hidden matrices have a fixed norm.
    """
    parameters = [parameter for _, parameter in named_parameters]
    matrices = [parameter for parameter in parameters if parameter.dim() >= 2]
    vectors = [parameter for parameter in parameters if parameter.dim() < 2]
    hidden, output = matrices[:-1], matrices[-1:]
    rest = {"orthogonal": False, "momentum": REST_MOMENTUM}
    groups: list[dict[str, Any]] = [
        {"params": hidden, "lr": lr, "orthogonal": True, "weight_decay": 0.0},
        {"params": vectors, "lr": VECTOR_STEP * lr, "weight_decay": 0.0, **rest},
    ]
    for matrix in output:
        share = OUTPUT_STEP / matrix[0].numel()
        groups.append({"params": [matrix], "lr": share * lr, "weight_decay": weight_decay / share, **rest})
    return [group for group in groups if group["params"]]
