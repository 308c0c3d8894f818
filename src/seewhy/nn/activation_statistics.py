"""Activation and gradient statistics, layer by layer: the table that distinguishes a good initialisation from a bad one.

With a good one the standard deviation of activations stays of one order from the first layer to the last, and so does that of the backpropagated
gradients (Glorot & Bengio 2010, figures 6 and 7). With a bad one either becomes smaller or larger by a factor per layer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seewhy.core.errors import InputError
from seewhy.nn.dropconnect import DropConnectConv2d, DropConnectLinear
from seewhy.nn.initialisation import LAYERS, Layer
from seewhy.nn.observe import observed
from seewhy.nn.saturation import is_activation, saturation_statistics

INSIDE = (DropConnectLinear, DropConnectConv2d)
"""Layers that may have their activation inside, and call it many times."""

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
"""The quantiles of `LayerStatistics.quantiles`."""

MOST_VALUES = 100_000
"""Quantiles are taken of about this many values, evenly spaced."""


@dataclass(frozen=True)
class LayerStatistics:
    """Statistics of a linear or convolution layer, with the activation that was used next after it, or that it has inside, as DropConnect may.

    Attributes:
        layer: the layer's name within the module; the second use of a shared layer is "name (2)".
        activation: the activation's name within the module, or None where another layer or the end came first.
        mean: of the activation's output; of the layer's output where there is none.
        std: standard deviation of the same.
        quantiles: of the same, at `LEVELS`.
        saturated: share of the pre-activations that are saturated (`seewhy.nn.saturation_statistics`); None without an activation.
        dead: share of units that are dead on this batch; None without an activation.
        gradient_std: root mean square of the loss's gradient by what the layer returns; 0 where none arrives.
        weight_gradient_std: root mean square of the loss's gradient by the layer's weights, over all its uses; None where they are frozen.
    """

    layer: str
    activation: str | None
    mean: float
    std: float
    quantiles: tuple[float, ...]
    saturated: float | None
    dead: float | None
    gradient_std: float
    weight_gradient_std: float | None


@dataclass
class _Use:
    """One use of a layer, while the network runs."""

    name: str
    layer: Layer
    output: Tensor
    signal: Tensor
    activation: str | None = None
    saturated: float | None = None
    dead: float | None = None


def layer_statistics(module: nn.Module, batch: Any, loss: Callable[[Any], Tensor]) -> tuple[LayerStatistics, ...]:
    """Run a network forward and backward on one batch, and return statistics of its layers' outputs and gradients.

    Activations that are modules are measured; functions called inside a `forward` are not. The output of a maxout layer is already the maximum.

    Args:
        module: the network; it runs as described in `observed`, its weights and their gradients stay as they are.
        batch: what the network is called with.
        loss: from the network's output to a scalar.

    Returns:
        A record for each use of a layer, in the order of use.

    Raises:
        InputError: the network has no layers that the batch reaches, or the loss does not depend on them.
    """
    uses: list[_Use] = []
    with observed(module) as until_done, torch.enable_grad():
        _watch(module, uses, until_done)
        value = loss(module(batch))
        if not uses or not value.requires_grad:
            raise InputError("loss: must depend on linear or convolution layers of the module; none was used")
        weights: dict[int, Tensor] = {id(use.layer): use.layer.weight for use in uses if use.layer.weight.requires_grad}
        outputs = [use.output for use in uses if use.output.requires_grad]
        # Here, since the running statistics that the graph may hold are put back on leaving.
        gradients = iter(torch.autograd.grad(value, [*outputs, *weights.values()], allow_unused=True))
    by_output = {id(output): _root_mean_square(next(gradients)) for output in outputs}
    by_weight = {key: _root_mean_square(next(gradients)) for key in weights}
    return tuple(
        LayerStatistics(
            layer=use.name,
            activation=use.activation,
            mean=float(use.signal.mean()),
            std=float(use.signal.std(correction=0)),
            quantiles=_quantiles(use.signal),
            saturated=use.saturated,
            dead=use.dead,
            gradient_std=by_output.get(id(use.output), 0.0),
            weight_gradient_std=by_weight.get(id(use.layer)),
        )
        for use in uses
    )


def _watch(module: nn.Module, uses: list[_Use], until_done: Callable[[Any], None]) -> None:
    """Record every use of a layer, and of an activation after it."""
    counts: dict[str, int] = {}

    def on_layer(name: str) -> Callable[..., Tensor]:
        def record(layer: Layer, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
            counts[name] = counts.get(name, 0) + 1
            numbered = name if counts[name] == 1 else f"{name} ({counts[name]})"
            use = _Use(numbered, layer, output, output.detach().float().clone())
            if isinstance(layer, INSIDE) and layer.activation is not None:
                statistics = saturation_statistics(layer.activation, layer.affine(*inputs).detach())
                use.activation, use.saturated, use.dead = (
                    f"{name}.activation",
                    statistics.saturated_share,
                    statistics.dead_units,
                )
            uses.append(use)
            return output.clone()  # what follows may work in place

        return record

    def on_activation(name: str) -> Callable[..., None]:
        def record(activation: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if uses and uses[-1].activation is None and inputs[0].dim() >= 2:
                use, x = uses[-1], inputs[0].detach()
                use.activation = name  # first, for the next line calls the activation, and so this function, again
                statistics = saturation_statistics(activation, x)
                use.saturated, use.dead = statistics.saturated_share, statistics.dead_units
                with torch.no_grad():
                    use.signal = activation.forward(x.clone()).float()

        return record

    inside = {id(part.activation) for part in module.modules() if isinstance(part, INSIDE)}
    for name, part in module.named_modules():
        if isinstance(part, LAYERS):
            until_done(part.register_forward_hook(on_layer(name)))
        elif is_activation(part) and id(part) not in inside:
            until_done(part.register_forward_pre_hook(on_activation(name)))


def _root_mean_square(gradient: Tensor | None) -> float:
    return 0.0 if gradient is None else float(gradient.detach().float().square().mean().sqrt())


def _quantiles(values: Tensor) -> tuple[float, ...]:
    flat = values.flatten()
    sample = flat[:: max(1, flat.numel() // MOST_VALUES)]
    return tuple(torch.quantile(sample, torch.tensor(LEVELS, device=sample.device)).tolist())
