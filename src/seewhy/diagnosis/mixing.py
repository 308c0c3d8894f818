"""Whether what is computed of one row of a batch mixes with that of another on the way through views and transpositions.

`x.permute(1, 0, 2).reshape(len(x), -1)` has a row for each image, and in each of them values of many images. To know it, a tensor of the same
shape that holds the number of its row instead of each value goes the same way: afterwards each row must hold its own number only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

MOVES: frozenset[Callable[..., Any]] = frozenset(
    (
        *(Tensor.view, Tensor.reshape, torch.reshape, Tensor.flatten, torch.flatten, Tensor.unflatten, torch.unflatten),
        *(Tensor.permute, torch.permute, Tensor.transpose, torch.transpose, Tensor.swapaxes, torch.swapaxes),
        *(Tensor.movedim, torch.movedim, Tensor.t, torch.t, Tensor.contiguous, Tensor.unbind, torch.unbind),
        *(Tensor.chunk, torch.chunk, Tensor.T.__get__, Tensor.mT.__get__, Tensor.squeeze, Tensor.unsqueeze),  # type: ignore[attr-defined]
    )
)
"""What changes the shape of a tensor, or the order of its axes, and no value."""

NORMS: frozenset[Callable[..., Any]] = frozenset((F.normalize, Tensor.norm, torch.norm, torch.linalg.vector_norm))
"""What measures or sets a length along an axis."""

LARGEST = 1 << 20
"""Values of a tensor whose way is followed."""


class Rows:
    """Follows the rows of the batch through the views of one pass."""

    def __init__(self) -> None:
        self._followed: dict[int, tuple[Tensor, Tensor]] = {}  # a tensor is kept as long as its identity stands for it

    def see(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any, rows: int
    ) -> bool:
        """Note what a function of `MOVES` made.

        Args:
            func, args, kwargs, result: of the call.
            rows: of the batch.

        Returns:
            whether a result has as many rows as the batch, and one of them values of another.
        """
        x = args[0]
        if rows < 3 or not isinstance(x, Tensor) or x.numel() > LARGEST or (numbers := self._numbers(x, rows)) is None:
            return False
        moved = func(numbers.contiguous() if func is Tensor.view else numbers, *args[1:], **kwargs)
        pairs = zip(result, moved, strict=True) if isinstance(result, (tuple, list)) else [(result, moved)]
        mixed = False
        for made, one in pairs:
            self._followed[id(made)] = made, one
            mixed = mixed or (made.dim() > 1 and len(made) == rows and not _pure(one, 0))
        return mixed

    def mixes(self, x: Tensor, axis: int) -> bool:
        """Whether places along an axis of a tensor, which are taken for the batch, hold values of several rows."""
        _, numbers = self._followed.get(id(x), (None, None))
        return numbers is not None and not _pure(numbers, axis)

    def forget(self) -> None:
        """Let go of all tensors."""
        self._followed = {}

    def _numbers(self, x: Tensor, rows: int) -> Tensor | None:
        """Return the number of the row of each value; None where it is not known which axis is that of the batch."""
        if id(x) in self._followed:
            return self._followed[id(x)][1]
        if x.dim() < 2 or list(x.shape).count(rows) != 1:
            return None
        axis = x.shape.index(rows)
        # Behind a layer that takes sequences the batch is second; of rows that were gathered in one axis nothing is known.
        if axis > 1 or (axis == 1 and (x.dim() != 3 or x.shape[0] % rows == 0)):
            return None
        shape = [rows if place == axis else 1 for place in range(x.dim())]
        return torch.arange(rows, device=x.device, dtype=torch.int32).view(shape).expand(x.shape)


def _pure(numbers: Tensor, axis: int) -> bool:
    """Whether each place along an axis holds its own number, and no other."""
    flat = numbers.movedim(axis, 0).flatten(1)
    return bool((flat == torch.arange(len(flat), device=flat.device)[:, None]).all())
