"""What encoders and decoders share: initialised layers, and the sides of convolutional maps."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from seewhy.core.errors import InputError
from seewhy.nn import Activation, init_

Shape = tuple[int, int, int]

LEAST_SIDE = 4
SMALLEST_MAP = 2


def at_least_float32(x: Tensor) -> Tensor:
    """Return x in float32 at least."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def hidden_layers(layers: list[nn.Module], act: Activation) -> nn.Sequential:
    """Initialise layers in front of activations by Xavier's rule (tanh and sigmoid) or He's, and chain them."""
    chain = nn.Sequential(*layers)
    rule = "xavier" if act.gain in (1.0, 5.0 / 3.0) else "he"
    init_(chain, rule, activation=act, rng=torch.default_generator)
    return chain


def output_layer(layer: nn.Linear | nn.Conv2d) -> nn.Module:
    """Initialise a layer that no activation follows."""
    init_(layer, "xavier", activation=None, rng=torch.default_generator)
    return layer


def dense_layers(features: int, width: int, depth: int, act: Activation) -> nn.Sequential:
    """Return depth x [linear, activation] of `width` units: (*, features) -> (*, width)."""
    layers: list[nn.Module] = []
    for inner, outer in pairwise([features, *[width] * depth]):
        layers += [nn.Linear(inner, act.pieces * outer), act(features=outer)]
    return hidden_layers(layers, act)


def map_sides(shape: Shape, depth: int) -> list[tuple[int, int]]:
    """Return (H, W) of an image's maps, halved (rounded up) at most `depth` times and not below 2 pixels a side.

    Raises:
        InputError: a side is shorter than 4.
    """
    height, width = shape[1:]
    if min(height, width) < LEAST_SIDE:
        raise InputError(
            f"architecture: 'conv' is for images with sides of at least {LEAST_SIDE}, got {height} x {width}; choose dense"
        )
    sides = [(height, width)]
    while len(sides) <= depth and (min(sides[-1]) + 1) // 2 >= SMALLEST_MAP:
        height, width = sides[-1]
        sides.append(((height + 1) // 2, (width + 1) // 2))
    return sides
