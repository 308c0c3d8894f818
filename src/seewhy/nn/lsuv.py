"""Layer-sequential unit-variance initialisation (Mishkin & Matas 2016, 1511.06422).

Weights start orthogonal; then, from the first layer to the last, each is divided by the standard deviation of its output on a batch of data, so
that every layer gives variance 1 to its successor, whatever the activations, pooling and shortcuts between them do to it. Since a layer is
linear, its new output is known at once, and one pass through the network suffices: each layer is scaled before its output is handed on.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from seewhy.nn.activations import Activation
from seewhy.nn.dropconnect import DropConnectConv2d, DropConnectLinear
from seewhy.nn.initialisation import LAYERS, LSUV_MAX_ITER, LSUV_TOLERANCE, Layer, init_, validate_lsuv
from seewhy.nn.maxout import MaxoutConv2d, MaxoutLinear
from seewhy.nn.observe import observed

WITH_AFFINE = (MaxoutLinear, MaxoutConv2d, DropConnectLinear, DropConnectConv2d)
"""Layers that do more than their affine map, which they give by `affine`."""

LEAST_VARIANCE = 1e-24
"""Below this, an output is taken for constant."""


@dataclass(frozen=True)
class Rescaled:
    """What `lsuv_` did to one layer.

    Attributes:
        layer: its name within the module.
        before: variance of the output, all values of the batch together, before scaling.
        after: the same after scaling.
        iterations: how often the weights were divided.
    """

    layer: str
    before: float
    after: float
    iterations: int


@torch.no_grad()
def lsuv_(
    module: nn.Module,
    *batch: Any,
    rng: torch.Generator | None = None,
    activation: str | Activation | None = None,
    tolerance: float = LSUV_TOLERANCE,
    max_iter: int = LSUV_MAX_ITER,
    skip: Collection[nn.Module] = (),
) -> tuple[Rescaled, ...]:
    """Scale each linear and convolution layer, in place, so that its output has variance 1 on a batch.

    The output is what the layer itself gives, before normalisation and activation; for a maxout layer its pieces, for one of DropConnect the
    mean over masks. Biases keep their values. A layer that is used several times is scaled where it is first used. Left as they are: frozen
    layers, parametrised ones, those in `skip`, those the batch does not reach, those whose output does not vary, and those whose biases alone
    vary by 1 or more.

    Args:
        module: the network; it runs as described in `observed`.
        batch: what the network is called with, some hundred examples as training gives them.
        rng: source of orthogonal weights for all layers, which are filled first; None to scale the weights as they are.
        activation: that follows the layers, whose gain the orthogonal weights have; of no consequence for the result but for `skip`.
        tolerance: largest difference of the variance from 1. A bias needs several divisions.
        max_iter: most divisions of a layer's weights.
        skip: layers to leave alone, such as an output layer that starts small.

    Returns:
        A record for each layer, in the order of use; those that were left as they are with `iterations` 0.

    Raises:
        InputError: `tolerance` or `max_iter` is out of range.
    """
    validate_lsuv(tolerance, max_iter)
    scaler = _Scaler(tolerance, max_iter)
    with observed(module) as until_done:
        for name, layer in module.named_modules():
            if not isinstance(layer, LAYERS) or any(layer is other for other in skip):
                continue
            if not layer.weight.requires_grad or parametrize.is_parametrized(layer):
                continue
            if rng is not None:
                init_(layer, "orthogonal", activation=activation, rng=rng)
            until_done(layer.register_forward_hook(scaler.hook(name)))
        module(*batch)
    return tuple(scaler.records.values())


class _Scaler:
    """Scales layers as they are first used, and records what it did."""

    def __init__(self, tolerance: float, max_iter: int) -> None:
        self.tolerance, self.max_iter = tolerance, max_iter
        self.records: dict[str, Rescaled] = {}

    def hook(self, name: str) -> Any:
        """Return the forward hook for the layer called `name`."""

        def scale(layer: Layer, inputs: tuple[Any, ...], _: Tensor) -> Tensor | None:
            if name in self.records:
                return None
            self.records[name] = self.scale(name, layer, inputs)
            return layer.forward(*inputs) if self.records[name].iterations else None

        return scale

    def scale(self, name: str, layer: Layer, inputs: tuple[Any, ...]) -> Rescaled:
        """Divide the weights of `layer` until its output varies by 1 on these inputs."""
        before = after = _variance(_affine(layer, inputs))
        iterations = 0
        if layer.bias is not None and layer.bias.numel() > 1 and _variance(layer.bias) >= 1:
            return Rescaled(name, before, after, iterations)
        while LEAST_VARIANCE < after < float("inf") and abs(after - 1) > self.tolerance and iterations < self.max_iter:
            layer.weight.div_(after**0.5)
            after = _variance(_affine(layer, inputs))
            iterations += 1
        return Rescaled(name, before, after, iterations)


def _affine(layer: Layer, inputs: tuple[Any, ...]) -> Tensor:
    y: Tensor = layer.affine(*inputs) if isinstance(layer, WITH_AFFINE) else layer.forward(*inputs)
    return y


def _variance(y: Tensor) -> float:
    return float(y.float().var(correction=0))
