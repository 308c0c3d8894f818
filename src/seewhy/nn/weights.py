"""Weights of a network that penalties and constraints are meant for.

`seewhy.optim.Penalties` sees named weights, never a model: these functions choose them from one.
"""

from __future__ import annotations

from torch import Tensor, nn

from seewhy.nn.initialisation import TRANSPOSED


def penalised_weights(model: nn.Module, *, everything: bool = False) -> dict[str, nn.Parameter]:
    """Return by name the trainable weights that a penalty is meant for: those of two dimensions and more, or all.

    Args:
        model: any.
        everything: also biases, scales and shifts of normalisations, PReLU's slopes.
    """
    named = model.named_parameters()
    return {name: weight for name, weight in named if weight.requires_grad and (everything or weight.dim() >= 2)}


def incoming_views(model: nn.Module) -> list[Tensor]:
    """Return views (out, ...) of the weights that come into the units of each layer, for a limit of their norms.

    The weights are those that `penalised_weights` returns; that of a transposed convolution, (in, out / groups, ...), has one view per group.

    Args:
        model: any.
    """
    owners = {id(weight): layer for layer in model.modules() for weight in layer.parameters(recurse=False)}
    return [view for weight in penalised_weights(model).values() for view in _incoming(owners[id(weight)], weight)]


def _incoming(layer: nn.Module, weight: Tensor) -> list[Tensor]:
    if not isinstance(layer, TRANSPOSED):
        return [weight]
    return [group.transpose(0, 1) for group in weight.detach().chunk(layer.groups)]
