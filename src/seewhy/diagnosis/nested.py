"""Tensors in whatever a network takes and gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor


def tensors_of(output: Any) -> Iterator[Tensor]:
    """Yield the tensors of an output, however nested."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping):
        for value in output.values():
            yield from tensors_of(value)
    elif isinstance(output, (list, tuple)):
        for value in output:
            yield from tensors_of(value)
    elif is_dataclass(output) and not isinstance(output, type):
        for item in fields(output):
            yield from tensors_of(getattr(output, item.name))


def is_graded(tensor: Tensor) -> bool:
    """Whether a gradient may arrive at an output that can be waited for."""
    return tensor.requires_grad and not tensor.is_leaf and not tensor.is_meta and torch.is_grad_enabled()
