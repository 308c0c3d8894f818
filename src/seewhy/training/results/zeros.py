"""How many weights L1 has made exactly 0, in all and by layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from seewhy.optim.penalties import penalised
from seewhy.training.spec import RegSpec


def zeros(models: Iterable[nn.Module], reg: RegSpec) -> dict[str, Any]:
    """Return the shares of the weights under L1 that are exactly 0, over networks of one shape; one of them is looked at at a time.

    Returns:
        {"zeros": in all, "layers": {name of the weight: in it}}, all within [0, 1].
    """
    none, size = Counter[str](), Counter[str]()
    for model in models:
        for name, weight in penalised(model, everything=reg.penalise_all).items():
            none[name] += int((weight == 0).sum())
            size[name] += weight.numel()
    return {"zeros": none.total() / size.total(), "layers": {name: none[name] / size[name] for name in size}}


def zeros_in_words(found: Mapping[str, Any]) -> str:
    """Say what `zeros` returned: "12.3% (fewest in net.head.weight: 1.0%, most in net.layers.0.weight: 14.1%)"."""
    layers = found["layers"]
    fewest, most = min(layers, key=layers.__getitem__), max(layers, key=layers.__getitem__)
    return f"{found['zeros']:.1%} (fewest in {fewest}: {layers[fewest]:.1%}, most in {most}: {layers[most]:.1%})"
