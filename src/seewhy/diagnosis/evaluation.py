"""What a pass without gradients tells: what it is given, and whether dropout that a function makes is off."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from seewhy.diagnosis.records import InputRecord

DROPOUTS: frozenset[Callable[..., Any]] = frozenset(
    (F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout, torch.dropout)
)

PASSES = 16
"""Passes without gradients whose inputs are looked at."""

EXAMPLES = 128


def is_live(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether a call of dropout drops anything."""
    p = kwargs.get("p", args[1] if len(args) > 1 else 0.5)
    return bool(kwargs.get("training", args[2] if len(args) > 2 else True)) and p > 0


class LiveDropout(TorchFunctionMode):
    """Sees during one pass whether dropout is on.

    Attributes:
        live: whether it is.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self.live = self.live or (func in DROPOUTS and is_live(args, kwargs))
        return func(*args, **kwargs)


def is_dropout(module: nn.Module) -> bool:
    """Whether a module is dropout and nothing else, so that it follows the mode."""
    return isinstance(module, nn.modules.dropout._DropoutNd)


@torch.no_grad()
def given_moments(args: tuple[Any, ...]) -> tuple[int, float, float] | None:
    """Return how many rows a pass is given, their mean and mean square; None where they are no batch of floating-point values."""
    x = next((arg for arg in args if isinstance(arg, Tensor)), None)
    if x is None or not x.is_floating_point() or x.dim() < 2 or not x.numel():
        return None
    some = x.detach()[:EXAMPLES].float()
    return len(x), float(some.mean()), float(some.square().mean())


def pooled(record: InputRecord) -> tuple[float, float]:
    """Return mean and deviation of inputs over all channels."""
    mean = sum(record.mean) / len(record.mean)
    square = sum(s * s + m * m for m, s in zip(record.mean, record.std, strict=True)) / len(record.mean)
    return mean, math.sqrt(max(0.0, square - mean * mean))
