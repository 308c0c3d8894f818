"""The share of weights that are exactly 0, in all and by layer: what an L1 penalty leaves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from seewhy.core.errors import InputError


def weight_sparsity(networks: Iterable[Mapping[str, Tensor]]) -> dict[str, Any]:
    """Return the shares of weights that are exactly 0, over networks of one shape.

    Args:
        networks: the weights of each by name; they are taken one at a time, so that an iterator may hold one network in memory.

    Returns:
        {"sparsity": in all, "layers": {name of the weight: its share}}, all within [0, 1].

    Raises:
        InputError: there are no weights.
    """
    zeros, size = Counter[str](), Counter[str]()
    for weights in networks:
        for name, weight in weights.items():
            zeros[name] += int((weight == 0).sum())
            size[name] += weight.numel()
    if not size.total():
        raise InputError("networks: must have at least one weight")
    layers = {name: zeros[name] / count for name, count in size.items() if count}
    return {"sparsity": zeros.total() / size.total(), "layers": layers}


def format_sparsity(sparsity: Mapping[str, Any]) -> str:
    """Format what `weight_sparsity` returned: "12.3% (fewest in net.head.weight: 1.0%, most in net.layers.0.weight: 14.1%)"."""
    layers = sparsity["layers"]
    fewest, most = min(layers, key=layers.__getitem__), max(layers, key=layers.__getitem__)
    return f"{sparsity['sparsity']:.1%} (fewest in {fewest}: {layers[fewest]:.1%}, most in {most}: {layers[most]:.1%})"
