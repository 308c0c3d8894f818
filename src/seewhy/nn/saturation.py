"""Saturation statistics: which units are saturated or dead, from their pre-activations alone.

A unit learns through its activation's derivative f'(x): where that is close to 0 no gradient passes. So one definition serves every activation.
With s the largest |f'| that the activation has (`Activation.maximum_slope`),

    an activation is saturated    where |f'(x)| < 0.05 s
    a unit is saturated           where 95% of its activations are
    a unit is dead                where |f'(x)| < 0.001 s at every example and position

A ReLU unit is dead when it is never positive, and its saturated share is the share of examples at which it is silent; a sigmoid is saturated
beyond |x| = 4.4 and dead beyond 8.3; a leaky ReLU's slope of 0.01 counts as saturated, but never as dead. The units of a maxout are its pieces:
one is dead when it never wins.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seewhy.core.errors import InputError
from seewhy.nn.activations import Activation, variant
from seewhy.nn.maxout import Maxout

SATURATED = 0.05
SATURATED_SHARE = 0.95
DEAD = 1e-3

GRID = 10.0
"""The maximum slope of a function that has no record is taken over [-10, 10]."""

NAMES: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.LeakyReLU: "leaky_relu",
    nn.PReLU: "prelu",
    nn.ELU: "elu",
    nn.Tanh: "tanh",
    nn.Sigmoid: "sigmoid",
    nn.GELU: "gelu",
    nn.SiLU: "silu",
}

WITHOUT_RECORD = (
    nn.CELU,
    nn.Hardsigmoid,
    nn.Hardswish,
    nn.Hardtanh,
    nn.Mish,
    nn.ReLU6,
    nn.RReLU,
    nn.SELU,
    nn.Softplus,
    nn.Softsign,
    Maxout,
)

Function = str | Activation | Callable[[Tensor], Tensor]
"""An activation's name, what `variant` returns, or a module or function that acts on each value by itself."""


@dataclass(frozen=True)
class SaturationStatistics:
    """What `saturation_statistics` returns.

    Attributes:
        saturated: share of each unit's activations that are saturated, (D,), within 0 and 1.
        dead: whether each unit is dead, (D,).
    """

    saturated: Tensor
    dead: Tensor

    @property
    def saturated_share(self) -> float:
        """The share of all activations that are saturated."""
        return float(self.saturated.mean())

    @property
    def saturated_units(self) -> float:
        """The share of units that are saturated."""
        return float((self.saturated >= SATURATED_SHARE).float().mean())

    @property
    def dead_units(self) -> float:
        """The share of units that are dead."""
        return float(self.dead.float().mean())


def is_activation(module: nn.Module) -> bool:
    """Return whether `module` is an activation function of this package or of torch."""
    return isinstance(module, (*NAMES, *WITHOUT_RECORD))


def derivative(function: Function, x: Tensor) -> Tensor:
    """Return f'(x) for each value of x, of the shape of x, in float32 at least, by differentiating f itself.

    Args:
        function: see `Function`. A module is taken as it is, with the slopes it has learned.
        x: pre-activations (N, D, ...). Neither x nor the function is changed, and no gradient is kept.

    Returns:
        f'(x); for a maxout 1 for the piece that wins, and 0 for the others.

    Raises:
        InputError: the name is not known.
    """
    with torch.inference_mode(False), torch.enable_grad():
        points = x.detach().to(torch.promote_types(x.dtype, torch.float32)).clone().requires_grad_()
        f = _callable(function, points)
        # An activation that works in place may not write on a leaf of the graph.
        (slope,) = torch.autograd.grad(f(points.clone()).sum(), points)
    return slope


def saturation_statistics(function: Function, x: Tensor) -> SaturationStatistics:
    """Return which units are saturated or dead on these examples; see the module's text.

    Args:
        function: see `Function`.
        x: pre-activations (N, D) or (N, D, ...), axis 1 the units; every other axis counts as examples. About 1,000 make the answer reliable.

    Raises:
        InputError: the name is not known, or x is empty or has no axis of units.
    """
    if x.dim() < 2 or not x.numel():
        raise InputError(f"x: must be pre-activations (N, D, ...), got shape {tuple(x.shape)}; add an axis of units")
    slopes = derivative(function, x).abs().transpose(0, 1).flatten(1) / _maximum_slope(function)
    return SaturationStatistics((slopes < SATURATED).float().mean(1), (slopes < DEAD).all(1))


def _callable(function: Function, x: Tensor) -> Callable[[Tensor], Tensor]:
    if isinstance(function, str | Activation):
        act = variant(function)
        return act(features=max(1, x.shape[1] // act.pieces)).to(x.device, x.dtype)
    return copy.deepcopy(function).to(x.dtype) if isinstance(function, nn.Module) else function


def _maximum_slope(function: Function) -> float:
    """Return the largest |f'|, from the activation's record, or from a grid where there is none."""
    if isinstance(function, str | Activation):
        return variant(function).maximum_slope
    if isinstance(function, nn.ELU):
        return max(1.0, abs(function.alpha))
    if isinstance(function, nn.LeakyReLU):
        return max(1.0, abs(function.negative_slope))
    name = NAMES.get(type(function))  # type: ignore[arg-type]
    if name is not None:
        return variant(name).maximum_slope
    if isinstance(function, Maxout):
        return 1.0
    return float(derivative(function, torch.linspace(-GRID, GRID, 2001)[None]).abs().max())
