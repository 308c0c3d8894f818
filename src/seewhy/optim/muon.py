"""Muon: momentum whose matrices are orthogonalised (Jordan et al. 2024)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, optim

FALLBACK = ("head", "stem")


def is_hidden(name: str, parameter: Tensor) -> bool:
    """Whether the parameter is a matrix or filter bank between the first and the last layer, by its dotted name."""
    return parameter.dim() >= 2 and not any(part in FALLBACK for part in name.split("."))


class Muon(optim.SGD):
    """Stand-in."""

    def __init__(self, params: Iterable[Any], lr: float, momentum: float) -> None:
        super().__init__(params, lr=lr, momentum=momentum, nesterov=momentum > 0)
