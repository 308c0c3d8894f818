"""Where the first value that is not finite appeared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


@torch.no_grad()
def first_bad_layer(model: nn.Module, again: Callable[[], object]) -> str:
    """Run the batch once more and say which layer first put out NaN or infinity, and whether its weights were to blame.

    Args:
        model: the network as it was when the loss was computed.
        again: computes the loss once more with the model.

    Returns:
        words such as "net.head (its weights are not finite)" or "net.groups.1.conv (finite inputs, output not finite)".
    """
    found: list[str] = []
    hooks = []

    def watch(name: str) -> Any:
        def hook(module: nn.Module, _inputs: object, output: object) -> None:
            if found or not isinstance(output, Tensor) or bool(torch.isfinite(output).all()):
                return
            bad_weights = any(not bool(torch.isfinite(weight).all()) for weight in module.parameters(recurse=False))
            reason = "its weights are not finite" if bad_weights else "its output is not finite, its weights are"
            found.append(f"{name} ({type(module).__name__}: {reason})")

        return hook

    for name, module in model.named_modules():
        if next(module.children(), None) is None:
            hooks.append(module.register_forward_hook(watch(name)))
    try:
        again()
    finally:
        for handle in hooks:
            handle.remove()
    return found[0] if found else "the loss itself (every layer's output is finite)"
