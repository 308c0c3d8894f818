"""Batches and outputs of any structure: tensors in mappings, sequences and dataclasses, and their rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from seewhy.diagnosis.nested import tensors_of


def mapped(function: Callable[[Tensor], Tensor], value: Any) -> Any:
    """Return a value of the same structure, each of its tensors replaced; what holds none is returned as it is."""
    if isinstance(value, Tensor):
        return function(value)
    if next(tensors_of(value), None) is None:
        return value
    if isinstance(value, Mapping):
        return {key: mapped(function, part) for key, part in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(mapped(function, part) for part in value))
    if isinstance(value, (list, tuple)):
        return type(value)(mapped(function, part) for part in value)
    changes = {field.name: mapped(function, getattr(value, field.name)) for field in dataclasses.fields(value)}
    return dataclasses.replace(value, **changes)


def fresh(value: Any) -> Any:
    """Return a copy whose tensors share nothing with those of the value."""
    return mapped(lambda x: x.detach().clone().requires_grad_(x.requires_grad), value)


@dataclasses.dataclass(frozen=True)
class Rows:
    """Where the examples of a batch are.

    Attributes:
        count: of the examples.
        axis: of the inputs along which they lie.
        sure: whether it can be no other axis.
    """

    count: int
    axis: int
    sure: bool

    def taken(self, value: Any, index: Tensor) -> Any:
        """Return the examples at `index` of every part of a value that has them; other parts stay."""
        if isinstance(value, list) and len(value) == self.count and not all(isinstance(x, Tensor) for x in value):
            return [value[i] for i in index.tolist()]
        if isinstance(value, Tensor):
            axis = self.axis_of(value)
            return value if axis is None else value.index_select(axis, index.to(value.device))
        if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
            return type(value)(self.taken(part, index) for part in value)
        if isinstance(value, Mapping):
            return {key: self.taken(part, index) for key, part in value.items()}
        return mapped(lambda x: self.taken(x, index), value)

    def axis_of(self, x: Tensor) -> int | None:
        """Return the axis of a tensor's examples, None where it has none."""
        return next((a for a in (self.axis, 0) if x.dim() > a and x.shape[a] == self.count), None)


def rows_of(inputs: Any, targets: Any, *, time_first: bool) -> Rows | None:
    """Return where the examples of a batch are; None where that cannot be told.

    Args:
        inputs: of the network.
        targets: None where they are not known.
        time_first: whether the network has layers that expect the examples along axis 1.
    """
    first = next((x for x in tensors_of(inputs) if x.dim()), None)
    if first is None:
        return None
    known = next((x for x in tensors_of(targets) if x.dim()), None) if targets is not None else None
    wide = first.dim() > 1
    if known is not None and len(known) != len(first):
        if wide and first.shape[1] == len(known):
            return Rows(len(known), 1, sure=True)
        return Rows(len(first), 0, sure=False)
    labelled = known is not None and known.dim() == 1 and (not wide or first.shape[1] != len(first))
    # Of sequences with time first the targets have it first too.
    return Rows(len(first), 0, sure=labelled or not time_first)


def fingerprints(rows: Rows, value: Any) -> list[bytes]:
    """Return for each example what is the same for equal ones only."""
    parts = [x.detach().movedim(axis, 0).cpu() for x in tensors_of(value) if (axis := rows.axis_of(x)) is not None]
    texts = [
        x.to(torch.float64) if x.is_floating_point() or x.is_complex() else x
        for x in map(torch.Tensor.contiguous, parts)
    ]
    return [b"".join(x[i].contiguous().numpy().tobytes() for x in texts) for i in range(rows.count)]
